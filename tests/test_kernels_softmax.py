"""The full softmax: its kernel against a plain twin and finite differences, in pieces, and in hard cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_losses import batch_loss, examples, softmax

from embedkit.trainers.sampling import kernels_softmax

BASE = {"window": 3, "shrink": True, "max_contexts": 6}


def corpus(lengths, n_tokens, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, n_tokens, sum(lengths)).astype(np.int32)
    return ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def vectors(n_tokens, vector_size, seed=1, scale=1.0):
    rng = np.random.default_rng(seed)
    both = np.zeros((2, n_tokens, -(-vector_size // 16) * 16), np.float32)
    both[:, :, :vector_size] = rng.normal(size=(2, n_tokens, vector_size)) * scale / vector_size**0.5
    return both[0].copy(), both[1].copy()


def train(
    ids, offsets, W, C, keep, batch_size=1, mean=False, alpha=0.1, alpha_end=0.1, at_once=10**9, capacity=200, rows=16,
    **options,
):  # fmt: skip
    """Train one epoch; return loss, pairs, updates. W and C change."""
    n, width = W.shape
    room = [np.zeros((rows, width), np.float32) for _ in range(2)]
    room += [np.zeros(rows * n, np.float32), *(np.zeros((n, width), np.float32) for _ in range(3))]
    batch = np.zeros(2, np.int64)
    room += [np.zeros(n, np.bool_), batch, np.zeros(1)]
    cursor, state, pending = np.zeros(4, np.int64), np.array([11, 22], np.uint64), np.zeros((3, capacity), np.int64)
    chosen, loss, pairs, finished = {**BASE, **options}, 0.0, 0, False
    while not finished:
        step = kernels_softmax.softmax(
            ids, offsets, cursor, pending, state, W, C, keep, 0, len(ids), at_once, chosen["window"], chosen["shrink"],
            chosen["max_contexts"], mean, batch_size or 0, alpha, alpha_end, *room,
        )  # fmt: skip
        loss, pairs, finished = loss + step[0], pairs + step[1], step[2]
    return loss, pairs, int(batch[1])


def assert_agrees(
    lengths, n_tokens, vector_size, keep=1.0, batch_size=1, mean=False, alpha=0.1, alpha_end=0.1, rows=16, **options
):
    ids, offsets = corpus(lengths, n_tokens)
    W, C = vectors(n_tokens, vector_size)
    kept = np.full(n_tokens, keep, np.float32)
    pairs = list(examples(ids, offsets, kept, 11, 0, len(ids), capacity=200, mean=mean, **{**BASE, **options}))
    loss, updates, twin_W, twin_C = softmax(pairs, W, C, batch_size, alpha, alpha_end, len(ids))
    found = train(ids, offsets, W, C, kept, batch_size, mean, alpha, alpha_end, rows=rows, **options)
    assert found == (pytest.approx(loss, rel=1e-4), len(pairs), updates)
    np.testing.assert_allclose(W, twin_W, rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(C, twin_C, rtol=1e-3, atol=2e-4)
    assert not W[:, vector_size:].any()
    assert not C[:, vector_size:].any()


KINDS = pytest.mark.parametrize("mean", [False, True], ids=["skipgram", "cbow"])


@KINDS
@pytest.mark.parametrize("batch_size", [1, 4, 7, 100, None])
def test_twin_agrees_for_every_batch_size(mean, batch_size):
    assert_agrees([25, 3, 1, 0, 12], 20, 8, batch_size=batch_size, mean=mean, alpha_end=0.02)


@KINDS
@pytest.mark.parametrize("rows", [8, 9, 64])
def test_twin_agrees_however_many_rows_are_reckoned_at_once(mean, rows):
    assert_agrees([40, 3, 30], 20, 8, batch_size=30, mean=mean, rows=rows)


@KINDS
@pytest.mark.parametrize("window", [1, 5, 40, 0])
@pytest.mark.parametrize("shrink", [True, False])
def test_twin_agrees_for_every_window(mean, window, shrink):
    assert_agrees([25, 3, 9, 0, 1, 8, 2], 30, 5, keep=0.8, mean=mean, batch_size=10, window=window, shrink=shrink)


@KINDS
@pytest.mark.parametrize("vector_size", [1, 2, 16, 33])
def test_twin_agrees_for_every_vector_size(mean, vector_size):
    assert_agrees([20, 1, 2, 9], 12, vector_size, batch_size=5, mean=mean)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any),
    n_tokens=st.integers(1, 60),
    batch_size=st.sampled_from([1, 2, 3, 50, None]),
    window=st.integers(0, 8),
    keep=st.sampled_from([1.0, 0.5]),
    mean=st.booleans(),
)
def test_twin_agrees_for_anything(lengths, n_tokens, batch_size, window, keep, mean):
    assert_agrees(lengths, n_tokens, 6, keep, batch_size, mean, window=window)


@KINDS
@pytest.mark.parametrize("batch_size", [3, None])
def test_calls_in_pieces_equal_one_call(mean, batch_size):
    ids, offsets = corpus([70, 3, 0, 50], 30)
    keep, results = np.full(30, 0.6, np.float32), []
    for at_once in (10**9, 1, 20):
        W, C = vectors(30, 8)
        train(ids, offsets, W, C, keep, batch_size, mean, at_once=at_once, capacity=64)
        results.append((W, C))
    for W, C in results[1:]:
        np.testing.assert_allclose(W, results[0][0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(C, results[0][1], rtol=1e-5, atol=1e-6)


@KINDS
def test_a_step_is_the_gradient_of_the_stated_loss(mean):
    ids, offsets = np.array([0, 1, 2, 3, 4, 1], np.int32), np.array([0, 6])
    W, C = vectors(7, 5)
    before, keep, rate = (W.astype(float), C.astype(float)), np.ones(7, np.float32), 1e-2
    options = {"window": 2, "shrink": False, "max_contexts": 20}
    pairs = list(examples(ids, offsets, keep, 11, 0, 6, capacity=200, mean=mean, **options))
    loss, _, updates = train(ids, offsets, W, C, keep, None, mean, rate, rate, **options)
    assert updates == 1
    assert loss / len(pairs) == pytest.approx(batch_loss(pairs, *before)[0], rel=1e-5)
    for which, (old, new) in enumerate(zip(before, (W, C), strict=True)):
        for row in range(7):
            for column in range(5):
                ends = []
                for change in (1e-5, -1e-5):
                    moved = [matrix.copy() for matrix in before]
                    moved[which][row, column] += change
                    ends.append(batch_loss(pairs, *moved)[0])
                slope = (ends[0] - ends[1]) / 2e-5
                assert (old[row, column] - new[row, column]) / rate == pytest.approx(slope, abs=1e-4)


def test_an_untrained_model_of_n_tokens_is_off_by_ln_n():
    ids, offsets = np.array([0, 1, 2, 3], np.int32), np.array([0, 4])
    W, C = vectors(4, 3)
    C[:] = 0
    loss, pairs, _ = train(ids, offsets, W, C, np.ones(4, np.float32), None)
    assert loss / pairs == pytest.approx(np.log(4), rel=1e-12)


@given(st.floats(-120, 0, width=32))
def test_the_exponential_is_right_to_a_millionth(x):
    Z = np.array([[0, x]], np.float32)
    loss = kernels_softmax.to_gradient(Z, 0, 2, np.array([0]), 0, 1)
    assert loss == pytest.approx(np.logaddexp(0, np.float64(np.float32(x))), rel=3e-6, abs=1e-7)


@KINDS
@pytest.mark.parametrize("scale", [1e-30, 1e4, 1e15])
def test_extreme_vectors_give_no_nan_and_an_unbounded_loss(mean, scale):
    ids, offsets = corpus([60], 20)
    W, C = vectors(20, 8, scale=scale)
    loss, pairs, _ = train(ids, offsets, W, C, np.ones(20, np.float32), 4, mean, 1e-6, 1e-6)
    assert np.isfinite(W).all()
    assert np.isfinite(C).all()
    assert np.isfinite(loss)
    assert scale < 1e4 or loss > 100 * pairs


@KINDS
def test_thinning_out_everything_ends(mean):
    ids, offsets = corpus([300], 10)
    assert train(ids, offsets, *vectors(10, 4), np.zeros(10, np.float32), 5, mean, at_once=100) == (0.0, 0, 0)
