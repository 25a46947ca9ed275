"""The weighted mean of a history's vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from embedkit.contracts import History, QueryContext

_WORTH_SCIPY = 1 << 14  # entries from which a sparse product wins more than importing SciPy costs


def mean(history: History, context: QueryContext) -> np.ndarray:
    """Return the mean of the vectors of each history's tokens, weighted where the history has weights.

    Returns
    -------
    ndarray
        float32 (n × vector_size); a row of zeros for an empty history.
    """
    return weighted_sums(history, _normalized_weights(history), context.vectors)


def weighted_sums(history: History, weights: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return Σ weight · vector over each history: float32 (n × vector_size), zeros for an empty one.

    Parameters
    ----------
    weights
        float32, one for each entry from the first history's first on.
    """
    import numpy as np

    begin, end = history.indptr[0], history.indptr[-1]
    if len(weights) >= _WORTH_SCIPY:
        from scipy.sparse import csr_matrix

        shape = len(history), len(vectors)
        sparse = csr_matrix((weights, history.indices[begin:end], history.indptr - begin), shape=shape)
        return np.asarray(sparse @ vectors, np.float32)
    queries = np.zeros((len(history), vectors.shape[1]), np.float32)
    filled = np.diff(history.indptr) > 0
    if filled.any():
        weighted = vectors[history.indices[begin:end]] * weights[:, None]
        queries[filled] = np.add.reduceat(weighted, history.indptr[:-1][filled] - begin, axis=0)
    return queries


def mean_parts(history: History, context: QueryContext, target: np.ndarray) -> np.ndarray:
    """Return what each entry of one history adds to the score of `target` (d): float64 (n entries), exact."""
    import numpy as np

    vectors = context.vectors[history.indices[history.indptr[0] : history.indptr[-1]]]
    return np.asarray(_normalized_weights(history) * (vectors.astype(np.float64) @ target.astype(np.float64)))


def _normalized_weights(history: History) -> np.ndarray:
    """Return float32 weights of all entries that sum to 1 in each history."""
    import numpy as np

    begin, end = history.indptr[0], history.indptr[-1]
    lengths = np.diff(history.indptr)
    weights = np.ones(end - begin) if history.weights is None else history.weights[begin:end].astype(np.float64)
    sums = np.ones(len(lengths))
    filled = lengths > 0
    if filled.any():
        sums[filled] = np.add.reduceat(weights, history.indptr[:-1][filled] - begin)
        sums[sums == 0] = 1
    return np.asarray(weights / np.repeat(sums, lengths), np.float32)
