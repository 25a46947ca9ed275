"""The kernels of fastText: against a plain twin, the stated loss, and themselves in pieces and with copies."""

import numpy as np
import pytest
from reference import SplitMix, negatives_of, softplus
from reference_fasttext import compose, fasttext

from embedkit.trainers.machinery.distributions import alias_table
from embedkit.trainers.sampling.kernels_fasttext import cbow, skipgram

BASE = {
    "window": 3, "shrink": True, "max_contexts": 6, "negative": 5.0, "T": 8, "K": 8, "centres": None,
    "alpha": 0.1, "alpha_end": 0.02,
}  # fmt: skip
ORDER = ("window", "shrink", "max_contexts", "negative", "T", "K", "centres", "alpha", "alpha_end")
CAPACITY = 200
KINDS = pytest.mark.parametrize("mean", [False, True], ids=["skipgram", "cbow"])


def corpus(lengths, n_tokens, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, n_tokens, sum(lengths)).astype(np.int32)
    return ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def made_of(n_tokens, n_rows, seed=3):
    """Return the rows that each token is made of, one to six; one may come twice."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, n_rows, rng.integers(1, 7)) for _ in range(n_tokens)]


def tables(n_rows, n_tokens, vector_size, more=0, seed=1):
    rng = np.random.default_rng(seed)
    width = (vector_size + 15) // 16 * 16
    made = []
    for n in (n_rows, n_tokens):
        table = np.zeros((n + more, width), np.float32)
        table[:n, :vector_size] = rng.normal(size=(n, vector_size)) / vector_size**0.5
        made.append(table)
    return made


def noise(n_tokens):
    return alias_table(np.random.default_rng(2).dirichlet(np.ones(n_tokens)))


def train(ids, offsets, Z, C, subwords, keep, mean=False, at_once=10**9, hot=0, part=None, table=None, **options):
    """Train over the corpus in as many calls as it takes; Z and C change."""
    settings = {**BASE, **options}
    settings["centres"] = settings["centres"] or settings["T"]
    first, last = part or (0, len(ids))
    accept, alias = table or noise(len(keep))
    sentence = int(np.searchsorted(offsets, first, side="right")) - 1
    cursor, state = np.array([first, sentence, 0, 0]), np.array([11, 22], np.uint64)
    indptr = np.concatenate([[0], np.cumsum([len(rows) for rows in subwords])])
    rows = np.concatenate(subwords).astype(np.int32)
    bases = [np.zeros((hot, table.shape[1]), np.float32) for table in (Z, C)]
    pending, loss, pairs, finished = np.zeros((3, CAPACITY), np.int64), 0.0, 0, False
    while not finished:
        step = (cbow if mean else skipgram)(
            ids, offsets, cursor, pending, state, Z, C, indptr, rows, keep, accept, alias, first, last, at_once,
            *(settings[name] for name in ORDER), *bases, np.array([len(Z) - hot, len(C) - hot]),
        )  # fmt: skip
        loss, pairs, finished = loss + step[0], pairs + step[1], step[2]
    return loss, pairs


def assert_agrees(lengths, n_tokens, vector_size, keep=1.0, hot=0, mean=False, part=None, **options):
    ids, offsets = corpus(lengths, n_tokens)
    subwords, n_rows = made_of(n_tokens, 2 * n_tokens), 2 * n_tokens
    Z, C = tables(n_rows, n_tokens, vector_size, hot)
    kept = np.full(n_tokens, keep, np.float32)
    first, last = part or (0, len(ids))
    loss, pairs, twin_Z, twin_C = fasttext(
        ids, offsets, Z[:n_rows], C[:n_tokens], subwords, kept, *noise(n_tokens), (11, 22), first, last,
        **{**BASE, **options}, capacity=CAPACITY, mean=mean,
    )  # fmt: skip
    found = train(ids, offsets, Z, C, subwords, kept, mean, hot=hot, part=part, **options)
    assert found == (pytest.approx(loss, rel=1e-4, abs=1e-4), pairs)
    np.testing.assert_allclose(Z[:n_rows], twin_Z, rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(C[:n_tokens], twin_C, rtol=1e-3, atol=2e-4)
    assert not Z[:, vector_size:].any()
    assert not C[:, vector_size:].any()


@KINDS
@pytest.mark.parametrize("vector_size", [1, 2, 7, 16, 33, 100])
def test_twin_agrees_for_every_vector_size(mean, vector_size):
    assert_agrees([40, 1, 0, 2, 30], 50, vector_size, mean=mean)


@KINDS
@pytest.mark.parametrize("window", [1, 2, 5, 40, 0])
@pytest.mark.parametrize("shrink", [True, False])
def test_twin_agrees_for_every_window(mean, window, shrink):
    lengths = [25, 3, 9, 0, 0, 1, 7, 8, 40, 2]
    assert_agrees(lengths, 60, 20, keep=0.8, window=window, shrink=shrink, mean=mean)


@KINDS
@pytest.mark.parametrize(("T", "K", "negative"), [(8, 8, 1), (16, 16, 5), (8, 24, 20), (24, 8, 2), (16, 64, 50)])
def test_twin_agrees_for_every_block(mean, T, K, negative):
    assert_agrees([100, 50], 300, 24, T=T, K=K, negative=float(negative), alpha=0.02, mean=mean)


@KINDS
@pytest.mark.parametrize("centres", [1, 3, 8])
@pytest.mark.parametrize("window", [3, 0])
def test_twin_agrees_for_blocks_that_are_not_full(mean, centres, window):
    assert_agrees([25, 3, 9, 7, 8, 40, 2], 30, 20, keep=0.8, window=window, K=24, centres=centres, mean=mean)


@KINDS
def test_twin_agrees_where_negatives_are_often_the_true_ones(mean):
    assert_agrees([30, 20], 4, 12, T=8, K=24, alpha=0.01, mean=mean)


@KINDS
@pytest.mark.parametrize("hot", [1, 9, 40])
def test_copies_of_hot_rows_change_nothing_for_one_worker(mean, hot):
    assert_agrees([60, 50], 40, 20, hot=hot, mean=mean)


@KINDS
def test_twin_agrees_for_a_part_that_begins_within_a_sentence(mean):
    assert_agrees([30, 30], 40, 10, part=(7, 49), mean=mean)


@KINDS
@pytest.mark.parametrize("at_once", [1, 7, 50])
def test_pieces_give_the_bits_of_the_whole(mean, at_once):
    ids, offsets = corpus([50, 3, 60], 30)
    subwords, keep = made_of(30, 70), np.full(30, 0.7, np.float32)
    whole, pieces = tables(70, 30, 20), tables(70, 30, 20)
    first = train(ids, offsets, *whole, subwords, keep, mean)
    second = train(ids, offsets, *pieces, subwords, keep, mean, at_once=at_once)
    assert first[1] == second[1]
    assert all(np.array_equal(one, other) for one, other in zip(whole, pieces, strict=True))


@KINDS
def test_steps_are_the_gradient_of_the_stated_loss(mean):
    """One block at a small rate moves every number by -rate times the loss's slope, by finite differences."""
    ids, offsets = corpus([8], 12, seed=5)
    subwords, keep, rate = made_of(12, 20), np.ones(12, np.float32), 1e-3
    options = {"window": 2, "shrink": False, "alpha": rate, "alpha_end": rate, "K": 8}
    Z, C = (table.astype(np.float64) for table in tables(20, 12, 3))
    negatives = negatives_of(*noise(12), SplitMix(22), 8)

    def loss(Z, C):
        total = 0.0
        for t in range(len(ids)):
            around = [ids[j] for j in range(max(0, t - 2), min(len(ids), t + 3)) if j != t]
            vectors = [compose(Z, subwords[token]) for token in (around if mean else [ids[t]])]
            for true in [ids[t]] if mean else around:
                h = np.mean(vectors, axis=0)
                noise_ = [softplus(h @ C[other]) for other in negatives if other != true]
                total += softplus(-(h @ C[true])) + 5 / 8 * sum(noise_)
        return total

    after_Z, after_C = (table.astype(np.float32) for table in (Z, C))
    train(ids, offsets, after_Z, after_C, subwords, keep, mean, **options)
    for table, after in ((Z, after_Z), (C, after_C)):
        for row in range(len(table)):
            for column in range(3):
                before, ends = table[row, column], []
                for shift in (1e-5, -1e-5):
                    table[row, column] = before + shift
                    ends.append(loss(Z, C))
                table[row, column] = before
                slope = (ends[0] - ends[1]) / 2e-5
                assert (before - after[row, column]) / rate == pytest.approx(slope, rel=1e-3, abs=2e-3)
