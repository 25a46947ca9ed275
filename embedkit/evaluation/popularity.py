"""How well tokens are found by how popular they are: what a mean over rows hides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedkit.evaluation.metrics import Interval
from embedkit.scoring import Rows

_BANDS = 10
_Z95 = 1.959963984540054


class Band(NamedTuple):
    """Tokens of like popularity.

    Attributes
    ----------
    least, most
        How often the least and the most popular of them occurred in what was learned from.
    tokens
        How many they are.
    targets, hits
        How often one of them was to be found, and how often it was among the first k.
    """

    least: int
    most: int
    tokens: int
    targets: int
    hits: int

    @property
    def recall(self) -> Interval:
        """The share that was found, with Wilson's 95% interval (1927)."""
        n, share = self.targets, self.hits / self.targets
        scale = 1 / (1 + _Z95**2 / n)
        middle = scale * (share + _Z95**2 / (2 * n))
        half = scale * _Z95 * (share * (1 - share) / n + (_Z95 / (2 * n)) ** 2) ** 0.5
        return Interval(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def by_popularity(
    ranked: np.ndarray,
    found: np.ndarray,
    targets: Rows,
    counts: np.ndarray,
    cutoffs: Sequence[int],
    bands: int = _BANDS,
) -> dict[int, tuple[Band, ...]]:
    """Return for each k how well tokens are found, from the least popular to the most popular ones.

    Bands hold about as many targets each, so that each says as much; tokens that are as popular share one, so there
    may be fewer.

    Parameters
    ----------
    ranked
        int32 (n × K), best first.
    found
        bool of that shape, as `metrics.hits` gives it.
    targets
        The ids to find.
    counts
        How often each token occurred.
    """
    wanted = targets.indices[targets.indices >= 0]
    if not len(wanted):
        return dict.fromkeys(cutoffs, ())
    edges = np.unique(np.quantile(counts[wanted], np.arange(1, bands) / bands, method="inverted_cdf"))
    band = np.searchsorted(edges, counts)
    n_targets = np.bincount(band[wanted], minlength=len(edges) + 1)
    there = np.flatnonzero(n_targets)
    rows, places = np.nonzero(found)
    hit_band = band[ranked[rows, places]]
    result = {}
    for k in cutoffs:
        hits = np.bincount(hit_band[places < k], minlength=len(edges) + 1)
        result[k] = tuple(_band(counts[band == b], int(n_targets[b]), int(hits[b])) for b in there.tolist())
    return result


def _band(counts: np.ndarray, targets: int, hits: int) -> Band:
    return Band(int(counts.min()), int(counts.max()), len(counts), targets, hits)
