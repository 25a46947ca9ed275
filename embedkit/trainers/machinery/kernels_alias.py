"""Vose's algorithm for alias tables."""

import numpy as np

from embedkit.compiled import kernel


@kernel
def fill(scaled, accept, alias):
    """Fill an alias table (Vose 1991, "A linear algorithm for generating random numbers with a given distribution").

    Parameters
    ----------
    scaled : float64 (n)
        Probabilities times n; used up.
    accept : float32 (n)
        All ones; receives the probability of keeping a cell.
    alias : int32 (n)
        Receives the token taken instead.
    """
    n = scaled.shape[0]
    waiting = np.empty(n, np.int32)
    n_small = 0
    n_large = 0
    for i in range(n):  # cells under 1 wait on the left of `waiting`, the others on its right
        if scaled[i] < 1.0:
            waiting[n_small] = i
            n_small += 1
        else:
            n_large += 1
            waiting[n - n_large] = i
    while n_small > 0 and n_large > 0:
        n_small -= 1
        less = waiting[n_small]
        more = waiting[n - n_large]
        accept[less] = scaled[less]
        alias[less] = more
        scaled[more] -= 1.0 - scaled[less]
        if scaled[more] < 1.0:
            n_large -= 1
            waiting[n_small] = more
            n_small += 1
