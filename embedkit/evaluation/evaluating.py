"""Models and baselines against a test: every token ranked for every row, then measured."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from embedkit.contracts import Run
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError, OptionError
from embedkit.evaluation import metrics
from embedkit.evaluation.heldout import HeldOut
from embedkit.evaluation.matching import Matched, match
from embedkit.evaluation.metrics import Interval, IntervalMethod
from embedkit.evaluation.popularity import Band, by_popularity
from embedkit.evaluation.rankers import Model, Ranker
from embedkit.scoring import Rows

_ROWS = 1 << 14


@dataclass(frozen=True)
class Evaluation:
    """How well something ranked.

    Attributes
    ----------
    name
        What was evaluated.
    cutoffs
        The values of k, ascending.
    rows
        int64, which rows of the test were evaluated.
    values
        For each measure (`recall@20`) float64, one number a row: recall, precision, hit_rate, ndcg, mrr, map,
        popularity_bias.
    totals
        For each measure one number: the means of `values`, and coverage.
    counts
        What was met in the test; see `matching.describe`.
    seconds
        How long ranking and measuring took.
    confidence, seed
        How intervals are made.
    by_popularity
        For each k the recall of tokens by how popular they are; empty where it is not known.
    """

    name: str
    cutoffs: tuple[int, ...]
    rows: np.ndarray
    values: Mapping[str, np.ndarray]
    totals: Mapping[str, float]
    counts: Counter[str]
    seconds: float
    confidence: IntervalMethod = "normal"
    seed: int = 1
    by_popularity: Mapping[int, tuple[Band, ...]] = field(default_factory=dict)

    def __getitem__(self, measure: str) -> float:
        """Return a measure by its name, such as `ndcg@20`."""
        if measure not in self.totals:
            raise EmbedkitError(f"there is no measure {measure!r}; there are: {', '.join(self.totals)}.")
        return self.totals[measure]

    def __repr__(self) -> str:
        k = self.cutoffs[-1]
        shown = ", ".join(f"{name}@{k} {self[f'{name}@{k}']:.4f}" for name in ("recall", "ndcg"))
        return f"Evaluation({self.name}: {shown}, {len(self.rows):,} rows)"

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95% confidence interval of each measure that is a mean over rows."""
        return {name: metrics.interval(values, self.confidence, self.seed) for name, values in self.values.items()}


def evaluate(
    model: Embeddings | Ranker,
    test: HeldOut,
    k: int | Sequence[int] = (10, 20),
    *,
    include_seen: bool = False,
    fallback: Literal["popular"] | None = None,
    confidence: IntervalMethod = "normal",
    seed: int = 1,
    name: str | None = None,
    run: Run | None = None,
) -> Evaluation:
    """Rank all tokens for each row of a test and measure what came first.

    Parameters
    ----------
    model
        Embeddings, or a baseline.
    test
        What is to be found; made by a split, or read from a file.
    k
        How many of the best count; several are measured together.
    include_seen
        Whether tokens of a row's own history may be recommended.
    fallback
        `popular`: rows that cannot be asked (an unknown key) get the most frequent tokens. None: they are left out of
        the means, and counted.
    confidence, seed
        `normal` or `bootstrap` intervals over rows; see `metrics.interval`.
    name
        What to call it; the trainer's name where None.

    Raises
    ------
    OptionError
        If a k is less than 1 or more than there are tokens.
    EmbedkitError
        If nothing of the test is known to the model.
    """
    began = time.perf_counter()
    ranker = Model(model) if isinstance(model, Embeddings) else model
    if name is None:
        name = str(model.config.get("trainer", "model")) if isinstance(model, Embeddings) else ranker.name
    cutoffs = check_cutoffs(k, len(ranker))
    if confidence not in ("normal", "bootstrap"):
        raise OptionError("confidence", f"must be 'normal' or 'bootstrap'; got {confidence!r}.")
    matched = match(ranker, test, include_seen=include_seen, fallback=fallback)
    ranked = _ranked(ranker, matched, cutoffs[-1], include_seen, run or Run())
    found = metrics.hits(ranked, matched.targets)
    values, totals = _measured(ranker, matched, ranked, found, cutoffs)
    bands = {} if ranker.counts is None else by_popularity(ranked, found, matched.targets, ranker.counts, cutoffs)
    seconds = time.perf_counter() - began
    return Evaluation(name, cutoffs, matched.rows, values, totals, matched.counts, seconds, confidence, seed, bands)


def check_cutoffs(k: int | Sequence[int], n_tokens: int) -> tuple[int, ...]:
    """Return the values of k, distinct and ascending, or raise `OptionError`."""
    cutoffs = sorted(set(k)) if isinstance(k, Sequence) else [k]
    for cutoff in cutoffs:
        if not isinstance(cutoff, int | np.integer) or isinstance(cutoff, bool) or cutoff < 1:
            raise OptionError("k", f"must be a whole number of at least 1; got {cutoff!r}.")
    if not cutoffs:
        raise OptionError("k", "must be given, such as 20.")
    if cutoffs[-1] > n_tokens:
        raise OptionError("k", f"must be at most {n_tokens:,}, the number of tokens to rank; got {cutoffs[-1]:,}.")
    return tuple(int(cutoff) for cutoff in cutoffs)


def _ranked(ranker: Ranker, matched: Matched, k: int, include_seen: bool, run: Run) -> np.ndarray:
    """Return int32 (rows × k), the best ids of each row, -1 where there are fewer."""
    ids = np.full((len(matched), k), -1, np.int32)
    for start in range(0, len(matched), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(matched)))
        known = rows[matched.answered[rows]]
        others = rows[~matched.answered[rows]]
        if len(known):
            history = matched.history.take(known)
            exclude = None if include_seen else Rows(history.indptr, history.indices)
            keys = None if matched.keys is None else matched.keys[known]
            ids[known] = ranker.best(keys, history, k, exclude).ids
        if len(others):
            ids[others] = ranker.most_popular(len(others), k).ids
        run.progress(int(rows[-1]) + 1, len(matched), unit="rows ranked")
    return ids


def _measured(
    ranker: Ranker, matched: Matched, ranked: np.ndarray, found: np.ndarray, cutoffs: tuple[int, ...]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return each measure's values by row, and its total."""
    sizes = np.diff(matched.targets.indptr)
    counts = ranker.counts
    percentiles = None if counts is None else metrics.popularity_percentiles(counts)
    history = Rows(matched.history.indptr, matched.history.indices)
    values: dict[str, np.ndarray] = {}
    totals: dict[str, float] = {}
    for k in cutoffs:
        by_row = {name: metric(found, sizes, k) for name, metric in metrics.METRICS.items()}
        if percentiles is not None:
            by_row["popularity_bias"] = metrics.popularity_bias(ranked, history, percentiles, k)
        values |= {f"{name}@{k}": row_values for name, row_values in by_row.items()}
        totals |= {f"{name}@{k}": _mean(row_values) for name, row_values in by_row.items()}
        totals[f"coverage@{k}"] = metrics.coverage(ranked, k, len(ranker))
    return values, totals


def _mean(values: np.ndarray) -> float:
    real = values[~np.isnan(values)]
    return float(real.mean()) if len(real) else float("nan")


def difference(one: Evaluation, other: Evaluation, measure: str) -> Interval:
    """Return by how much `one` is better on the rows that both were evaluated on, with its 95% interval.

    The rows are paired, so the interval is narrower than those of the two means let expect: 0 outside of it tells
    that one is better where their own intervals overlap.
    """
    _, mine, theirs = np.intersect1d(one.rows, other.rows, assume_unique=True, return_indices=True)
    return metrics.interval(one.values[measure][mine] - other.values[measure][theirs], one.confidence, one.seed)
