"""Hierarchical softmax: Huffman's tree, and the kernels against a plain twin and finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import softplus
from reference_losses import hierarchical, huffman_cost, path

from embedkit.trainers.sampling.kernels_hierarchical import add_up_paths, cbow, grow, skipgram

BASE = {"window": 3, "shrink": True, "max_contexts": 6, "T": 8, "alpha": 0.1, "alpha_end": 0.02}


def tree(counts):
    counts = np.asarray(counts, np.int64)
    up = np.empty(2 * len(counts) - 1, np.int32)
    depth, mean = grow(counts, np.argsort(counts, kind="stable"), up)
    return up, depth, mean


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=60))
def test_the_tree_is_huffmans(counts):
    up, depth, mean = tree(counts)
    lengths = [len(path(up, token)) for token in range(len(counts))]
    assert sum(n * length for n, length in zip(counts, lengths, strict=True)) == huffman_cost(counts)
    assert depth == max(lengths)
    assert mean == pytest.approx(huffman_cost(counts) / sum(counts))
    if len(counts) > 1:
        assert sum(2.0**-length for length in lengths) == 1
        assert all(path(up, token)[-1][0] == 0 for token in range(len(counts)))


@given(st.lists(st.integers(1, 50), min_size=2, max_size=40))
def test_inner_nodes_are_numbered_by_falling_count(counts):
    up, _, _ = tree(counts)
    passed = np.zeros(len(counts) - 1, int)
    for token, count in enumerate(counts):
        for node, _ in path(up, token):
            passed[node] += count
    assert list(passed) == sorted(passed, reverse=True)


def test_equal_counts_give_the_shortest_paths():
    up, depth, _ = tree([1] * 20)
    assert depth == 5
    assert {len(path(up, token)) for token in range(20)} == {4, 5}


def corpus(lengths, n_tokens, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, n_tokens, sum(lengths)).astype(np.int32)
    return ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def vectors(n_tokens, vector_size, seed=1, scale=1.0):
    rng = np.random.default_rng(seed)
    both = np.zeros((2, n_tokens, -(-vector_size // 16) * 16), np.float32)
    both[:, :, :vector_size] = rng.normal(size=(2, n_tokens, vector_size)) * scale / vector_size**0.5
    return both[0].copy(), both[1].copy()


def skewed(n_tokens):
    """Return a tree in which paths have up to 24 decisions, more than a register or two hold."""
    return tree(np.maximum(1.8 ** np.arange(min(n_tokens, 40)), 1).astype(np.int64).tolist() + [1] * (n_tokens - 40))


def train(ids, offsets, W, N, keep, made, mean=False, at_once=10**9, capacity=200, part=None, hot=None, **options):
    chosen, (first, last) = {**BASE, **options}, part or (0, len(ids))
    sentence = int(np.searchsorted(offsets, first, side="right")) - 1
    cursor, state = np.array([first, sentence, 0, 0]), np.array([11, 22], np.uint64)
    pending, loss, pairs, finished = np.zeros((3, capacity), np.int64), 0.0, 0, False
    bases, copies = hot or (np.zeros((2, 0, W.shape[1]), np.float32), 0)
    up, depth, _ = made
    while not finished:
        step = (cbow if mean else skipgram)(
            ids, offsets, cursor, pending, state, W, N, keep, up, depth, first, last, at_once,
            *(chosen[name] for name in BASE), bases, copies,
        )  # fmt: skip
        loss, pairs, finished = loss + step[0], pairs + step[1], step[2]
    return loss, pairs


def assert_agrees(lengths, n_tokens, vector_size, keep=1.0, mean=False, made=None, part=None, **options):
    ids, offsets = corpus(lengths, n_tokens)
    W, N = vectors(n_tokens, vector_size)
    kept, made = np.full(n_tokens, keep, np.float32), made or tree(np.arange(n_tokens, 0, -1) ** 2)
    first, last = part or (0, len(ids))
    loss, pairs, twin_W, twin_N = hierarchical(
        ids, offsets, W, N, kept, made[0], (11, 22), first, last, **{**BASE, **options}, capacity=200, mean=mean
    )
    assert train(ids, offsets, W, N, kept, made, mean, part=part, **options) == (
        pytest.approx(loss, rel=1e-4, abs=1e-4), pairs
    )  # fmt: skip
    np.testing.assert_allclose(W, twin_W, rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(N, twin_N, rtol=1e-3, atol=2e-4)
    assert not W[:, vector_size:].any()
    assert not N[:, vector_size:].any()


KINDS = pytest.mark.parametrize("mean", [False, True], ids=["skipgram", "cbow"])


@KINDS
@pytest.mark.parametrize("vector_size", [1, 2, 16, 33, 100])
def test_twin_agrees_for_every_vector_size(mean, vector_size):
    assert_agrees([40, 1, 0, 2, 30], 50, vector_size, mean=mean)


@KINDS
@pytest.mark.parametrize("window", [1, 2, 5, 40, 0])
@pytest.mark.parametrize("shrink", [True, False])
def test_twin_agrees_for_every_window(mean, window, shrink):
    assert_agrees([25, 3, 9, 0, 0, 1, 7, 8, 40, 2], 60, 20, keep=0.8, mean=mean, window=window, shrink=shrink)


@KINDS
@pytest.mark.parametrize("n_tokens", [40, 60])
def test_twin_agrees_for_long_paths(mean, n_tokens):
    made = skewed(n_tokens)
    assert made[1] > 32
    assert_agrees([100, 50], n_tokens, 10, mean=mean, made=made, alpha=0.05)


@KINDS
@pytest.mark.parametrize("n_tokens", [1, 2, 3])
def test_twin_agrees_for_tiny_trees(mean, n_tokens):
    assert_agrees([20, 10, 1], n_tokens, 8, mean=mean, alpha=0.02)


@KINDS
def test_a_part_in_the_middle_of_a_sentence(mean):
    assert_agrees([30, 0, 60, 10], 40, 8, mean=mean, part=(50, 95))


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any),
    n_tokens=st.integers(5, 200),
    vector_size=st.integers(1, 40),
    window=st.integers(0, 12),
    keep=st.sampled_from([1.0, 0.7, 0.1]),
    mean=st.booleans(),
)
def test_twin_agrees_for_anything(lengths, n_tokens, vector_size, window, keep, mean):
    assert_agrees(lengths, n_tokens, vector_size, keep, mean, window=window, alpha=0.03)


@KINDS
@pytest.mark.parametrize("window", [4, 0])
def test_calls_in_pieces_equal_one_call(mean, window):
    ids, offsets = corpus([700, 3, 0, 500, 20, 20], 90)
    keep, results = np.full(90, 0.6, np.float32), []
    for at_once in (10**9, 1, 100):
        both = vectors(90, 12)
        train(ids, offsets, *both, keep, tree([3] * 90), mean, at_once=at_once, capacity=64, window=window)
        results.append(both)
    for both in results[1:]:
        np.testing.assert_array_equal(both, results[0])


@KINDS
def test_copies_of_hot_rows_change_nothing_for_a_worker_alone(mean):
    ids, offsets = corpus([400, 1, 300], 30)
    keep, made = np.full(30, 0.9, np.float32), tree(np.arange(30, 0, -1))
    W, N = vectors(30, 20)
    plain = train(ids, offsets, W, N, keep, made, mean)
    with_copies = [np.vstack([v, np.zeros((16, v.shape[1]), np.float32)]) for v in vectors(30, 20)]
    hot = (np.zeros((2, 8, W.shape[1]), np.float32), 38)
    found = train(ids, offsets, *with_copies, keep, made, mean, hot=hot, at_once=40)
    assert found == (pytest.approx(plain[0], rel=1e-4), plain[1])
    for learned, copied in zip((W, N), with_copies, strict=True):
        np.testing.assert_allclose(copied[:30], learned, rtol=1e-3, atol=2e-4)
        assert not copied[30:38].any()


@KINDS
def test_small_steps_go_against_the_gradient_of_the_stated_loss(mean):
    """Steps so small that each centre sees nearly the same vectors, against finite differences of the whole loss."""
    ids, offsets, rate = np.arange(5, dtype=np.int32), np.array([0, 5]), 1e-3
    made = tree([5, 4, 3, 2, 2, 1, 1])
    W, N = vectors(7, 6)
    before = W.astype(float), N.astype(float)
    loss, pairs = train(
        ids, offsets, W, N, np.ones(7, np.float32), made, mean, window=9, shrink=False, alpha=rate, alpha_end=rate
    )

    def stated(W, N):
        value = 0.0
        for centre in range(5):
            others = [other for other in range(5) if other != centre]
            for h in [W[others].mean(axis=0)] if mean else W[others]:
                value += sum(softplus(-sign * (h @ N[node])) for node, sign in path(made[0], centre))
        return value

    assert pairs == (5 if mean else 20)
    assert loss == pytest.approx(stated(*before), rel=0.01)
    for which, (old, new) in enumerate(zip(before, (W, N), strict=True)):
        for row in range(7):
            for column in range(6):
                ends = []
                for change in (1e-5, -1e-5):
                    moved = [matrix.copy() for matrix in before]
                    moved[which][row, column] += change
                    ends.append(stated(*moved))
                slope = (ends[0] - ends[1]) / 2e-5
                assert (old[row, column] - new[row, column]) / rate == pytest.approx(slope, abs=0.01)


@KINDS
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e4, 1e15])
def test_extreme_vectors_give_no_nan_and_an_unbounded_loss(mean, scale):
    ids, offsets = corpus([60], 20)
    W, N = vectors(20, 8, scale=scale)
    loss, pairs = train(ids, offsets, W, N, np.ones(20, np.float32), tree([2] * 20), mean, alpha=1e-6, alpha_end=1e-6)
    assert np.isfinite(W).all()
    assert np.isfinite(N).all()
    assert np.isfinite(loss)
    assert scale < 1e4 or loss > 100 * pairs


def test_a_path_adds_up_to_a_tokens_context_vector():
    up, _, _ = tree([9, 5, 5, 2, 1])
    _, N = vectors(5, 7)
    sums = np.zeros_like(N)
    add_up_paths(up, N, sums)
    for token in range(5):
        assert sums[token] == pytest.approx(sum(sign * N[node] for node, sign in path(up, token)), abs=1e-6)
