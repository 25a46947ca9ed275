"""The best dot products: what recommends."""

from __future__ import annotations

import numpy as np

from embedkit.scoring.ranking import Ranked, Rows, rank


def topk(
    queries: np.ndarray,
    vectors: np.ndarray,
    k: int,
    *,
    exclude: Rows | None = None,
    banned: np.ndarray | None = None,
    only: np.ndarray | None = None,
    kernel: bool | None = None,
) -> Ranked:
    """Return the rows of `vectors` with the greatest dot products with each query.

    Parameters
    ----------
    queries
        float32 (n_queries × d).
    vectors
        float32 (n × d).
    k
        How many to return; fewer come back only where fewer exist.
    exclude, banned, only, kernel
        As for `rank`.

    Returns
    -------
    Ranked
        int32 ids and float32 scores (n_queries × min(k, n)), best first, equal scores by lower id.
    """

    def score(rows: slice, items: slice | np.ndarray, out: np.ndarray) -> None:
        np.matmul(queries[rows], vectors[items].T, out=out)

    return rank(score, len(queries), len(vectors), k, exclude=exclude, banned=banned, only=only, kernel=kernel)


def popular(counts: np.ndarray, k: int, *, banned: np.ndarray | None = None, only: np.ndarray | None = None) -> Ranked:
    """Return the ids with the greatest counts as a ranking of one row; the scores are the counts."""

    def score(rows: slice, items: slice | np.ndarray, out: np.ndarray) -> None:
        out[:] = counts[items]

    return rank(score, 1, len(counts), k, banned=banned, only=only)
