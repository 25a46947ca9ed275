"""The numba kernel of products with a sparse matrix."""

from __future__ import annotations

import numpy as np

from embedkit.compiled import kernel


@kernel
def add_gram_product(
    indptr: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    first: int,
    last: int,
    right: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add Nᵀ N right to `out`, of rows `first` to `last` of a sparse N, without ever holding N right.

    Parameters
    ----------
    indptr, indices, values
        int64, int32, float32: N in compressed rows.
    right, out
        float32 (n_columns × width), C-contiguous.
    """
    width = right.shape[1]
    image = np.empty(width, np.float32)
    for row in range(first, last):
        image[:] = 0
        for entry in range(indptr[row], indptr[row + 1]):
            value, column = values[entry], indices[entry]
            for k in range(width):
                image[k] += value * right[column, k]
        for entry in range(indptr[row], indptr[row + 1]):
            value, column = values[entry], indices[entry]
            for k in range(width):
                out[column, k] += value * image[k]
