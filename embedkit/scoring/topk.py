"""The best dot products: what recommends."""

from __future__ import annotations

import numpy as np

from embedkit.scoring.nearest import products, rank_through
from embedkit.scoring.ranking import Ranked, Rows, rank
from embedkit.scoring.tiers import Tiers


def topk(
    queries: np.ndarray,
    vectors: np.ndarray,
    k: int,
    *,
    exclude: Rows | None = None,
    banned: np.ndarray | None = None,
    only: np.ndarray | None = None,
    kernel: bool | None = None,
    tiers: Tiers | None = None,
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
    tiers
        `Tiers` of `vectors`, to look into some of instead of at all rows: about nine in ten, or more, of the best are
        found then, with their exact scores.

    Returns
    -------
    Ranked
        int32 ids and float32 scores (n_queries × min(k, n)), best first, equal scores by lower id.
    """

    def score(rows: slice, items: slice | np.ndarray, out: np.ndarray) -> None:
        np.matmul(queries[rows], vectors[items].T, out=out)

    if tiers is not None:
        return rank_through(
            tiers,
            queries,
            lambda rows, ids: products(queries[rows], vectors, ids),
            lambda rows, left_out: topk(queries[rows], vectors, k, exclude=left_out, banned=banned, only=only),
            k,
            exclude=exclude,
            banned=banned,
            only=only,
        )
    return rank(score, len(queries), len(vectors), k, exclude=exclude, banned=banned, only=only, kernel=kernel)


def popular(counts: np.ndarray, k: int, *, banned: np.ndarray | None = None, only: np.ndarray | None = None) -> Ranked:
    """Return the ids with the greatest counts as a ranking of one row; the scores are the counts."""

    def score(rows: slice, items: slice | np.ndarray, out: np.ndarray) -> None:
        out[:] = counts[items]

    return rank(score, 1, len(counts), k, banned=banned, only=only)
