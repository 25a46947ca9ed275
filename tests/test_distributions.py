"""What word2vec draws from: the formulas, and that an alias table gives back the distribution it was made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit.trainers.machinery.distributions import alias_table, keep_probabilities, noise_probabilities


def test_frequent_tokens_are_thinned_by_the_formula():
    counts = np.array([5000, 500, *[1] * 4500])
    kept = keep_probabilities(counts, 0.01)
    assert kept[:2] == pytest.approx([0.02**0.5 + 0.02, 0.2**0.5 + 0.2], 1e-5)
    assert (kept[2:] == 1).all()


def test_an_average_token_of_a_small_vocabulary_is_kept():
    assert keep_probabilities(np.array([10] * 20), 1e-3).tolist() == [1] * 20
    assert keep_probabilities(np.array([910, 45, 45]), 1e-3)[0] < 1


def test_sample_zero_keeps_everything():
    assert keep_probabilities(np.array([10**9, 1]), 0).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("exponent", "expected"), [(1, [0.8, 0.2]), (0, [0.5, 0.5]), (-1, [0.2, 0.8]), (0.5, [2 / 3, 1 / 3])]
)
def test_noise_follows_the_exponent(exponent, expected):
    assert noise_probabilities(np.array([8, 2]), exponent) == pytest.approx(expected)


def test_noise_of_extreme_exponents_stays_finite():
    assert np.isfinite(noise_probabilities(np.array([10**12, 1]), -10)).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=200))
def test_an_alias_table_holds_its_distribution(counts):
    """Summed over the cells, each token's share is its probability."""
    probabilities = np.array(counts) / np.sum(counts)
    accept, alias = alias_table(probabilities)
    share = accept.astype(float)
    np.add.at(share, alias, 1 - accept.astype(float))
    assert share / len(counts) == pytest.approx(probabilities, rel=1e-4, abs=1e-6)
    assert ((accept >= 0) & (accept <= 1)).all()
