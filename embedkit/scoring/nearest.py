"""The best through tiers of cells: more than are asked for, ranked again by the vectors themselves."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from embedkit.errors import EmbedkitError, OptionError
from embedkit.memory import available_cores
from embedkit.scoring.ranking import Ranked, Rows
from embedkit.scoring.tiers import Tiers

Exact = Callable[[np.ndarray, "Rows | None"], Ranked]
"""Ranks all there is for the queries at these rows, without what is left out of each of them."""

Rescore = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From rows of queries (m) and candidates of each (m × c) to their scores, float32 (m × c)."""

_LEAST = 100  # fetched for a query: codes of four bits put the best among these, not in front
_MORE = 4  # times as many as are asked for are fetched, and again for those queries whose answers were left out
_DEEP = 0.5  # of what was fetched must remain after leaving out, or what is best of the rest may lie beyond it
_MOST = 2048  # fetched for a query; where filters leave less than is asked for, all is ranked
_FEW = 1 / 8  # of all candidates: where no more may be answers, ranking these is quicker than passing all others by
_PAIRS = 1 << 14  # scored again at a time: 8 MB of vectors of 128 numbers


def rank_through(
    tiers: Tiers,
    queries: np.ndarray,
    rescore: Rescore,
    exact: Exact,
    k: int,
    *,
    exclude: Rows | None = None,
    banned: np.ndarray | None = None,
    only: np.ndarray | None = None,
) -> Ranked:
    """Return about the best `k` candidates for each query, found through `tiers`, with their exact scores.

    As many come back as `rank` returns, whatever is left out: where the cells hold too few, all candidates are ranked.

    Parameters
    ----------
    queries
        float32 (n_queries × d).
    rescore, exact
        How candidates are scored, and how all of them are ranked.
    exclude, banned, only
        As for `rank`.

    Raises
    ------
    OptionError
        If `k` is less than 1.
    EmbedkitError
        If a score is not finite.
    """
    if k < 1:
        raise OptionError("topn", f"must be a whole number of at least 1; got {k}.")
    n, n_queries = len(tiers), len(queries)
    allowed = None if only is None else np.unique(only)
    if (allowed is not None and len(allowed) <= n * _FEW) or k * _MORE > _MOST:
        return exact(np.arange(n_queries), exclude)
    shape = n_queries, min(k, n)
    search = _Search(tiers, queries, rescore, _Filters(n, exclude, banned, allowed), _nothing(shape))
    left = np.flatnonzero(queries.any(axis=1))
    fetched, effort = max(_LEAST, k * _MORE), 1
    while len(left) and fetched <= min(n, _MOST):
        search.fill(left, fetched, effort)
        left = left[search.remained[left] < _DEEP]
        fetched, effort = fetched * _MORE, effort * _MORE
    best = search.best
    short = np.flatnonzero(search.remained < _DEEP)
    if len(short):
        found = exact(short, None if exclude is None else _taken(exclude, short))
        width = found.ids.shape[1]
        best.ids[short], best.scores[short] = -1, -np.inf
        best.ids[short, :width], best.scores[short, :width] = found
    return best


def products(queries: np.ndarray, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the dot product of each query (m × d) with each of its candidates (m × c): float32 (m × c)."""
    return np.asarray(np.matmul(vectors[ids], queries[:, :, None])[..., 0])


def _nothing(shape: tuple[int, int]) -> Ranked:
    return Ranked(np.full(shape, -1, np.int32), np.full(shape, -np.inf, np.float32))


class _Filters:
    """What may be no answer, of any query or of one."""

    def __init__(self, n: int, exclude: Rows | None, banned: np.ndarray | None, allowed: np.ndarray | None) -> None:
        self._mask: np.ndarray | None = None
        if allowed is not None or (banned is not None and len(banned)):
            self._mask = np.full(n, allowed is not None)
            if allowed is not None:
                self._mask[allowed] = False
            if banned is not None:
                self._mask[banned] = True
        self._n, self._exclude = n, exclude

    def keep(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Return bool (m × c): which candidates of the queries at these rows may be answers."""
        kept = ids >= 0
        if self._mask is not None:
            kept &= ~self._mask[ids]
        if self._exclude is not None:
            indptr, indices = _taken(self._exclude, rows)
            of_row = np.arange(len(rows)) * self._n
            kept &= ~np.isin(ids + of_row[:, None], np.repeat(of_row, np.diff(indptr)) + indices)
        return kept


def _taken(rows: Rows, wanted: np.ndarray) -> Rows:
    """Return some of compressed rows."""
    begins = rows.indptr[wanted]
    lengths = rows.indptr[wanted + 1] - begins
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    return Rows(indptr, rows.indices[np.repeat(begins - indptr[:-1], lengths) + np.arange(indptr[-1])])


class _Search:
    """A search under way.

    Attributes
    ----------
    best
        What was found so far.
    remained
        float64 (n_queries), the share of a tier's candidates that there were and that were not left out, at its least.
    """

    def __init__(self, tiers: Tiers, queries: np.ndarray, rescore: Rescore, filters: _Filters, best: Ranked) -> None:
        self._tiers, self._queries, self._rescore, self._filters = tiers, queries, rescore, filters
        self._lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
        self.best = best
        self.remained = np.zeros(len(queries))

    def fill(self, rows: np.ndarray, fetched: int, effort: int) -> None:
        """Find the best for the queries at these rows anew, among so many of each tier that they need."""
        self.best.ids[rows], self.best.scores[rows] = -1, -np.inf
        self.remained[rows] = 1
        for cells, longest in zip(self._tiers.cells, self._tiers.longest.tolist(), strict=True):
            with np.errstate(over="ignore"):  # infinity is out of reach
                beyond_reach = self.best.scores[rows, -1] >= self._lengths[rows] * longest
            rows = rows[~beyond_reach]
            ids = cells.search(self._queries[rows], min(fetched, len(cells)), effort)
            height = max(1, _PAIRS // ids.shape[1])
            parts = [slice(start, start + height) for start in range(0, len(rows), height)]
            if len(parts) > 1:
                self._merge_in_threads(rows, ids, parts)
            elif len(rows):
                self._merge(rows, ids)

    def _merge_in_threads(self, rows: np.ndarray, ids: np.ndarray, parts: list[slice]) -> None:
        with ThreadPoolExecutor(min(available_cores(), len(parts))) as pool:
            for _ in pool.map(lambda part: self._merge(rows[part], ids[part]), parts):
                pass

    def _merge(self, rows: np.ndarray, ids: np.ndarray) -> None:
        """Merge candidates, none of which was met before, into the best of some queries."""
        scores = self._rescore(rows, ids)
        if not np.isfinite(scores[ids >= 0]).all():
            raise EmbedkitError(
                "a score is not finite: the model holds NaN, infinite or huge numbers. "
                "Check it with `embedkit info --verify`, and train again with a lower alpha."
            )
        kept = self._filters.keep(rows, ids)
        self.remained[rows] = np.minimum(self.remained[rows], kept.mean(axis=1))
        ids = np.concatenate((self.best.ids[rows], np.where(kept, ids, -1)), axis=1)
        scores = np.concatenate((self.best.scores[rows], np.where(kept, scores, -np.inf)), axis=1)
        k = self.best.ids.shape[1]
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        ids, scores = np.take_along_axis(ids, best, axis=1), np.take_along_axis(scores, best, axis=1)
        order = np.lexsort((ids, -scores), axis=-1)
        self.best.ids[rows] = np.take_along_axis(ids, order, axis=1)
        self.best.scores[rows] = np.take_along_axis(scores, order, axis=1)
