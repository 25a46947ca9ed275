"""Labels never lie on each other, whatever is to be labelled."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from embedkit.atlas.placement import Occupancy, leader, place_labels


def overlapping(corners, sizes):
    """How many pairs of placed labels overlap by more than rounding."""
    placed = np.flatnonzero(~np.isnan(corners[:, 0]))
    low, high = corners[placed], corners[placed] + sizes[placed]
    apart = (low[:, None] >= high[None] - 1e-9).any(axis=2) | (high[:, None] <= low[None] + 1e-9).any(axis=2)
    np.fill_diagonal(apart, True)
    return int((~apart).sum()) // 2


@given(st.integers(1, 80), st.integers(0, 2**31), st.integers(0, 80), st.booleans())
@settings(max_examples=40)
def test_no_two_labels_overlap_and_none_leaves_the_plane(n, seed, must, crowded):
    rng = np.random.default_rng(seed)
    anchors = rng.uniform(0, 300, (n, 2)) if not crowded else 150 + rng.normal(scale=4, size=(n, 2))
    sizes = rng.uniform([5, 8], [120, 14], (n, 2))
    plane = Occupancy(300, 300, 3)
    plane.crowd(anchors, 3)
    corners = place_labels(anchors, sizes, plane, 4, n, must)
    assert overlapping(corners, sizes) == 0
    placed = ~np.isnan(corners[:, 0])
    assert (corners[placed] >= 0).all()
    assert (corners[placed] + sizes[placed] <= 300).all()


def test_the_first_label_wins_and_the_most_is_kept():
    anchors = np.array([[50.0, 50], [50, 50], [150, 50], [250, 50]])
    sizes = np.full((4, 2), (90.0, 90.0))
    corners = place_labels(anchors, sizes, Occupancy(300, 100, 5), 1, 2)
    assert not np.isnan(corners[0]).any()
    assert (~np.isnan(corners[:, 0])).sum() <= 2


def test_what_hides_points_goes_elsewhere_or_nowhere_unless_it_must():
    crowd = np.stack(np.meshgrid(np.arange(0, 100, 2.0), np.arange(0, 100, 2.0)), -1).reshape(-1, 2)
    half = crowd[crowd[:, 0] > 48]
    for points, must, expected in ((half, 0, "left"), (crowd, 0, "nowhere"), (crowd, 1, "somewhere")):
        plane = Occupancy(100, 100, 2)
        plane.crowd(points, 2)
        (corner,) = place_labels(np.array([[48.0, 50]]), np.array([[30.0, 10]]), plane, 3, 1, must)
        found = "nowhere" if np.isnan(corner[0]) else "left" if corner[0] + 30 <= 50 else "somewhere"
        assert (found == expected) or (expected == "somewhere" and found == "left")


def test_a_label_apart_from_its_point_has_a_line_to_it():
    size = np.array([30.0, 10])
    assert leader(np.array([0.0, 0]), np.array([2.0, -5]), size, 2) is None
    np.testing.assert_array_equal(leader(np.array([0.0, 0]), np.array([20.0, 20]), size, 2), [20, 20])
