"""Questions that come in one by one, answered together: one pass over all vectors ranks for a whole batch."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from embedkit.contracts import History
from embedkit.scoring import normalized
from embedkit.server.refusals import LONGEST_WAIT, too_late
from embedkit.server.spaces import MOST, spaces_of

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings

_BULK_SHARE = 0.25  # of a batch, kept for questions that came many at once while single ones wait as well

MOST_ENTRIES = 1 << 18
"""How many entries of histories are worked on at a time, but for a longer one: that takes some 100 bytes for each."""

_NOTHING = np.empty(0, np.int32)

Ranking = tuple[list[int], list[float]]
"""Ids and scores, best first."""


@dataclass(slots=True)
class Question:
    """What to rank for: a vector, a key or a history.

    Attributes
    ----------
    topn
        How many answers.
    excluded
        Ids that are no answers, in any order.
    vector
        float32 (vector_size) of length 1: ranked by cosine over `vectors`.
    row
        A key: ranked by dot product over `targets`, as is a history.
    history
        One row.
    seen
        int32, more ids that are no answers: a history as the model holds it, which may be long and is copied in the
        thread alone.
    asked
        When, by the monotonic clock.
    """

    topn: int
    excluded: np.ndarray
    vector: np.ndarray | None = None
    row: int = -1
    history: History | None = None
    seen: np.ndarray = field(default_factory=lambda: _NOTHING)
    asked: float = field(default_factory=time.monotonic, repr=False)
    answer: asyncio.Future[Ranking] | None = field(default=None, repr=False)


class Ranker:
    """Collects the questions that arrive while others are being answered, and answers them at once.

    Nothing waits for company: a question that finds the ranker idle is answered alone. Its methods belong to one event
    loop; the work is done in `executor`, whose every thread may take a batch.

    Parameters
    ----------
    embeddings
        What is ranked.
    executor
        Where batches are worked on.
    threads
        How many batches at a time.
    """

    def __init__(self, embeddings: Embeddings, executor: Executor, threads: int = 1) -> None:
        self._embeddings = embeddings
        self._executor = executor
        self._idle = threads
        self._single: deque[Question] = deque()
        self._bulk: deque[Question] = deque()
        self._by_product, self._by_cosine = spaces_of(embeddings.vectors, embeddings.targets, embeddings.inverse_norms)

    @property
    def waiting(self) -> int:
        """How many questions wait for a batch."""
        return len(self._single) + len(self._bulk)

    async def rank(self, question: Question) -> Ranking:
        """Return the best candidates of a question.

        Raises
        ------
        Refusal
            With 503 where its turn comes too late.
        """
        return await self._put(question, self._single)

    async def rank_many(self, questions: Sequence[Question]) -> list[Ranking]:
        """Return the best candidates of each question; single questions of others come in between.

        Raises
        ------
        Refusal
            With 503 where the turn of one comes too late.
        """
        return list(await asyncio.gather(*(self._put(question, self._bulk) for question in questions)))

    def _put(self, question: Question, queue: deque[Question]) -> asyncio.Future[Ranking]:
        question.answer = asyncio.get_running_loop().create_future()
        queue.append(question)
        if self._idle:
            self._begin()
        return question.answer

    def _begin(self) -> None:
        """Hand the next batch to a thread."""
        batch = self._next()
        if not batch:
            return
        self._idle -= 1
        working = asyncio.get_running_loop().run_in_executor(self._executor, self._answer, batch)
        working.add_done_callback(lambda done: self._end(batch, done))

    def _next(self) -> list[Question]:
        """Take questions for one pass: single ones first, but for the share of those that came many at once."""
        room = MOST - min(len(self._bulk), int(MOST * _BULK_SHARE))
        batch = self._taken(self._single, room)
        return batch + self._taken(self._bulk, MOST - len(batch))

    def _taken(self, queue: deque[Question], most: int) -> list[Question]:
        """Take questions from a queue: one, and those after it whose histories are not too long in all."""
        taken: list[Question] = []
        entries = 0
        begun_by = time.monotonic() - LONGEST_WAIT
        while queue and len(taken) < most:
            answer = queue[0].answer
            if answer is not None and not answer.done():
                if queue[0].asked < begun_by:
                    answer.set_exception(too_late())
                    queue.popleft()
                    continue
                entries += self._entries(queue[0])
                if taken and entries > MOST_ENTRIES:
                    break
                taken.append(queue[0])
            queue.popleft()
        return taken

    def _entries(self, question: Question) -> int:
        """Return how many entries of histories are copied to answer a question."""
        histories = None if self._embeddings.key_vectors is not None else self._embeddings.histories
        built = 0 if question.history is None else len(question.history.indices)
        if question.row >= 0 and histories is not None:
            built += int(histories.indptr[question.row + 1] - histories.indptr[question.row])
        return built + len(question.seen)

    def _end(self, batch: list[Question], done: asyncio.Future[list[Ranking | Exception]]) -> None:
        self._idle += 1
        self._begin()
        error = done.exception()
        answers = done.result() if error is None else [error] * len(batch)
        for question, answer in zip(batch, answers, strict=True):
            if question.answer is None or question.answer.done():
                continue
            if isinstance(answer, BaseException):
                question.answer.set_exception(answer)
            else:
                question.answer.set_result(answer)

    def _answer(self, batch: list[Question]) -> list[Ranking | Exception]:
        """Answer a batch; where it fails, each question alone, so that one's error is not another's."""
        try:
            return list(self.answer(batch))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            return [self._answer([question])[0] for question in batch]

    def answer(self, batch: Sequence[Question]) -> list[Ranking]:
        """Answer questions here and now; for a thread."""
        answers: dict[int, Ranking] = {}
        alike = [i for i, question in enumerate(batch) if question.vector is not None]
        others = [i for i, question in enumerate(batch) if question.vector is None]
        for places in filter(None, (alike, others)):
            questions = [batch[i] for i in places]
            answers |= zip(places, self._rank(questions, by_cosine=places is alike), strict=True)
        return [answers[i] for i in range(len(batch))]

    def _rank(self, questions: list[Question], by_cosine: bool) -> list[Ranking]:
        if by_cosine:
            space, queries = self._by_cosine, np.stack([q.vector for q in questions if q.vector is not None])
        else:
            space, queries = self._by_product, self._made(questions)
        indptr = np.zeros(len(questions) + 1, np.int64)
        np.cumsum([len(question.excluded) + len(question.seen) for question in questions], out=indptr[1:])
        excluded = np.concatenate([np.sort(np.concatenate((q.excluded, q.seen))) for q in questions])
        topn = [question.topn for question in questions]
        return _sorted(*space.best(queries, max(topn), indptr, excluded.astype(np.int32, copy=False)), topn)

    def warm_up(self) -> None:
        """Compile what is compiled, bring what is read into memory, and find the quickest way to rank.

        Raises
        ------
        EmbedkitError
            If the model cannot answer, which is no reason not to serve what it can.
        """
        embeddings = self._embeddings
        some = np.linspace(0, len(embeddings) - 1, MOST).astype(np.int64)
        self._by_cosine.choose(normalized(embeddings.vectors[some]))
        rows = self._some_rows()
        if len(rows):
            queries = embeddings.key_queries(rows)
        else:
            queries = embeddings.query_vectors(History(np.arange(MOST + 1), some.astype(np.int32)))
        self._by_product.choose(queries)

    def _some_rows(self) -> np.ndarray:
        """Return some keys, but for those whose histories are so long that the server would start with much memory."""
        embeddings = self._embeddings
        n = len(embeddings.keys or ())
        rows = np.linspace(0, n - 1, MOST if n else 0).astype(np.int64)
        if embeddings.key_vectors is not None or embeddings.histories is None:
            return rows
        indptr = embeddings.histories.indptr
        return rows[indptr[rows + 1] - indptr[rows] <= MOST_ENTRIES // MOST]

    def _made(self, questions: list[Question]) -> np.ndarray:
        """Return the query vectors of keys and histories."""
        embeddings = self._embeddings
        made = np.empty((len(questions), embeddings.vector_size), np.float32)
        keys = [i for i, question in enumerate(questions) if question.history is None]
        if keys:
            made[keys] = embeddings.key_queries(np.array([questions[i].row for i in keys]))
        for i, question in enumerate(questions):
            if question.history is not None:
                made[i] = embeddings.query_vectors(question.history)[0]
        return made


def _sorted(ids: np.ndarray, scores: np.ndarray, topn: list[int]) -> list[Ranking]:
    """Return the rows best first, equal scores by lower id, each cut to its length and to what was found."""
    order = np.lexsort((ids, -scores), axis=-1)
    ids, scores = np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
    found = np.minimum((ids >= 0).sum(axis=1), topn).tolist()
    return [(ids[row, :n].tolist(), scores[row, :n].tolist()) for row, n in enumerate(found)]


def unit(vector: np.ndarray) -> np.ndarray:
    """Return a vector with length 1, as questions by cosine want it."""
    return np.asarray(normalized(vector[None])[0])
