"""The nearest neighbours of every point in the full space: exact, by cosine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from embedkit import scoring
from embedkit.contracts import Run
from embedkit.memory import check_fits

MANY = 5000
"""Points from which their scores, or the compiled code that selects from them, take memory worth asking for."""

_TO_SELECT = 180_000_000  # bytes, with many
_AT_ONCE = 4096  # points asked at a time: half a second or so between two looks at the clock


class Neighbours(NamedTuple):
    """What lies nearest to each of n points, nearest first, the point itself left out.

    Attributes
    ----------
    ids
        int32 (n × k).
    cosines
        float32 of that shape.
    """

    ids: np.ndarray
    cosines: np.ndarray


def nearest(vectors: np.ndarray, k: int, run: Run | None = None) -> Neighbours:
    """Return the `k` nearest neighbours of each row of `vectors` (float32, n × d); n - 1 where there are fewer."""
    n = len(vectors)
    k = max(0, min(k, n - 1))
    found = Neighbours(np.empty((n, k), np.int32), np.empty((n, k), np.float32))
    if k == 0:
        return found
    if n >= MANY:
        check_fits(_TO_SELECT, f"finding the neighbours of {n:,} tokens", "fewer tokens need less")
    inverse = scoring.inverse_norms(vectors)
    for start in range(0, n, _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, n))
        itself = scoring.Rows(np.arange(len(rows) + 1), rows)
        ranked = scoring.most_similar(vectors[rows], vectors, inverse, k, exclude=itself)
        found.ids[rows], found.cosines[rows] = ranked
        if run is not None:
            run.progress(int(rows[-1]) + 1, n, unit="neighbours")
    return found
