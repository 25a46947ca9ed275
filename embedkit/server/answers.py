"""From a question's parameters to its answer, fit for JSON. Nothing here knows of HTTP but the status of a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from time import monotonic
from typing import Any, TypeVar

import numpy as np

from embedkit.contracts import History
from embedkit.embeddings import likeness, lookup, recommending
from embedkit.errors import EmbedkitError, UnknownNameError
from embedkit.names import Names
from embedkit.scoring import normalized
from embedkit.server import parameters as asked
from embedkit.server.large import Room, Written, written
from embedkit.server.ranker import MOST_ENTRIES, Question, Ranking
from embedkit.server.refusals import LONGEST_WAIT, Refusal, too_late
from embedkit.server.served import Served
from embedkit.server.settings import Settings

_REASONS = 5
_MOST_EXPLAINED = 1000
_SHOWN_HISTORY = 50
_PART = 100
_FEW = 20  # names that are looked up without leaving the event loop
_LONGEST_SOUGHT = 64  # characters of a name whose like is sought
_LONGEST_EXPLAINED = 20_000  # entries of histories times results
_NOTHING = np.empty(0, np.int32)

T = TypeVar("T")
Answer = dict[str, Any]


class Answers:
    """What a served model answers.

    Parameters
    ----------
    served
        The model.
    settings
        The limits.
    slow
        Where everything is done that would keep other requests waiting.
    room
        Bounds the large answers.
    """

    def __init__(self, served: Served, settings: Settings, slow: Executor, room: Room) -> None:
        self.served = served
        self._settings = settings
        self._slow, self._room = slow, room
        self._embeddings = served.embeddings
        self._seeking = False

    async def model(self) -> Answer:
        """Tell what the model is."""
        emb = self._embeddings
        has = {"labels": emb.labels is not None, "histories": emb.histories is not None}
        return {**self.served.description, **has, "examples": self.served.examples}

    async def search(self, wanted: asked.Search) -> Answer:
        """Search as you type."""
        topn = self._topn(wanted.topn)
        self._check_text([wanted.q], "q")
        if wanted.kind == "token":
            found = await self._slowly(lambda: self.served.token_search.find(wanted.q, topn))
            counts = self._embeddings.counts
            results = self.served.named(found)
        else:
            search, keys, histories = self.served.key_search, self.served.keys, self._embeddings.histories
            if search is None or keys is None:
                return {"results": []}
            found = await self._slowly(lambda: search.find(wanted.q, topn))
            counts = None if histories is None else np.diff(histories.indptr)
            results = [{"key": keys[row], "label": keys[row]} for row in found]
        for result, i in zip(results, found, strict=True):
            result["count"] = None if counts is None else int(counts[i])
        return {"results": results}

    async def recommend(self, wanted: asked.Recommend) -> Answer:
        """Recommend to a key or to a history."""
        if (wanted.key is None) == (not wanted.item):
            raise Refusal(
                422, "recommend to a key (key=K) or to a history (item=A&item=B): give one of the two.", "key"
            )
        topn, excluded = self._topn(wanted.topn), await self._token_ids(wanted.exclude, "exclude")
        self._check_explained(1, wanted)
        if wanted.key is not None:
            row = (await self._rows([wanted.key], wanted.fallback, "key"))[0]
            return await self._to_key(wanted.key, row, topn, excluded, wanted, bulk=False)
        ids = await self._token_ids(wanted.item, "item")
        return await self._to_history(wanted.item, ids, topn, excluded, wanted, bulk=False)

    async def recommend_many(self, wanted: asked.RecommendMany) -> Written:
        """Recommend to many keys or to many histories."""
        with self._room.of_results(len(wanted.keys or wanted.histories or ()) * self._topn(wanted.topn)):
            answer = await self._recommend_many(wanted)
            return await self._slowly(lambda: written(answer))

    async def _recommend_many(self, wanted: asked.RecommendMany) -> Answer:
        if (wanted.keys is None) == (wanted.histories is None):
            raise Refusal(
                422, 'recommend to {"keys": [..]} or to {"histories": [[..], ..]}: give one of the two.', "keys"
            )
        topn, excluded = self._topn(wanted.topn), await self._token_ids(wanted.exclude, "exclude")
        self._check_explained(len(wanted.keys or wanted.histories or ()), wanted)
        if wanted.keys is not None:
            rows = await self._rows(wanted.keys, wanted.fallback, "keys")
            waiting = [
                self._to_key(key, row, topn, excluded, wanted, bulk=True)
                for key, row in zip(wanted.keys, rows, strict=True)
            ]
        else:
            histories = wanted.histories or []
            self._check_list(histories, "histories")
            ids = [await self._token_ids(history, f"histories[{i}]") for i, history in enumerate(histories)]
            waiting = [
                self._to_history(history, found, topn, excluded, wanted, bulk=True)
                for history, found in zip(histories, ids, strict=True)
            ]
        return {"results": list(await asyncio.gather(*waiting))}

    async def similar(self, wanted: asked.Similar) -> Answer:
        """Find the tokens most similar to one."""
        topn = self._topn(wanted.topn)
        return (await self._similar([wanted.token], topn, "token", bulk=False))[0]

    async def similar_many(self, wanted: asked.SimilarMany) -> Written:
        """Find the tokens most similar to each of many."""
        topn = self._topn(wanted.topn)
        with self._room.of_results(len(wanted.tokens) * topn):
            answer = {"results": await self._similar(wanted.tokens, topn, "tokens", bulk=True)}
            return await self._slowly(lambda: written(answer))

    async def analogy(self, wanted: asked.Analogy) -> Answer:
        """Complete "a is to b as c is to ?"."""
        topn = self._topn(wanted.topn)
        found = await self._find([wanted.a, wanted.b, wanted.c], "a, b, c")
        a, b, c = normalized(found.vectors)
        query = normalized((b - a + c)[None])[0]
        ranking = await self.served.ranker.rank(Question(topn, found.ids[found.ids >= 0], vector=query))
        return {"a": wanted.a, "b": wanted.b, "c": wanted.c, "results": self._scored(ranking)}

    async def similarity(self, wanted: asked.Similarity) -> Answer:
        """Say how similar two tokens are: the cosine of their vectors."""
        await self._find([wanted.a, wanted.b], "a, b")
        value = float(likeness.similarity(self._embeddings, [wanted.a], [wanted.b], "cosine")[0])
        return {"a": wanted.a, "b": wanted.b, "similarity": value}

    async def vectors(self, tokens: Sequence[str], keys: Sequence[str]) -> Written:
        """Give the vectors of tokens and of keys."""
        if not tokens and not keys:
            raise Refusal(422, "name the tokens or keys whose vectors you want.", "token")
        size = self._embeddings.vector_size
        with self._room.of_numbers((len(tokens) + len(keys)) * size):
            found = (await self._find(tokens, "tokens")).vectors if tokens else _NOTHING
            rows = await self._rows(keys, "none", "keys") if keys else []

            def answer() -> Written:
                of_tokens = ({"token": token, "vector": numbers(v)} for token, v in zip(tokens, found, strict=True))
                of_keys = ({"key": key, "vector": numbers(v)} for key, v in zip(keys, self._queries(rows), strict=True))
                return written({"vector_size": size, "tokens": of_tokens, "keys": of_keys})

            return await self._slowly(answer)

    def _queries(self, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """Give what keys are asked by, made for some at a time: not all of their histories are copied at once."""
        parts = np.cumsum([len(self.served.history(row)) for row in rows]) // MOST_ENTRIES
        for part in np.unique(parts):
            yield from self._embeddings.key_queries(np.array(rows)[parts == part])

    async def history(self, wanted: asked.HistoryOf) -> Written:
        """Tell the newest entries of a key's history, oldest first."""
        row = (await self._rows([wanted.key], "none", "key", answerable=False))[0]
        length = len(self.served.history(row))
        n = min(length, wanted.limit)

        def answer() -> Written:
            return written({"key": wanted.key, "length": length, "history": self._entries(row, length - n)})

        with self._room.of_results(n):
            return await self._slowly(answer)

    def _entries(self, row: int, first: int) -> Iterator[Answer]:
        """Give what a key had, from some entry on, with times where there are any."""
        tokens, histories = self.served.history(row)[first:].tolist(), self._embeddings.histories
        if histories is None or histories.times is None:
            yield from self.served.named(tokens)
            return
        times = histories.times[histories.indptr[row] + first : histories.indptr[row + 1]]
        for token, time in zip(tokens, np.datetime_as_string(times.astype("M8[us]"), "s"), strict=True):
            yield {"token": self.served.tokens[token], "label": self.served.label(token), "time": f"{time}Z"}

    async def _to_key(self, key: str, row: int, topn: int, excluded: np.ndarray, wanted: Any, *, bulk: bool) -> Answer:
        if row < 0:
            return {"key": key, "history": [], "results": self._popular(topn, excluded), "fallback": True}
        seen = self.served.history(row)
        left_out = _NOTHING if wanted.include_seen else seen
        ranking = await self._rank(Question(topn, excluded, row=row, seen=left_out), bulk)
        history = self.served.named(seen[-_SHOWN_HISTORY:].tolist())
        answer = {"key": key, "history": history, "results": self._scored(ranking), "fallback": False}
        return await self._explained(answer, len(seen), key=key) if wanted.explain else answer

    async def _to_history(
        self, tokens: Sequence[str], ids: np.ndarray, topn: int, excluded: np.ndarray, wanted: Any, *, bulk: bool
    ) -> Answer:
        left_out = excluded if wanted.include_seen else np.concatenate((excluded, ids))
        history = History(np.array([0, len(ids)]), ids)
        ranking = await self._rank(Question(topn, left_out, history=history), bulk)
        shown = self.served.named(ids[-_SHOWN_HISTORY:].tolist())
        answer = {"key": None, "history": shown, "results": self._scored(ranking), "fallback": False}
        return await self._explained(answer, len(ids), history=list(tokens)) if wanted.explain else answer

    async def _explained(self, answer: Answer, n_seen: int, **whose: Any) -> Answer:
        """Add to each result the tokens of the history that carried its score, or a note why there are none."""

        def explain() -> None:
            for result in answer["results"]:
                parts = self._embeddings.explain(item=result["token"], topn=_REASONS, **whose).parts
                ids = self._embeddings.tokens.find_all([token for token, _ in parts]).tolist()
                result["because"] = self._scored((ids, [amount for _, amount in parts]))

        try:
            if n_seen * len(answer["results"]) > _LONGEST_EXPLAINED:
                raise EmbedkitError(f"the history has {n_seen:,} entries; ask for fewer results.")
            await self._slowly(explain)
        except EmbedkitError as error:
            answer["note"] = f"no reasons are given: {error}"
            for result in answer["results"]:
                result["because"] = []
        return answer

    async def _similar(self, tokens: Sequence[str], topn: int, field: str, *, bulk: bool) -> list[Answer]:
        found = await self._find(tokens, field)
        units = normalized(found.vectors)
        questions = [
            Question(topn, found.ids[i : i + 1][found.ids[i : i + 1] >= 0], vector=units[i]) for i in range(len(units))
        ]
        rankings = await self.served.ranker.rank_many(questions) if bulk else [await self._rank(questions[0], False)]
        return [
            {"token": token, "label": token if i < 0 else self.served.label(i), "results": self._scored(ranking)}
            for token, i, ranking in zip(tokens, found.ids.tolist(), rankings, strict=True)
        ]

    async def _rank(self, question: Question, bulk: bool) -> Ranking:
        ranker = self.served.ranker
        return (await ranker.rank_many([question]))[0] if bulk else await ranker.rank(question)

    def _popular(self, topn: int, excluded: np.ndarray) -> list[Answer]:
        """Return the most frequent tokens, scored by how often they occurred."""
        popular, counts = self.served.popular, self._embeddings.counts
        if popular is None or counts is None:
            raise Refusal(
                422, "this model does not know how often its tokens occurred; send fallback=none.", "fallback"
            )
        ids = popular[~np.isin(popular, excluded)][:topn]
        return self._scored((ids.tolist(), counts[ids].tolist()))

    def _scored(self, ranking: Ranking) -> list[Answer]:
        served = self.served
        return [
            {"token": served.tokens[i], "label": served.label(i), "score": float(f"{score:.7g}")}
            for i, score in zip(*ranking, strict=True)
        ]

    async def _rows(self, keys: Sequence[str], fallback: str, field: str, *, answerable: bool = True) -> list[int]:
        """Return the rows of keys, -1 for those that get the fallback."""
        self._check_list(keys, field)
        self._check_text(keys, field)
        emb = self._embeddings
        if emb.keys is None:
            if fallback == "popular":
                return [-1] * len(keys)
            raise Refusal(
                404, "this model has no keys: recommend to a history (item=A&item=B), or send fallback=popular.", field
            )
        known = emb.keys
        rows = await self._maybe_slowly(keys, lambda: _find_all(known, keys, "key"))
        missing = np.flatnonzero(rows < 0)
        if len(missing) and fallback == "none":
            raise await self._unknown(known, keys[int(missing[0])], "key", field)
        if answerable:
            without = (
                np.flatnonzero((rows >= 0) & (recommending.answerable(emb, keys) < 0))
                if emb.key_vectors is None
                else missing[:0]
            )
            if len(without) and fallback == "none":
                raise Refusal(
                    422, f"key {keys[int(without[0])]!r} has no history to go by; send fallback=popular.", field
                )
            rows[without] = -1
        return rows.tolist()

    async def _token_ids(self, tokens: Sequence[str], field: str) -> np.ndarray:
        """Return the int32 ids of tokens."""
        if not tokens:
            return _NOTHING
        self._check_list(tokens, field)
        self._check_text(tokens, field)
        names = self._embeddings.tokens
        ids = await self._maybe_slowly(tokens, lambda: _find_all(names, tokens, "token"))
        missing = np.flatnonzero(ids < 0)
        if len(missing):
            raise await self._unknown(names, tokens[int(missing[0])], "token", field)
        return ids.astype(np.int32)

    async def _find(self, tokens: Sequence[str], field: str) -> likeness.Found:
        """Return what tokens stand for; words that are none are built where the model can."""
        self._check_list(tokens, field)
        self._check_text(tokens, field)
        emb = self._embeddings
        if emb.subwords is None:
            ids = await self._token_ids(tokens, field)
            return likeness.Found(emb.vectors[ids], ids.astype(np.int64))
        try:
            return await self._maybe_slowly(tokens, lambda: likeness.find(emb, tokens))
        except UnknownNameError as error:
            raise Refusal(404, str(error), field) from error

    async def _unknown(self, names: Names, name: str, kind: str, field: str) -> Refusal:
        """Return the refusal of a name; with near names, unless others are being sought: it takes milliseconds."""
        if self._seeking or len(name) > _LONGEST_SOUGHT:
            shown = name if len(name) <= _LONGEST_SOUGHT else f"{name[:_LONGEST_SOUGHT]}..."
            return Refusal(404, f"there is no {kind} {shown!r}; /api/search finds what there is.", field)
        self._seeking = True
        try:
            return Refusal(404, str(await self._slowly(lambda: lookup.unknown(names, name, kind))), field)
        finally:
            self._seeking = False

    async def _slowly(self, work: Callable[[], T]) -> T:
        since = monotonic()

        def in_time() -> T:
            if monotonic() - since > LONGEST_WAIT:
                raise too_late()
            return work()

        return await asyncio.get_running_loop().run_in_executor(self._slow, in_time)

    async def _maybe_slowly(self, names: Sequence[str], work: Callable[[], T]) -> T:
        return work() if len(names) <= _FEW else await self._slowly(work)

    def _topn(self, topn: int) -> int:
        if topn > self._settings.max_topn:
            raise Refusal(422, f"topn must be at most {self._settings.max_topn:,}; got {topn:,}.", "topn")
        return topn

    def _check_list(self, names: Sequence[Any], field: str) -> None:
        if len(names) > self._settings.max_list:
            raise Refusal(
                422, f"{field} has {len(names):,} entries; send at most {self._settings.max_list:,} at a time.", field
            )

    def _check_text(self, names: Sequence[str], field: str) -> None:
        if max(map(len, names), default=0) > self._settings.max_text:
            raise Refusal(422, f"{field} must have at most {self._settings.max_text:,} characters a name.", field)

    def _check_explained(self, n: int, wanted: Any) -> None:
        if wanted.explain and n * wanted.topn > _MOST_EXPLAINED:
            raise Refusal(
                422,
                f"explain takes at most {_MOST_EXPLAINED:,} results at a time; lower topn or send fewer.",
                "explain",
            )


def _find_all(names: Names, wanted: Sequence[str], kind: str) -> np.ndarray:
    """Return the int64 ids of names, -1 for those that are not there; in parts that are looked up one by one.

    Many at once would be sought by way of a table of all names, which takes longer than a thousand look-ups.
    """
    parts = [lookup.find_or_minus_one(names, wanted[i : i + _PART], kind) for i in range(0, len(wanted), _PART)]
    return np.concatenate(parts) if len(parts) != 1 else parts[0]


def numbers(vector: np.ndarray) -> list[float]:
    """Return float32 numbers with the fewest digits that say the same."""
    return [float(text) for text in vector.astype(str)]
