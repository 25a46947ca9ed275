"""Likeness of vectors: cosine, dot product, Euclidean distance, and analogies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from embedkit.errors import OptionError
from embedkit.scoring.nearest import products, rank_through
from embedkit.scoring.ranking import Ranked, Rows, rank
from embedkit.scoring.tiers import Tiers

Metric = Literal["cosine", "dot", "euclidean"]
AnalogyMethod = Literal["3cosadd", "3cosmul"]

_BLOCK_ROWS = 1 << 14
_SAFE = 1e-30, 1e30  # squares that float32 holds with all its digits
_EPSILON = np.float32(0.001)  # Levy & Goldberg (2014) keep 3CosMul's divisor from zero with it


def inverse_norms(vectors: np.ndarray) -> np.ndarray:
    """Return 1 / |v| for each row of `vectors` (n × d) as float32 (n), 0 for a row of zeros; in blocks."""
    inverse = np.zeros(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        with np.errstate(over="ignore"):
            squares = np.einsum("ij,ij->i", block, block).astype(np.float64)
        # What overflows float32, or loses its digits at the other end, is worked out in float64.
        extreme = np.flatnonzero(~((squares > _SAFE[0]) & (squares < _SAFE[1])))
        with np.errstate(invalid="ignore"):  # a signalling NaN, in a damaged model: the scores are not finite then
            squares[extreme] = np.square(block[extreme].astype(np.float64)).sum(axis=1)
        part = inverse[start : start + len(block)]
        with np.errstate(over="ignore"):
            np.divide(1, np.sqrt(squares), out=part, where=squares > 0, casting="same_kind")
    return inverse


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Return `vectors` (n × d) as float32 rows of length 1; rows of zeros stay zeros."""
    with np.errstate(invalid="ignore"):  # infinity times nought, in a damaged model
        return np.asarray(vectors * inverse_norms(vectors)[:, None], np.float32)


def most_similar_built(
    queries: np.ndarray,
    build: Callable[[np.ndarray], np.ndarray],
    n: int,
    k: int,
    *,
    exclude: Rows | None = None,
) -> Ranked:
    """Return which of `n` vectors that are built on the way have the greatest cosines with each query.

    Parameters
    ----------
    build
        From int64 ids (m) to their vectors, float32 (m × d).
    exclude
        As for `rank`.
    """
    units = normalized(queries)

    def score(rows: slice, items: slice | np.ndarray, out: np.ndarray) -> None:
        ids = np.arange(items.start, items.stop) if isinstance(items, slice) else items
        for start in range(0, len(ids), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            out[:, part] = units[rows] @ normalized(build(ids[part])).T

    return rank(score, len(queries), n, k, exclude=exclude)


def most_similar(
    queries: np.ndarray,
    vectors: np.ndarray,
    inverse: np.ndarray,
    k: int,
    *,
    exclude: Rows | None = None,
    banned: np.ndarray | None = None,
    only: np.ndarray | None = None,
    tiers: Tiers | None = None,
) -> Ranked:
    """Return the rows of `vectors` with the greatest cosines with each query.

    Parameters
    ----------
    queries
        float32 (n_queries × d).
    vectors
        float32 (n × d).
    inverse
        `inverse_norms(vectors)`.
    exclude, banned, only
        As for `rank`.
    tiers
        As for `topk`, of `normalized(vectors)`.
    """
    units = normalized(queries)

    def score(rows: slice, items: slice | np.ndarray, out: np.ndarray) -> None:
        np.matmul(units[rows], vectors[items].T, out=out)
        out *= inverse[items]

    def exact(rows: np.ndarray, left_out: Rows | None) -> Ranked:
        return most_similar(units[rows], vectors, inverse, k, exclude=left_out, banned=banned, only=only)

    if tiers is not None:

        def rescore(rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
            return products(units[rows], vectors, ids) * inverse[ids]

        return rank_through(tiers, units, rescore, exact, k, exclude=exclude, banned=banned, only=only)

    return rank(score, len(queries), len(vectors), k, exclude=exclude, banned=banned, only=only)


def similarity(a: np.ndarray, b: np.ndarray, metric: Metric = "cosine") -> np.ndarray:
    """Return the likeness of each row of `a` to the same row of `b` (both n × d) as float64 (n).

    `euclidean` is a distance: less is more alike. The cosine with a row of zeros is 0.

    Raises
    ------
    OptionError
        For another metric.
    """
    if metric not in get_args(Metric):
        raise OptionError("metric", f"must be one of {', '.join(map(repr, get_args(Metric)))}; got {metric!r}.")
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "euclidean":
        return np.asarray(np.sqrt(np.square(a - b).sum(axis=1)))
    products = np.einsum("ij,ij->i", a, b)
    if metric == "dot":
        return np.asarray(products)
    norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    return np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)


def analogy(
    vectors: np.ndarray,
    inverse: np.ndarray,
    questions: np.ndarray,
    k: int,
    method: AnalogyMethod = "3cosadd",
    *,
    given: np.ndarray | None = None,
    banned: np.ndarray | None = None,
    only: np.ndarray | None = None,
) -> Ranked:
    """Answer questions "a is to b as c is to ?", leaving a, b and c out of the answers.

    3CosAdd ranks by cos(d, b - a + c), 3CosMul by cos(d, b) · cos(d, c) / (cos(d, a) + 0.001), its cosines
    shifted to 0 .. 1 (Levy & Goldberg 2014, "Linguistic Regularities in Sparse and Explicit Word
    Representations"); vectors are brought to length 1 first.

    Parameters
    ----------
    vectors
        float32 (n × d).
    inverse
        `inverse_norms(vectors)`.
    questions
        int (n_questions × 3): the ids of a, b and c; -1 for what has none.
    given
        float32 (n_questions × 3 × d): their vectors, where not all of them have ids.
    banned, only
        As for `rank`.

    Raises
    ------
    OptionError
        For another method.
    """
    if method not in get_args(AnalogyMethod):
        words = ", ".join(map(repr, get_args(AnalogyMethod)))
        raise OptionError("method", f"must be one of {words}; got {method!r}.")
    a, b, c = (normalized(words) for words in np.moveaxis(vectors[questions] if given is None else given, 1, 0))
    known = questions >= 0
    exclude = Rows(np.concatenate(([0], np.cumsum(known.sum(axis=1)))), questions[known])
    if method == "3cosadd":
        return most_similar(b - a + c, vectors, inverse, k, exclude=exclude, banned=banned, only=only)

    def score(rows: slice, items: slice | np.ndarray, out: np.ndarray) -> None:
        candidates = (vectors[items] * (inverse[items, None] / 2)).T
        np.matmul(b[rows], candidates, out=out)
        out += 0.5
        out *= c[rows] @ candidates + np.float32(0.5)
        out /= np.maximum(a[rows] @ candidates + np.float32(0.5), 0) + _EPSILON

    return rank(score, len(questions), len(vectors), k, exclude=exclude, banned=banned, only=only)
