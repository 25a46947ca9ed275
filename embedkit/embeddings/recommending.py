"""Recommendations: from keys and histories to queries, and from queries to the best targets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from embedkit import queries, scoring
from embedkit.contracts import History, QueryBuilder
from embedkit.embeddings.lookup import Tokens, as_list, check_recency, check_topn, find_ids, find_or_minus_one, unknown
from embedkit.embeddings.results import Block, Explanation
from embedkit.errors import EmbedkitError, OptionError
from embedkit.scoring import explain as explaining

if TYPE_CHECKING:
    import pandas as pd

    from embedkit.embeddings.embeddings import Embeddings

BATCH = 1 << 14  # keys answered at a time: a few tens of MB of queries and results


class Options:
    """What recommendations are asked for, checked and with ids in the place of names."""

    def __init__(
        self,
        emb: Embeddings,
        topn: int = 10,
        exclude: str | Iterable[str] = (),
        only: str | Iterable[str] | None = None,
        include_seen: bool = False,
        fallback: Literal["popular"] | None = None,
        recency: float | None = None,
    ) -> None:
        if fallback not in (None, "popular"):
            raise OptionError("fallback", f"must be 'popular' or None; got {fallback!r}.")
        if fallback and emb.counts is None:
            raise EmbedkitError(
                "this model does not know how often its tokens occurred: there is no 'popular' fallback."
            )
        self.topn = check_topn(topn)
        self.banned = find_ids(emb.tokens, as_list(exclude), "token", emb.keys)
        self.only = None if only is None else find_ids(emb.tokens, as_list(only), "token", emb.keys)
        self.include_seen = include_seen
        self.fallback = fallback
        self.recency = check_recency(recency)


def builder_of(emb: Embeddings) -> QueryBuilder:
    """Return the model's query builder, a built-in one or one that a plugin registered."""
    if emb.query in queries.BUILT_IN:
        return queries.BUILT_IN[emb.query]
    # Only here, and only for builders of others, does the value look at plugins: their names are in model files.
    from embedkit.plugins import load_plugins

    return load_plugins().query_builder(emb.query)


def build_queries(emb: Embeddings, history: History, recency: float | None = None) -> np.ndarray:
    """Return the query vectors of histories, float32 (n × vector_size); for `recency` see `weighted_by_age`."""
    return _built(emb, weighted_by_age(emb, history, recency))


@contextlib.contextmanager
def _telling_of_damage(emb: Embeddings) -> Iterator[None]:
    """Tell of what a damaged model makes a built-in query builder fail with; a plugin's own errors are its own."""
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the scores' check tells of these
            yield
    except EmbedkitError:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        if emb.query not in queries.BUILT_IN:
            raise
        raise EmbedkitError(
            f"this model is damaged: what it keeps to make a vector of a history ({emb.query}) does not fit together. "
            "Check it with `embedkit info --verify`; copy or train it again."
        ) from error


def weighted_by_age(emb: Embeddings, history: History, recency: float | None) -> History:
    """Return histories in which each token counts `recency` times what the one after it does.

    None is the model's own way: `config["recency"]`, else the same weight for all. A recency of 1 changes nothing.
    """
    with _telling_of_damage(emb):
        if recency is not None and emb.config.get("fold_in", {}).get("loss") == "explicit":
            raise EmbedkitError("this model takes a history's weights for ratings, which recency would lower.")
        factor = float(emb.config.get("recency", 1.0)) if recency is None else recency
    if factor == 1:
        return history
    lengths = np.diff(history.indptr)
    begin, end = history.indptr[0], history.indptr[-1]
    ages = np.repeat(history.indptr[1:], lengths) - 1 - np.arange(begin, end)
    with np.errstate(over="ignore", invalid="ignore"):  # a damaged model's; the scores' check tells of it
        weights = (factor ** ages.astype(np.float64)).astype(np.float32)
    if history.weights is not None:
        weights *= history.weights[begin:end]
    times = None if history.times is None else history.times[begin:end]
    return History(history.indptr - begin, history.indices[begin:end], weights, times)


def _built(emb: Embeddings, history: History) -> np.ndarray:
    """Return what the builder makes of weighted histories, and check that it is what it must be."""
    builder = builder_of(emb)
    with _telling_of_damage(emb):
        made = np.asarray(builder(history, emb.context))
    shape = len(history), emb.vector_size
    if made.shape != shape or made.dtype.kind != "f":
        raise EmbedkitError(
            f"query builder {emb.query!r} gave {made.dtype} of shape {made.shape}; it must give float32 of {shape}."
        )
    return np.ascontiguousarray(made, np.float32)


def key_queries(emb: Embeddings, rows: np.ndarray, recency: float | None = None) -> np.ndarray:
    """Return the vectors learned for the keys at `rows`, else (and with a recency) queries built from histories."""
    if emb.key_vectors is not None and not _asks_history(emb, recency):
        return np.asarray(emb.key_vectors[rows])
    return build_queries(emb, _histories(emb).take(rows), recency)


def _asks_history(emb: Embeddings, recency: float | None) -> bool:
    """Return whether a key's query is built from its history: a learned vector knows no recency."""
    return emb.key_vectors is None or recency is not None


def _histories(emb: Embeddings) -> History:
    if emb.histories is None:
        what = "neither vectors nor histories" if emb.key_vectors is None else "no histories"
        raise EmbedkitError(f"this model holds {what} of keys; recommend to a history instead.")
    return emb.histories


def history_of(emb: Embeddings, given: Tokens) -> History:
    """Return tokens (or a mapping of tokens to weights) as one history."""
    ids = find_ids(emb.tokens, as_list(given), "token", emb.keys).astype(np.int32)
    weights = None
    if isinstance(given, Mapping):
        weights = np.fromiter(given.values(), np.float32, len(ids))
        if not (np.isfinite(weights) & (weights > 0)).all():
            raise EmbedkitError("the weights of a history must be positive finite numbers.")
    return History(np.array([0, len(ids)]), ids, weights)


def given_history(emb: Embeddings, key: str | None, given: Tokens | None, recency: float | None) -> History:
    """Return the history that is given, or the one that the key's query is built from, weighted by age."""
    if given is not None and key is None:
        return weighted_by_age(emb, history_of(emb, given), recency)
    if given is not None or key is None:
        raise EmbedkitError("explain for a key or for a history: give one of the two.")
    if emb.keys is None:
        raise EmbedkitError("this model has no keys; explain for a history instead.")
    row = find_ids(emb.keys, [key], "key", emb.tokens)
    if not _asks_history(emb, recency):
        raise EmbedkitError(
            f"the vector of {key!r} was learned, not built from a history; explain for a history instead."
        )
    return weighted_by_age(emb, _histories(emb).take(row), recency)


def answerable(emb: Embeddings, keys: Sequence[str], recency: float | None = None) -> np.ndarray:
    """Return the int64 rows of `keys`, -1 for those that are unknown or have nothing to go by."""
    if emb.keys is None:
        return np.full(len(keys), -1)
    rows = find_or_minus_one(emb.keys, keys, "key")
    if _asks_history(emb, recency):
        rows[_without_history(emb, rows)] = -1
    return rows


def _without_history(emb: Embeddings, rows: np.ndarray) -> np.ndarray:
    indptr = _histories(emb).indptr
    return np.asarray(indptr[rows + 1] == indptr[rows]) | (rows < 0)


def to_history(emb: Embeddings, history: History, options: Options) -> Block:
    """Recommend to one history that belongs to nobody."""
    if len(history.indices) == 0:
        if options.fallback is None:
            raise EmbedkitError("the history is empty; give a token at least, or take --fallback popular.")
        return _block(emb, [""], _popular(emb, 1, options))
    seen = None if options.include_seen else scoring.Rows(history.indptr, history.indices)
    return _block(emb, [""], _rank(emb, build_queries(emb, history, options.recency), seen, options))


def to_keys(emb: Embeddings, keys: list[str], options: Options) -> Block:
    """Recommend to keys; one that there is nothing to go by for gets the fallback or is an error."""
    rows = answerable(emb, keys, options.recency)
    missing = np.flatnonzero(rows < 0)
    if len(missing) and options.fallback is None:
        raise _no_query(emb, keys[int(missing[0])])
    return _block(emb, keys, _rank_rows(emb, rows, options))


def _no_query(emb: Embeddings, key: str) -> EmbedkitError:
    if emb.keys is None:
        return EmbedkitError("this model has no keys: recommend to a history (--item), or take --fallback popular.")
    if key in emb.keys:
        return EmbedkitError(f"key {key!r} has no history to go by; take --fallback popular.")
    return unknown(emb.keys, key, "key", emb.tokens)


def to_frame(emb: Embeddings, keys: list[str], options: Options) -> pd.DataFrame:
    """Recommend to many keys, answered by one table."""
    import pandas as pd

    starts = range(0, max(1, len(keys)), BATCH)
    frames = [to_keys(emb, keys[start : start + BATCH], options).to_frame() for start in starts]
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def to_all(emb: Embeddings, options: Options, batch: int) -> Iterator[Block]:
    """Recommend to all keys, a block at a time; keys with nothing to go by get the fallback or no answer."""
    if emb.keys is None:
        raise EmbedkitError("this model has no keys: it was learned from sentences that belong to nobody.")
    if batch < 1:
        raise OptionError("batch", f"must be a whole number of at least 1; got {batch}.")
    return _blocks(emb, emb.keys, options, batch)


def _blocks(emb: Embeddings, names: Sequence[str], options: Options, batch: int) -> Iterator[Block]:
    for start in range(0, len(names), batch):
        rows = np.arange(start, min(start + batch, len(names)))
        keys = list(names[start : start + batch])
        if _asks_history(emb, options.recency):
            rows[_without_history(emb, rows)] = -1
        yield _block(emb, keys, _rank_rows(emb, rows, options))


def _rank_rows(emb: Embeddings, rows: np.ndarray, options: Options) -> scoring.Ranked:
    """Rank for the keys at `rows`; the rows of -1 get the fallback, or nothing."""
    known = rows >= 0
    if known.all() and len(rows):
        return _rank_known(emb, rows, options)
    found = _popular(emb, len(rows), options)
    if known.any():
        answers = _rank_known(emb, rows[known], options)
        found.ids[known], found.scores[known] = answers
    return found


def _rank_known(emb: Embeddings, rows: np.ndarray, options: Options) -> scoring.Ranked:
    seen = None
    if emb.histories is not None and not options.include_seen:
        history = emb.histories.take(rows)
        seen = scoring.Rows(history.indptr, history.indices)
    return _rank(emb, key_queries(emb, rows, options.recency), seen, options)


def _rank(emb: Embeddings, made: np.ndarray, seen: scoring.Rows | None, options: Options) -> scoring.Ranked:
    tiers = None if emb.index is None else emb.index.tiers("dot", len(made))
    return scoring.topk(
        made, emb.targets, options.topn, exclude=seen, banned=options.banned, only=options.only, tiers=tiers
    )


def _popular(emb: Embeddings, n: int, options: Options) -> scoring.Ranked:
    """Return n times the most frequent tokens, or n times nothing where there is no fallback."""
    if options.fallback is None or emb.counts is None:
        width = min(options.topn, len(emb) if options.only is None else len(np.unique(options.only)))
        return scoring.Ranked(np.full((n, width), -1, np.int32), np.full((n, width), -np.inf, np.float32))
    ranked = scoring.popular(emb.counts, options.topn, banned=options.banned, only=options.only)
    return scoring.Ranked(ranked.ids.repeat(n, axis=0), ranked.scores.repeat(n, axis=0))


def _block(emb: Embeddings, keys: list[str], ranked: scoring.Ranked) -> Block:
    return Block(keys, emb.tokens, ranked.ids, ranked.scores)


def explain(emb: Embeddings, history: History, item: int, topn: int) -> Explanation:
    """Tell what each token of one history, weighted by age already, adds to the score of `item`.

    Where the query is a sum over the history the parts are exact; else each is left out in turn.
    """
    target = np.asarray(emb.targets[item])

    def score(histories: History) -> np.ndarray:
        return np.asarray(_built(emb, histories).astype(np.float64) @ target)

    if emb.query in queries.PARTS:
        found = explaining.by_token(history.indices, queries.PARTS[emb.query](history, emb.context, target))
    else:
        found = explaining.leave_one_out(history, score)
    names = emb.tokens[found.ids[:topn]]
    return Explanation(
        item=emb.tokens[item],
        score=float(score(history)[0]),
        parts=list(zip(names, found.amounts[:topn].tolist(), strict=True)),
        rest=float(found.amounts[topn:].sum()),
        exact=emb.query in queries.PARTS,
    )
