"""What `contrastive` draws: histories, targets, noise, in an order of their own each epoch."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

import embedkit
from embedkit import Corpus, Sentence
from embedkit.contracts import History
from embedkit.trainers.contrast import kernels_contrastive as kernels
from embedkit.trainers.contrast.examples import HeldOutTokens, NextTokens


def compressed(rows):
    return np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64), [
        x for row in rows for x in row
    ]


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 400), key=st.integers(0, 2**64 - 1))
def test_a_permutation_sends_each_place_to_another(n, key):
    assert sorted(kernels.permuted(place, n, np.uint64(key)) for place in range(n)) == list(range(n))


def test_permutations_differ_and_mix():
    orders = [[kernels.permuted(place, 1000, np.uint64(key)) for place in range(1000)] for key in range(20)]
    assert len({tuple(order) for order in orders}) == 20
    firsts = np.mean([order[:100] for order in orders])
    assert 430 < firsts < 570
    assert abs(np.mean([np.corrcoef(order, range(1000))[0, 1] for order in orders])) < 0.05


ROWS = st.lists(st.lists(st.integers(0, 8), max_size=7), min_size=1, max_size=6).filter(
    lambda rows: any(len(set(row)) > 1 for row in rows)
)


def history_of(rows, weights=None):
    indptr, flat = compressed(rows)
    return History(indptr, np.array(flat, np.int32), None if weights is None else np.array(weights, np.float32))


def drawn(examples, size, epoch=0):
    """Return an epoch's examples as (histories of (token, weight), targets)."""
    found, places = [], []
    for batch, place in examples.batches(epoch, size):
        places.append(place)
        assert len(batch) <= size
        for r in range(len(batch)):
            entries, wanted = (slice(at[r], at[r + 1]) for at in (batch.starts, batch.ends))
            history = zip(batch.tokens[entries].tolist(), batch.counts[entries].tolist(), strict=True)
            found.append((list(history), batch.targets[wanted].tolist()))
    assert places == sorted(places)
    return found


@settings(max_examples=80, deadline=None)
@given(
    rows=ROWS,
    size=st.integers(1, 5),
    most=st.sampled_from([1, 2, 4, 9]),
    weighted=st.booleans(),
    seed=st.integers(0, 3),
    repeats=st.booleans(),
)
def test_each_token_is_predicted_once_from_those_before(rows, size, most, weighted, seed, repeats):
    _, flat = compressed(rows)
    weights = (1 + np.arange(len(flat)) % 3).astype(float)
    at = compressed(rows)[0]
    expected = []
    for row, begin in zip(rows, at, strict=False):
        for p in range(1, len(row)):
            before = range(p - 1, max(0, p - most) - 1, -1)
            if not repeats and row[p] in [row[q] for q in before]:
                continue
            counts = [0.5 ** (p - 1 - q) * (weights[begin + q] if weighted else 1.0) for q in before]
            expected.append(([(row[q], c) for q, c in zip(before, counts, strict=True)], [row[p]]))
    examples = NextTokens(history_of(rows, weights if weighted else None), 9, 0.5, repeats, most, seed)
    assert sorted(drawn(examples, size)) == sorted(expected)
    if repeats or most > 6:
        wanted = Counter(t for _, targets in expected for t in targets)
        np.testing.assert_allclose(examples.chances(), [wanted[t] / len(expected) for t in range(9)])


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, size=st.integers(1, 5), epoch=st.integers(0, 3))
def test_what_is_held_out_and_what_is_shown_make_up_a_row(rows, size, epoch):
    examples = HeldOutTokens(history_of(rows), 9, 0.4, 1.0, 50, 0)
    wholes = []
    for history, targets in drawn(examples, size, epoch):
        shown = {t for t, _ in history}
        assert shown
        assert targets
        assert len(set(targets)) == len(targets)
        assert not shown & set(targets)
        wholes.append((Counter(t for t, _ in history), set(targets)))
    # Each row with two different tokens is there once: the shown ones as often as they are in it.
    left = [row for row in rows if len(set(row)) > 1]
    assert len(left) == len(wholes)
    fits = [
        [set(row) == set(shown) | targets and shown == Counter(t for t in row if t not in targets) for row in left]
        for shown, targets in wholes
    ]
    assert not left or (maximum_bipartite_matching(csr_matrix(fits)) >= 0).all()


def test_what_is_held_out_changes_from_epoch_to_epoch_by_the_share_asked_for():
    rows = [list(range(20))] * 200
    examples = HeldOutTokens(history_of(rows), 20, 0.3, 1.0, 50, 0)
    first, second = drawn(examples, 64, 0), drawn(examples, 64, 1)
    assert [t for _, t in first] != [t for _, t in second]
    assert drawn(examples, 64, 0) == first
    assert np.mean([len(targets) for _, targets in first]) == pytest.approx(6, abs=0.5)
    np.testing.assert_allclose(examples.chances(), 0.3)


@pytest.mark.parametrize("share", [1e-9, 1 - 1e-9])
def test_one_token_is_held_out_where_the_share_would_leave_nothing_on_a_side(share):
    rows = [[0, 1], [2, 2, 3], [4, 5, 6], [7, 7], [8], []]
    found = drawn(HeldOutTokens(history_of(rows), 9, share, 0.5, 50, 0), 2)
    assert len(found) == 3
    for history, targets in found:
        (target,) = targets
        row = next(row for row in rows if target in row)
        assert [t for t, _ in history] == [t for t in reversed(row) if t != target]
        assert [w for _, w in history] == [0.5**age for age in range(len(history))]


def test_a_tiny_share_learns_from_tiny_histories():
    corpus = Corpus.from_sentences([Sentence(["a", "b"], key) for key in "uvw"])
    emb = embedkit.train(corpus, "contrastive", target="held-out", held_out=0.0001, vector_size=3, epochs=2)
    assert np.isfinite(emb.losses).all()


def test_the_latest_of_a_history_counts_most():
    examples = HeldOutTokens(history_of([[0, 1, 2, 3, 4, 5, 6, 7]]), 8, 0.4, 0.5, 50, 0)
    ((history, _),) = drawn(examples, 1)
    assert [t for t, _ in history] == sorted((t for t, _ in history), reverse=True)
    assert [w for _, w in history] == [0.5**age for age in range(len(history))]


def test_long_rows_are_thinned_out():
    examples = HeldOutTokens(history_of([list(range(1000))] * 30), 1000, 0.5, 1.0, 40, 0)
    found = drawn(examples, 7)
    assert len(found) == 30
    assert all(len(history) <= 40 and len(targets) <= 40 for history, targets in found)
    assert 30 < np.mean([len(history) + len(targets) for history, targets in found]) < 50
    assert len({t for history, _ in found for t, _ in history}) > 300


def test_noise_is_drawn_by_the_table():
    made = np.empty(20_000, np.int32)
    kernels.draw_noise(np.array([0.5, 1.0], np.float32), np.array([1, 1], np.int32), np.random.default_rng(0), made)
    assert np.bincount(made, minlength=2) / 20_000 == pytest.approx([0.25, 0.75], abs=0.01)
