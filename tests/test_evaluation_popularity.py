"""Recall by how popular tokens are."""

import numpy as np
import pytest

from embedkit.evaluation.metrics import hits
from embedkit.evaluation.popularity import Band, by_popularity
from embedkit.scoring import Rows


def test_bands_worked_out_by_hand():
    # Tokens 0 and 1 are popular, 2 and 3 are not; each is a target twice, 4 never.
    counts = np.array([100, 90, 3, 2, 50])
    targets = Rows(np.array([0, 2, 4, 6, 8]), np.array([0, 2, 0, 3, 1, 2, 1, 3], np.int32))
    ranked = np.array([[0, 2, 4], [0, 1, 2], [0, 1, 4], [1, 0, -1]], np.int32)
    found = by_popularity(ranked, hits(ranked, targets), targets, counts, (1, 3), bands=2)
    assert found[1] == (Band(2, 3, 2, 4, 0), Band(50, 100, 3, 4, 3))
    assert found[3] == (Band(2, 3, 2, 4, 1), Band(50, 100, 3, 4, 4))


def test_targets_and_hits_sum_to_all():
    rng = np.random.default_rng(1)
    counts = rng.zipf(1.3, 200)
    ranked = np.stack([rng.permutation(200)[:20] for _ in range(300)]).astype(np.int32)
    ids = np.concatenate([rng.permutation(200)[:5] for _ in range(300)]).astype(np.int32)
    ids[::17] = -1
    targets = Rows(np.arange(0, 1501, 5), ids)
    found = hits(ranked, targets)
    bands = by_popularity(ranked, found, targets, counts, (5, 20))
    for k in (5, 20):
        assert sum(band.targets for band in bands[k]) == (ids >= 0).sum()
        assert sum(band.hits for band in bands[k]) == found[:, :k].sum()
        assert all(one.most < other.least for one, other in zip(bands[k], bands[k][1:], strict=False))


def test_the_interval_is_wilsons():
    share, low, high = Band(1, 1, 1, 10, 1).recall
    assert share == 0.1
    assert (low, high) == pytest.approx((0.01787621, 0.40415), abs=1e-5)
    assert Band(1, 1, 1, 4, 0).recall.low == pytest.approx(0, abs=1e-12)


def test_nothing_to_find_has_no_bands():
    none = Rows(np.array([0, 1]), np.array([-1], np.int32))
    ranked = np.array([[0]], np.int32)
    assert by_popularity(ranked, hits(ranked, none), none, np.array([1]), (1,)) == {1: ()}
