"""What a history says of each of its tokens: one number for all their occurrences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedkit.contracts import History

if TYPE_CHECKING:
    import numpy as np


def interactions(history: History, weighting: str, recency_exponent: float = 0.0) -> History:
    """Return each history with every token once, tokens ascending, weighted by what its occurrences come to.

    Trainers and query builders both go through here, so that a history means the same to both.

    Parameters
    ----------
    weighting
        `sum`: the sum w of the occurrences' weights (1 each where there are none). `logarithm`: log₂(1 + w), which
        is 1 for w = 1 and grows slowly with repeats (Hu, Koren and Volinsky 2008 have the like). `presence`: 1.
        `mean`: the mean weight of the occurrences.
    recency_exponent
        Weights are divided by m to this power, m being 1 for the token that was met last, and for another 1 more than
        the number of tokens last met after it: by time where there are times, else by place.

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
    weights = _weigh(sums, occurrences, weighting)
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.bincount(rows[starts], minlength=len(history)))))
    if recency_exponent and len(starts):
        # Entries of one row and token stand in their old order, so the last of each group is the latest.
        met = order[np.append(starts[1:], len(indices)) - 1]
        when = met if history.times is None else history.times[begin:end][met]
        weights *= (_ranks_from_latest(rows[starts], when) ** -recency_exponent).astype(np.float32)
    return History(indptr, indices[starts].astype(np.int32), weights)


def _ranks_from_latest(rows: np.ndarray, when: np.ndarray) -> np.ndarray:
    """Return for each entry 1 + how many of its row are later; float64."""
    import numpy as np

    order = np.lexsort((-when, rows))
    places = np.arange(len(order))
    new_row, changed = np.ones(len(order), bool), np.ones(len(order), bool)
    new_row[1:] = rows[order][1:] != rows[order][:-1]
    changed[1:] = new_row[1:] | (when[order][1:] != when[order][:-1])
    began, equal_since = (np.maximum.accumulate(np.where(marks, places, 0)) for marks in (new_row, changed))
    ranks = np.empty(len(order))
    ranks[order] = equal_since - began + 1
    return ranks


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
