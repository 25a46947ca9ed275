"""Copies of the most frequent tokens' rows, one set a worker: shared, these rows would wander from core to core.

Tokens are numbered by frequency, so tokens 0 to n_hot - 1 are the hot ones. A worker's copies lie in the tables
themselves, behind the tokens' rows, from row `copies` on; it works on those and hands over what it changed from time to
time. Updates add up as without copies; another worker sees them a few blocks later.
"""

import numpy as np

from embedkit.compiled import kernel
from embedkit.trainers.machinery.kernels_tiles import copy_row, mix_rows

f32 = np.float32
EXCHANGE_EVERY = 64


@kernel
def to_copies(rows, n_hot, copies):
    """Turn hot tokens' rows into those of the worker's copies."""
    for i in range(rows.shape[0]):
        if rows[i] < n_hot:
            rows[i] += copies


@kernel
def exchange(table, base, copies):
    """Add to the shared rows what the worker changed in its copies, and begin anew from them.

    Parameters
    ----------
    table : float32 (rows, width)
        Input or output vectors.
    base : float32 (n_hot, width)
        The copies as they were after the last exchange; zeros, like the copies, before the first.
    copies : int
        The row of the first copy.
    """
    for token in range(base.shape[0]):
        own = copies + token
        mix_rows(base, token, table, own, f32(1), base, token, f32(-1))
        mix_rows(table, token, table, token, f32(1), base, token, f32(1))
        copy_row(base, token, table, token)
        copy_row(table, own, base, token)
