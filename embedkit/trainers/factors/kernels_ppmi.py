"""The numba kernels of PPMI: positive logarithms of counts against what chance would give, and products with them."""

import numpy as np

from embedkit.compiled import kernel


@kernel
def positive(indptr, indices, counts, first, last, row_offsets, column_offsets, lengths, out_indices, out_values):
    """Write max(0, log count - row offset - column offset) of rows first..last, leaving zeros out; return how many.

    Parameters
    ----------
    indptr, indices, counts : int64, int32, float32
        Counts in compressed rows.
    row_offsets, column_offsets : float64 (n_tokens)
        What is subtracted in each row and each column.
    lengths : int64 (last - first)
        Receives how many entries each row keeps.
    out_indices, out_values : int32, float32
        Receive the entries.
    """
    at = 0
    for row in range(first, last):
        before = at
        for entry in range(indptr[row], indptr[row + 1]):
            column = indices[entry]
            value = np.float32(np.log(np.float64(counts[entry])) - row_offsets[row] - column_offsets[column])
            if value > 0:
                out_indices[at] = column
                out_values[at] = value
                at += 1
        lengths[row - first] = at - before
    return at


@kernel
def multiply(indptr, indices, values, first, last, right, out):
    """Set rows first..last of `out` to those of a sparse matrix times `right` (float32, n_columns × width)."""
    for row in range(first, last):
        out[row] = 0
        for entry in range(indptr[row], indptr[row + 1]):
            value, column = values[entry], indices[entry]
            for k in range(right.shape[1]):
                out[row, k] += value * right[column, k]
