"""The kernels of skip-gram and CBOW: against a plain twin, the stated loss, themselves in pieces, and hard cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import SplitMix, negatives_of, sgns, softplus

from embedkit.trainers.machinery.distributions import alias_table
from embedkit.trainers.sampling.kernels_sgns import cbow, skipgram

BASE = {
    "window": 3, "shrink": True, "max_contexts": 6, "negative": 5.0, "T": 8, "K": 8, "centres": None,
    "alpha": 0.1, "alpha_end": 0.02,
}  # fmt: skip


NOTHING_HELD = (np.zeros((2, 0), np.int32), np.zeros(2, np.int64))
NO_COPIES = (np.zeros((2, 0, 16), np.float32), 0, *NOTHING_HELD)


def corpus(lengths, n_tokens, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, n_tokens, sum(lengths)).astype(np.int32)
    return ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def vectors(n_tokens, vector_size, seed=1, scale=1.0):
    rng = np.random.default_rng(seed)
    width = (vector_size + 15) // 16 * 16
    both = np.zeros((2, n_tokens, width), np.float32)
    both[:, :, :vector_size] = rng.normal(size=(2, n_tokens, vector_size)) * scale / vector_size**0.5
    return both[0].copy(), both[1].copy()


def noise(n_tokens, seed=2):
    return alias_table(np.random.default_rng(seed).dirichlet(np.ones(n_tokens)))


def train(
    ids,
    offsets,
    W,
    C,
    keep,
    mean=False,
    exact=True,
    at_once=10**9,
    capacity=200,
    part=None,
    table=None,
    hot=None,
    **options,
):
    """Train over the corpus in as many calls as it takes; W and C change."""
    settings_ = {**BASE, **options}
    settings_["centres"] = settings_["centres"] or settings_["T"]
    first, last = part or (0, len(ids))
    accept, alias = table or noise(len(W))
    sentence = int(np.searchsorted(offsets, first, side="right")) - 1
    cursor, state = np.array([first, sentence, 0, 0]), np.array([11, 22], np.uint64)
    pending, loss, pairs, finished = np.zeros((3, capacity), np.int64), 0.0, 0, False
    bases, copies = hot or (np.zeros((2, 0, W.shape[1]), np.float32), 0)
    kernel, more = (cbow, (exact,)) if mean else (skipgram, ())
    order = ("window", "shrink", "max_contexts", "negative", "T", "K", "centres", "alpha", "alpha_end")
    while not finished:
        step = kernel(
            ids, offsets, cursor, pending, state, W, C, keep, accept, alias, first, last, at_once,
            *(settings_[name] for name in order), bases, copies, *NOTHING_HELD, *more,
        )  # fmt: skip
        loss, pairs, finished = loss + step[0], pairs + step[1], step[2]
    return loss, pairs


def twin(ids, offsets, W, C, keep, mean=False, exact=True, capacity=200, part=None, **options):
    first, last = part or (0, len(ids))
    return sgns(
        ids, offsets, W, C, keep, *noise(len(W)), (11, 22), first, last, **{**BASE, **options}, capacity=capacity,
        mean=mean, exact=exact,
    )  # fmt: skip


def assert_agrees(lengths, n_tokens, vector_size, keep=1.0, **options):
    ids, offsets = corpus(lengths, n_tokens)
    W, C = vectors(n_tokens, vector_size)
    kept = np.full(n_tokens, keep, np.float32)
    loss, pairs, twin_W, twin_C = twin(ids, offsets, W, C, kept, **options)
    assert train(ids, offsets, W, C, kept, **options) == (pytest.approx(loss, rel=1e-4, abs=1e-4), pairs)
    np.testing.assert_allclose(W, twin_W, rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(C, twin_C, rtol=1e-3, atol=2e-4)
    assert not W[:, vector_size:].any()
    assert not C[:, vector_size:].any()


KINDS = pytest.mark.parametrize("kind", [{}, {"mean": True}, {"mean": True, "exact": False}], ids=["sg", "cbow", "w2v"])


@KINDS
@pytest.mark.parametrize("vector_size", [1, 2, 7, 16, 33, 100])
def test_twin_agrees_for_every_vector_size(kind, vector_size):
    assert_agrees([40, 1, 0, 2, 30], 50, vector_size, **kind)


@KINDS
@pytest.mark.parametrize("window", [1, 2, 5, 40, 0])
@pytest.mark.parametrize("shrink", [True, False])
def test_twin_agrees_for_every_window(kind, window, shrink):
    assert_agrees([25, 3, 9, 0, 0, 1, 7, 8, 40, 2], 60, 20, keep=0.8, window=window, shrink=shrink, **kind)


@KINDS
@pytest.mark.parametrize(("T", "K", "negative"), [(8, 8, 1), (16, 16, 5), (8, 24, 20), (24, 8, 2), (16, 64, 50)])
def test_twin_agrees_for_every_block(kind, T, K, negative):
    assert_agrees([100, 50], 300, 24, T=T, K=K, negative=float(negative), alpha=0.02, **kind)


@KINDS
@pytest.mark.parametrize("centres", [1, 3, 8])
@pytest.mark.parametrize("window", [3, 0])
def test_twin_agrees_for_blocks_that_are_not_full(kind, centres, window):
    assert_agrees([25, 3, 9, 7, 8, 40, 2], 30, 20, keep=0.8, window=window, T=8, K=24, centres=centres, **kind)


@KINDS
@pytest.mark.parametrize("n_tokens", [1, 2, 8])
def test_twin_agrees_where_negatives_often_equal_centres(kind, n_tokens):
    assert_agrees([20, 10], n_tokens, 8, alpha=0.01, **kind)


@KINDS
@pytest.mark.parametrize("lengths", [[0], [1], [2], [0, 0, 1], [1] * 40, [2] * 40, [5, 0, 5]])
def test_twin_agrees_for_tiny_sentences(kind, lengths):
    for window in (2, 0):
        assert_agrees([*lengths, 1], 30, 8, window=window, **kind)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any),
    n_tokens=st.integers(20, 200),
    vector_size=st.integers(1, 40),
    window=st.integers(0, 12),
    shrink=st.booleans(),
    keep=st.sampled_from([1.0, 0.7, 0.1]),
    mean=st.booleans(),
)
def test_twin_agrees_for_anything(lengths, n_tokens, vector_size, window, shrink, keep, mean):
    assert_agrees(lengths, n_tokens, vector_size, keep, window=window, shrink=shrink, mean=mean, alpha=0.03)


@KINDS
@pytest.mark.parametrize("window", [4, 0])
def test_calls_in_pieces_equal_one_call(kind, window):
    ids, offsets = corpus([700, 3, 0, 500, 20, 20], 90)
    keep = np.full(90, 0.6, np.float32)
    results = []
    for at_once in (10**9, 1, 100):
        W, C = vectors(90, 12)
        train(ids, offsets, W, C, keep, at_once=at_once, capacity=64, window=window, **kind)
        results.append((W, C))
    for W, C in results[1:]:
        np.testing.assert_array_equal(W, results[0][0])
        np.testing.assert_array_equal(C, results[0][1])


def test_a_part_in_the_middle_of_a_sentence():
    ids, offsets = corpus([30, 0, 60, 10], 40)
    W, C = vectors(40, 8)
    keep, part = np.ones(40, np.float32), (50, 95)
    _, pairs, twin_W, _ = twin(ids, offsets, W, C, keep, part=part)
    assert train(ids, offsets, W, C, keep, part=part)[1] == pairs
    np.testing.assert_allclose(W, twin_W, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("mean", [False, True])
def test_a_step_is_the_gradient_of_the_stated_loss(mean):
    """One block of five distinct tokens, with negatives that are no centres: the loss as the docstring has it."""
    ids, offsets = np.arange(5, dtype=np.int32), np.array([0, 5])
    W, C = vectors(12, 6)
    accept, alias = alias_table(np.r_[np.zeros(5), np.ones(7)] / 7)
    cursor, pending, state = np.zeros(4, np.int64), np.zeros((3, 64), np.int64), np.array([1, 2], np.uint64)
    options = (10**9, 10, False, 20, 5.0, 8, 8, 8)
    kernel, more = (cbow, (True,)) if mean else (skipgram, ())
    before, after = (W.astype(float), C.astype(float)), (W.copy(), C.copy())
    keep, rate = np.ones(12, np.float32), 1e-2
    loss, *_ = kernel(
        ids, offsets, cursor, pending, state, *after, keep, accept, alias, 0, 5, *options, rate, rate, *NO_COPIES, *more
    )
    negatives = negatives_of(accept, alias, SplitMix(2), 8)

    def stated(W, C):
        value = 0.0
        for centre in range(5):
            others = [j for j in range(5) if j != centre]
            for h in [W[others].mean(axis=0)] if mean else W[others]:
                value += softplus(-h @ C[centre]) + 5 / 8 * softplus(C[negatives] @ h).sum()
        return value

    assert loss == pytest.approx(stated(*before), rel=1e-5)
    for which, (old, new) in enumerate(zip(before, after, strict=True)):
        for row in range(12):
            for column in range(6):
                ends = []
                for change in (1e-5, -1e-5):
                    moved = [matrix.copy() for matrix in before]
                    moved[which][row, column] += change
                    ends.append(stated(*moved))
                slope = (ends[0] - ends[1]) / 2e-5
                assert (old[row, column] - new[row, column]) / rate == pytest.approx(slope, abs=2e-3)


@KINDS
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e4, 1e15])
def test_extreme_vectors_give_no_nan_and_an_unbounded_loss(kind, scale):
    ids, offsets = corpus([60], 20)
    W, C = vectors(20, 8, scale=scale)
    loss, pairs = train(ids, offsets, W, C, np.ones(20, np.float32), alpha=1e-6, alpha_end=1e-6, **kind)
    assert np.isfinite(W).all()
    assert np.isfinite(C).all()
    assert np.isfinite(loss)
    assert scale < 1e4 or loss > 100 * pairs


def test_equal_seeds_give_equal_bits():
    ids, offsets = corpus([500], 50)
    results = []
    for _ in range(2):
        W, C = vectors(50, 10)
        results.append((train(ids, offsets, W, C, np.full(50, 0.5, np.float32)), W, C))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_array_equal(results[0][2], results[1][2])


@KINDS
def test_thinning_out_everything_ends(kind):
    ids, offsets = corpus([3000], 10)
    W, C = vectors(10, 4)
    assert train(ids, offsets, W, C, np.zeros(10, np.float32), at_once=100, **kind) == (0.0, 0)


@KINDS
@pytest.mark.parametrize("window", [5, 0])
def test_learns_that_even_tokens_go_with_even_tokens(kind, window):
    rng = np.random.default_rng(3)
    sentences = [rng.permutation(np.arange(user % 2, 20, 2))[:9] for user in range(200)]
    ids, offsets = np.concatenate(sentences).astype(np.int32), np.arange(0, 1801, 9)
    W, C = vectors(20, 4, scale=0.5)
    C[:] = 0
    keep, even_noise = np.ones(20, np.float32), alias_table(np.full(20, 1 / 20))
    for _ in range(20):
        train(ids, offsets, W, C, keep, table=even_noise, window=window, alpha=0.05, alpha_end=0.05, **kind)
    for token in range(20):
        friends = [other for other in range(token % 2, 20, 2) if other != token]
        scores = C @ W[friends].mean(axis=0)
        assert scores[token] > scores[1 - token % 2 :: 2].max()


@KINDS
@pytest.mark.parametrize("at_once", [10**9, 40])
def test_copies_of_hot_rows_change_nothing_for_a_worker_alone(kind, at_once):
    """What a worker learns in its copies arrives in the shared rows, and no other row is touched."""
    ids, offsets = corpus([400, 1, 300], 30)
    keep = np.full(30, 0.9, np.float32)
    W, C = vectors(30, 20)
    plain = train(ids, offsets, W, C, keep, **kind)
    own, other = 8, 8
    with_copies = [np.vstack([v, np.zeros((own + other, v.shape[1]), np.float32)]) for v in vectors(30, 20)]
    table = noise(30)
    hot = (np.zeros((2, own, W.shape[1]), np.float32), 30 + other)
    assert train(ids, offsets, *with_copies, keep, at_once=at_once, hot=hot, table=table, **kind) == (
        pytest.approx(plain[0], rel=1e-4), plain[1]
    )  # fmt: skip
    for learned, copied in zip((W, C), with_copies, strict=True):
        np.testing.assert_allclose(copied[:30], learned, rtol=1e-3, atol=2e-4)
        assert not copied[30 : 30 + other].any()
