"""fastText's list of words, and vectors of words put together from those of their n-grams."""

import numpy as np

from embedkit.compiled import kernel


@kernel
def find_entries(data, at, starts, stops, counts, kinds):
    """Find entries of a word that ends in a zero byte, its count (int64) and its type (int8).

    Returns
    -------
    at : int
        The byte after the last, or -1 where the data end too soon.
    """
    for entry in range(starts.shape[0]):
        stop = at
        while stop < data.shape[0] and data[stop] != 0:
            stop += 1
        if stop + 10 > data.shape[0]:
            return -1
        starts[entry], stops[entry] = at, stop
        count = np.uint64(0)
        for byte in range(8):
            count |= np.uint64(data[stop + 1 + byte]) << np.uint64(8 * byte)
        counts[entry] = np.int64(count)
        kinds[entry] = data[stop + 9]
        at = stop + 10
    return at


@kernel
def mean_rows(own, table, indptr, rows, out):
    """Set out[w] to the mean of own[w] and the rows of `table` that rows[indptr[w]:indptr[w + 1]] name; all float32."""
    for word in range(own.shape[0]):
        share = np.float32(1 / (indptr[word + 1] - indptr[word] + 1))
        for column in range(own.shape[1]):
            out[word, column] = own[word, column]
        for i in range(indptr[word], indptr[word + 1]):
            row = rows[i]
            for column in range(own.shape[1]):
                out[word, column] += table[row, column]
        for column in range(own.shape[1]):
            out[word, column] *= share
