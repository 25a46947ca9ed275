"""Ranking metrics: functions over the ids that were ranked and the ids that were to be found; formulas in the docs.

`hits` compares the two once; every metric is then a function of where the hits are (bool, n × K), how many ids each
row was to find (n), and k, and gives one number a row. Relevance is binary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from embedkit.errors import OptionError
from embedkit.scoring import Rows

Metric = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
IntervalMethod = Literal["normal", "bootstrap"]

_Z95 = 1.959963984540054
_RESAMPLES = 1000
_AT_ONCE = 1 << 22


class Interval(NamedTuple):
    """A mean over rows with its 95% confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the distance between the ends."""
        return (self.high - self.low) / 2


def hits(ranked: np.ndarray, targets: Rows) -> np.ndarray:
    """Return bool (n × K): whether each ranked id is among its row's targets; -1 on either side is a miss.

    Parameters
    ----------
    ranked
        int32 (n × K), best first, distinct but for -1 where there are fewer.
    targets
        The ids to find, distinct in each row but for -1.
    """
    span = int(max(ranked.max(initial=-1), targets.indices.max(initial=-1))) + 2
    rows = np.arange(len(ranked), dtype=np.int64)
    wanted = np.repeat(rows, np.diff(targets.indptr)) * span + targets.indices + 1
    found = among(rows[:, None] * span + ranked + 1, wanted[targets.indices >= 0])
    return np.asarray(found & (ranked >= 0))


def among(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return bool, whether each value is one of `others`: as numpy's isin, and faster where these are nearly sorted."""
    if len(others) == 0:
        return np.zeros(values.shape, bool)
    ordered = np.sort(others, kind="stable")
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[places] == values)


def recall(found: np.ndarray, sizes: np.ndarray, k: int) -> np.ndarray:
    """Return the share of the targets that is among the first k."""
    return found[:, :k].sum(axis=1) / sizes


def precision(found: np.ndarray, sizes: np.ndarray, k: int) -> np.ndarray:
    """Return the share of k that is targets; k counts in full where fewer were ranked."""
    return np.asarray(found[:, :k].sum(axis=1) / k)


def hit_rate(found: np.ndarray, sizes: np.ndarray, k: int) -> np.ndarray:
    """Return 1 where a target is among the first k, else 0."""
    return np.asarray(found[:, :k].any(axis=1), np.float64)


def ndcg(found: np.ndarray, sizes: np.ndarray, k: int) -> np.ndarray:
    """Return the discounted gain (1 / log2(1 + rank) a hit) by that of min(targets, k) hits in the first places."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(sizes, k) - 1]
    return np.asarray(found[:, :k] @ discounts[: found.shape[1]] / ideal)


def mrr(found: np.ndarray, sizes: np.ndarray, k: int) -> np.ndarray:
    """Return 1 / the rank of the first hit, 0 where none is among the first k."""
    first = found[:, :k].argmax(axis=1)
    return np.where(found[:, :k].any(axis=1), 1 / (first + 1), 0.0)


def average_precision(found: np.ndarray, sizes: np.ndarray, k: int) -> np.ndarray:
    """Return the sum of the precisions at the hits among the first k, by min(targets, k)."""
    top = found[:, :k]
    precisions = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    return (precisions * top).sum(axis=1) / np.minimum(sizes, k)


METRICS: dict[str, Metric] = {
    "recall": recall,
    "precision": precision,
    "hit_rate": hit_rate,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": average_precision,
}
"""The metrics by name; each is meant over rows."""


def coverage(ranked: np.ndarray, k: int, n_tokens: int) -> float:
    """Return the share of all tokens that is ranked among somebody's first k."""
    top = ranked[:, :k]
    return len(np.unique(top[top >= 0])) / n_tokens


def popularity_percentiles(counts: np.ndarray) -> np.ndarray:
    """Return for each token the share of tokens that are less popular, those as popular counting half."""
    ordered = np.sort(counts)
    below, upto = (np.searchsorted(ordered, counts, side=side) for side in ("left", "right"))
    return (below + upto) / (2 * len(counts))


def popularity_bias(ranked: np.ndarray, history: Rows, percentiles: np.ndarray, k: int) -> np.ndarray:
    """Return by how much the first k are more popular than the history: the difference of mean percentiles.

    NaN for rows without a history or without a ranked id; ids of -1 count nowhere.
    """
    top = ranked[:, :k]
    ends = np.arange(len(top) + 1, dtype=np.int64) * top.shape[1]
    recommended = _row_means(Rows(ends, top.ravel()), percentiles)
    return recommended - _row_means(history, percentiles)


def _row_means(rows: Rows, values: np.ndarray) -> np.ndarray:
    """Return the mean of the values of each row's ids."""
    ids = rows.indices[rows.indptr[0] : rows.indptr[-1]]
    there = ids >= 0
    owners = np.repeat(np.arange(len(rows.indptr) - 1), np.diff(rows.indptr))[there]
    sums = np.bincount(owners, values[ids[there]], len(rows.indptr) - 1)
    lengths = np.bincount(owners, minlength=len(sums))
    return np.divide(sums, lengths, out=np.full(len(sums), np.nan), where=lengths > 0)


def interval(values: np.ndarray, method: IntervalMethod = "normal", seed: int = 1) -> Interval:
    """Return the mean over rows with its 95% interval.

    Parameters
    ----------
    values
        One number a row; NaN counts as no row.
    method
        `normal`: mean ± 1.96 s / √n. `bootstrap`: the 2.5th and 97.5th percentiles of the means of 1,000 samples of
        n rows drawn with replacement.
    seed
        For the bootstrap.
    """
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, float("nan"), float("nan"))
    if method == "normal":
        half = _Z95 * float(values.std(ddof=1)) / len(values) ** 0.5
        return Interval(mean, mean - half, mean + half)
    if method != "bootstrap":
        raise OptionError("confidence", f"must be 'normal' or 'bootstrap'; got {method!r}.")
    low, high = np.quantile(_resampled_means(values, seed), (0.025, 0.975))
    return Interval(mean, float(low), float(high))


def _resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    means = np.empty(_RESAMPLES)
    height = max(1, _AT_ONCE // len(values))
    for start in range(0, _RESAMPLES, height):
        n = min(height, _RESAMPLES - start)
        means[start : start + n] = values[rng.integers(len(values), size=(n, len(values)))].mean(axis=1)
    return means
