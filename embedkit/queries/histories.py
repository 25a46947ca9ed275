"""What a history says of each of its tokens: one number for all their occurrences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedkit.contracts import History

if TYPE_CHECKING:
    import numpy as np


def interactions(history: History, weighting: str) -> History:
    """Return each history with every token once, tokens ascending, weighted by what its occurrences come to.

    Trainers and query builders both go through here, so that a history means the same to both.

    Parameters
    ----------
    weighting
        `sum`: the sum w of the occurrences' weights (1 each where there are none). `logarithm`: log₂(1 + w), which
        is 1 for w = 1 and grows slowly with repeats (Hu, Koren and Volinsky 2008 have the like). `presence`: 1.
        `mean`: the mean weight of the occurrences.

    Returns
    -------
    History
        `indptr` from 0; weights float32; no times.
    """
    import numpy as np

    begin, end = history.indptr[0], history.indptr[-1]
    rows = np.repeat(np.arange(len(history)), np.diff(history.indptr))
    indices = history.indices[begin:end]
    order = np.lexsort((indices, rows))
    rows, indices = rows[order], indices[order]
    new = np.ones(len(indices), bool)
    new[1:] = (rows[1:] != rows[:-1]) | (indices[1:] != indices[:-1])
    starts = np.flatnonzero(new)
    occurrences = np.diff(starts, append=len(indices)).astype(np.float64)
    sums = occurrences
    if history.weights is not None and len(starts):
        sums = np.add.reduceat(history.weights[begin:end][order].astype(np.float64), starts)
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.bincount(rows[starts], minlength=len(history)))))
    return History(indptr, indices[starts].astype(np.int32), _weigh(sums, occurrences, weighting))


def _weigh(sums: np.ndarray, occurrences: np.ndarray, weighting: str) -> np.ndarray:
    """Return float32 weights of the sums of weights and the numbers of occurrences."""
    import numpy as np

    if weighting == "logarithm":
        return np.log2(1 + sums).astype(np.float32)
    if weighting == "presence":
        return np.ones(len(sums), np.float32)
    if weighting == "mean":
        return (sums / occurrences).astype(np.float32)
    if weighting == "sum":
        return sums.astype(np.float32)
    raise ValueError(f"weighting must be logarithm, sum, presence or mean, not {weighting!r}")
