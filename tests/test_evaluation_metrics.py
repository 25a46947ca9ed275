"""Metrics agree with plain loops and with the definitions of TREC's own program, through pytrec_eval."""

import math

import numpy as np
import pytest
import pytrec_eval
import reference_metrics as reference
from hypothesis import given
from hypothesis import strategies as st

from embedkit import OptionError
from embedkit.evaluation import metrics
from embedkit.scoring import Rows


def rows_of(lists):
    lengths = [len(row) for row in lists]
    return Rows(
        np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        np.array([i for row in lists for i in row], np.int32),
    )


@st.composite
def problems(draw):
    """Rankings of distinct ids filled up with -1, and distinct targets of which some are unknown (-1)."""
    n_items, width = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    ranked, targets = [], []
    for _ in range(draw(st.integers(1, 6))):
        order = draw(st.permutations(range(n_items)))[: draw(st.integers(0, min(width, n_items)))]
        ranked.append([*order, *[-1] * (width - len(order))])
        known = draw(st.permutations(range(n_items)))[: draw(st.integers(0, n_items))]
        targets.append([*known, *[-1] * draw(st.integers(0 if known else 1, 3))])
    return ranked, targets, draw(st.integers(1, width + 3))


@given(problems())
def test_metrics_are_those_of_plain_loops(problem):
    ranked, targets, k = problem
    found = metrics.hits(np.array(ranked, np.int32), rows_of(targets))
    sizes = np.array([len(row) for row in targets])
    for row, (ids, wanted) in enumerate(zip(ranked, targets, strict=True)):
        plain = reference.metrics([i for i in ids if i >= 0], [None if t < 0 else t for t in wanted], k)
        for name, value in plain.items():
            assert metrics.METRICS[name](found, sizes, k)[row] == pytest.approx(value), name


def test_metrics_are_those_of_trec_eval():
    rng = np.random.default_rng(5)
    n, n_items, width = 60, 50, 20
    ranked = np.array([rng.permutation(n_items)[:width] for _ in range(n)], np.int32)
    targets = [rng.permutation(n_items)[: rng.integers(1, 30)].tolist() for _ in range(n)]
    found, sizes = metrics.hits(ranked, rows_of(targets)), np.array([len(row) for row in targets])
    asked = {"recall.5,20", "P.5,20", "success.5,20", "ndcg_cut.5,20", "map_cut.5,20", "recip_rank"}
    judge = pytrec_eval.RelevanceEvaluator({str(r): {str(t): 1 for t in row} for r, row in enumerate(targets)}, asked)
    told = judge.evaluate({str(r): {str(i): float(-p) for p, i in enumerate(row)} for r, row in enumerate(ranked)})
    for k in (5, 20):
        names = {"recall": "recall", "precision": "P", "hit_rate": "success", "ndcg": "ndcg_cut"}
        for ours, theirs in names.items():
            expected = [told[str(r)][f"{theirs}_{k}"] for r in range(n)]
            np.testing.assert_allclose(metrics.METRICS[ours](found, sizes, k), expected, atol=1e-9, err_msg=ours)
        # TREC divides by all targets, also where more than k of them could not be found.
        expected = [told[str(r)][f"map_cut_{k}"] for r in range(n)]
        ours = metrics.average_precision(found, sizes, k) * np.minimum(sizes, k) / sizes
        np.testing.assert_allclose(ours, expected, atol=1e-9)
    np.testing.assert_allclose(metrics.mrr(found, sizes, width), [told[str(r)]["recip_rank"] for r in range(n)])


def test_ndcg_by_hand():
    found = np.array([[False, True, False], [True, True, True]])
    values = metrics.ndcg(found, np.array([2, 7]), 3)
    assert values[0] == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert values[1] == 1


def test_coverage_and_popularity():
    counts = np.array([9, 5, 5, 1])
    percentiles = metrics.popularity_percentiles(counts)
    assert percentiles.tolist() == [reference.popularity_percentile(counts, t) for t in range(4)]
    ranked = np.array([[0, 1], [0, -1], [-1, -1]], np.int32)
    assert metrics.coverage(ranked, 2, 4) == 0.5
    assert metrics.coverage(ranked, 1, 4) == 0.25
    bias = metrics.popularity_bias(ranked, rows_of([[3], [0, 3], [1]]), percentiles, 2)
    assert bias[0] == pytest.approx((percentiles[0] + percentiles[1]) / 2 - percentiles[3])
    assert bias[1] == pytest.approx(percentiles[0] - (percentiles[0] + percentiles[3]) / 2)
    assert math.isnan(bias[2])


def test_intervals():
    values = np.array([0.0, 1.0, 1.0, np.nan, 0.5])
    normal = metrics.interval(values)
    assert normal.mean == pytest.approx(0.625)
    assert normal.half_width == pytest.approx(1.96 * np.std([0, 1, 1, 0.5], ddof=1) / 2, rel=1e-4)
    spread = np.random.default_rng(0).random(2000)
    drawn, exact = metrics.interval(spread, "bootstrap", seed=3), metrics.interval(spread)
    assert drawn == metrics.interval(spread, "bootstrap", seed=3)
    assert drawn != metrics.interval(spread, "bootstrap", seed=4)
    assert drawn.half_width == pytest.approx(exact.half_width, rel=0.1)
    assert math.isnan(metrics.interval(np.array([np.nan])).mean)
    assert math.isnan(metrics.interval(np.array([1.0])).low)
    with pytest.raises(OptionError, match="'normal' or 'bootstrap'; got 'guess'"):
        metrics.interval(values, "guess")


def test_a_normal_interval_holds_the_mean_19_times_in_20():
    rng = np.random.default_rng(1)
    intervals = [metrics.interval((rng.random(200) < 0.3).astype(float)) for _ in range(400)]
    inside = np.mean([i.low <= 0.3 <= i.high for i in intervals])
    assert 0.92 <= inside <= 0.98
