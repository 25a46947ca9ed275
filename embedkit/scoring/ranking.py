"""The one way to the best: scores in blocks, what is left out, and the best k of each row, ties by lower id."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from embedkit.errors import EmbedkitError, OptionError
from embedkit.memory import available_cores

Scorer = Callable[[slice, "slice | np.ndarray", np.ndarray], None]
"""Writes the scores of some queries and some candidates (a slice, or ids) into a float32 block of that shape."""

_BLOCK = 1 << 24  # scores of a block that NumPy selects from: 64 MiB
_TILE_ROWS, _TILE_COLUMNS = 1024, 1024  # a block that the kernel selects from: 4 MiB
_WORTH_COMPILING = 1 << 28  # scores from which the kernel wins more than importing numba costs
_WORTH_ROWS = 512  # queries from which threads have blocks that are worth a matrix product each
_BLAS_LOCK = threading.Lock()


class Ranked(NamedTuple):
    """The best candidates of each query, best first.

    Attributes
    ----------
    ids
        int32 (n_queries × k), -1 where fewer than k candidates exist.
    scores
        float32 of that shape, -inf where the id is -1.
    """

    ids: np.ndarray
    scores: np.ndarray


class Rows(NamedTuple):
    """Ids for each query in compressed rows: row r's are `indices[indptr[r]:indptr[r + 1]]`."""

    indptr: np.ndarray
    indices: np.ndarray


def rank(
    score: Scorer,
    n_queries: int,
    n_items: int,
    k: int,
    *,
    exclude: Rows | None = None,
    banned: np.ndarray | None = None,
    only: np.ndarray | None = None,
    kernel: bool | None = None,
) -> Ranked:
    """Return the best `k` of `n_items` candidates for each of `n_queries` queries.

    Every candidate is scored. Exactly k come back where that many exist, whatever is left out.

    Parameters
    ----------
    score
        Writes a block of scores.
    exclude
        Ids that are left out of each query's answer.
    banned
        Ids that are left out of every answer.
    only
        The ids that may be answers; nothing else is scored.
    kernel
        Whether numba selects; None decides by the amount of work.

    Raises
    ------
    OptionError
        If `k` is less than 1.
    EmbedkitError
        If a score is not finite.
    """
    if k < 1:
        raise OptionError("topn", f"must be a whole number of at least 1; got {k}.")
    candidates = None if only is None else np.unique(only)
    n = n_items if candidates is None else len(candidates)
    ids = np.full((n_queries, min(k, n)), -1, np.int32)
    scores = np.full(ids.shape, -np.inf, np.float32)
    if ids.size == 0:
        return Ranked(ids, scores)
    rows = _as_candidates(exclude or Rows(np.zeros(n_queries + 1, np.int64), np.empty(0, np.int32)), candidates)
    mask = _mask(banned, candidates, n)
    if kernel is None:
        kernel = n_queries * n >= _WORTH_COMPILING and n_queries >= _WORTH_ROWS
    select = _rank_with_kernel if kernel else _rank_with_numpy
    select(_Blocks(score, candidates, n_queries, n), rows, mask, Ranked(ids, scores))
    if candidates is not None:
        ids = np.where(ids >= 0, candidates[ids], -1).astype(np.int32)
    return Ranked(ids, scores)


class _Blocks(NamedTuple):
    """Scores in blocks, one after the other in the same memory."""

    score: Scorer
    candidates: np.ndarray | None
    n_queries: int
    n: int

    def __call__(
        self, height: int, width: int, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[slice, int, np.ndarray]]:
        """Yield (queries, first candidate, scores) for queries `first` to `last`.

        All candidates of some queries come before the next queries.
        """
        last = self.n_queries if last is None else min(last, self.n_queries)
        memory = np.empty(min(height, last - first) * min(width, self.n), np.float32)
        for top in range(first, last, height):
            queries = slice(top, min(top + height, last))
            for left in range(0, self.n, width):
                items = slice(left, min(left + width, self.n))
                shape = queries.stop - top, items.stop - left
                block = memory[: shape[0] * shape[1]].reshape(shape)
                with np.errstate(over="ignore", invalid="ignore"):  # whoever takes them looks whether they are finite
                    self.score(queries, items if self.candidates is None else self.candidates[items], block)
                yield queries, left, block


def _as_candidates(rows: Rows, candidates: np.ndarray | None) -> Rows:
    """Return rows of places among the candidates, without the ids that are none."""
    if candidates is None:
        return rows
    places = np.searchsorted(candidates, rows.indices)
    there = candidates[np.minimum(places, len(candidates) - 1)] == rows.indices
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(there, dtype=np.int64)))[rows.indptr]
    return Rows(indptr, places[there].astype(np.int32))


def _mask(banned: np.ndarray | None, candidates: np.ndarray | None, n: int) -> np.ndarray:
    """Return bool (n), True for the candidates that are banned, or an empty array where none is."""
    if banned is None or len(banned) == 0:
        return np.empty(0, np.bool_)
    if candidates is not None:
        return np.isin(candidates, banned)
    mask = np.zeros(n, np.bool_)
    mask[banned] = True
    return mask


def _not_finite(row: int) -> EmbedkitError:
    return EmbedkitError(
        f"a score of query {row} is not finite: the model holds NaN, infinite or huge numbers. "
        "Check it with `embedkit info --verify`, and train again with a lower alpha."
    )


def _rank_with_numpy(blocks: _Blocks, exclude: Rows, mask: np.ndarray, best: Ranked) -> None:
    height = max(1, _BLOCK // blocks.n)
    for queries, left, scores in blocks(height, _BLOCK):
        finite = np.isfinite(scores)
        if not finite.all():
            raise _not_finite(queries.start + int(np.argmin(finite.all(axis=1))))
        if len(mask):
            scores[:, mask[left : left + scores.shape[1]]] = -np.inf
        _leave_out(scores, left, Rows(exclude.indptr[queries.start : queries.stop + 1], exclude.indices))
        _merge(scores, left, Ranked(best.ids[queries], best.scores[queries]))


def _leave_out(scores: np.ndarray, left: int, exclude: Rows) -> None:
    """Set to -inf the scores of each row's excluded candidates."""
    lengths = np.diff(exclude.indptr)
    columns = exclude.indices[exclude.indptr[0] : exclude.indptr[-1]] - left
    rows = np.repeat(np.arange(len(lengths)), lengths)
    inside = (columns >= 0) & (columns < scores.shape[1])
    scores[rows[inside], columns[inside]] = -np.inf


def _merge(scores: np.ndarray, left: int, best: Ranked) -> None:
    """Merge the scores of candidates `left` and up into `best`, in place; -inf stands for what is left out."""
    k, width = best.ids.shape[1], scores.shape[1]
    chosen = scores > -np.inf
    if width > k:
        chosen &= scores >= np.partition(scores, width - k, axis=1)[:, width - k, None]
    rows, columns = np.nonzero(chosen)
    old_rows, old_columns = np.nonzero(best.ids >= 0)
    rows = np.concatenate((old_rows, rows))
    ids = np.concatenate((best.ids[old_rows, old_columns], columns + left))
    values = np.concatenate((best.scores[old_rows, old_columns], scores[chosen]))
    order = np.lexsort((ids, -values, rows))
    rows, ids, values = rows[order], ids[order], values[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = place < k
    best.ids[rows[kept], place[kept]] = ids[kept]
    best.scores[rows[kept], place[kept]] = values[kept]


def _rank_with_kernel(blocks: _Blocks, exclude: Rows, mask: np.ndarray, best: Ranked) -> None:
    """Give each thread rows of its own to score and select from.

    BLAS runs on one thread meanwhile: threads of its own would wait for each other at every block, which costs
    half of the time where the machine has other work too. That setting is the process's, hence the lock.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from embedkit.scoring.kernels import keep_best

    workers = available_cores()
    indptr, indices = exclude.indptr.astype(np.int64), exclude.indices.astype(np.int32)
    height = max(1, min(_TILE_ROWS, -(-blocks.n_queries // workers)))

    def work(top: int) -> None:
        stamps = np.empty(min(_TILE_COLUMNS, blocks.n), np.int64)
        for queries, left, scores in blocks(height, _TILE_COLUMNS, top, top + height):
            stamps.fill(-1)
            heaps = best.ids[queries], best.scores[queries]
            rows = indptr[queries.start : queries.stop + 1]
            bad = keep_best(scores, left, 0, len(scores), rows, indices, mask, stamps, *heaps)
            if bad >= 0:
                raise _not_finite(queries.start + bad)

    with _BLAS_LOCK, threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, range(0, blocks.n_queries, height)):
            pass
    order = np.lexsort((best.ids, -best.scores), axis=-1)
    best.ids[:] = np.take_along_axis(best.ids, order, axis=1)
    best.scores[:] = np.take_along_axis(best.scores, order, axis=1)
