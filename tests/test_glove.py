"""The trainer `glove`: what it minimises, in which order, what it keeps, tells and refuses."""

import numpy as np
import pytest
import reference_glove as slow
from checkerboard import GRID, checkerboard, misses
from hypothesis import given
from hypothesis import strategies as st
from reference import SplitMix, below
from test_cooccurrence import corpus_of, dense, zipf_corpus
from test_spectral import Recorder

import embedkit
from embedkit import Corpus, EmbedkitError, OptionError, Run
from embedkit.corpus.cooccurrence import count_cooccurrences
from embedkit.trainers.counting import glove_learning, kernels_glove, tournament
from embedkit.trainers.counting.glove_learning import Blocks, Table
from embedkit.trainers.glove import GloVeOptions
from embedkit.trainers.machinery.crew import Crew


def blocks_of(corpus, options, workers=1):
    """Return the counts, dense, and the blocks that are learned from."""
    with Crew(workers) as crew:
        counts = count_cooccurrences(corpus, options.window, options.distance_weighting, crew)
        return dense(counts), Blocks.of(counts, options, crew, None)


def twin_of(table, alpha):
    """Return the slow GloVe that stands where a table does."""
    size = table.size
    vectors = table.vectors[:, : size + 1]
    contexts = np.hstack((table.context_vectors[:, :size], table.context_vectors[:, size + 1 :][:, :1]))
    return slow.GloVe(vectors, contexts, alpha)


@pytest.mark.parametrize(("size", "seed"), GRID)
def test_the_checkerboard_is_filled(seed, size):
    # Pennington's loss says nothing about what never meets, and all that meet here meet equally often.
    options = {"window": "sentence", "unmet_weight": 0.1, "x_max": 8, "epochs": 100}
    assert misses(embedkit.train(checkerboard(seed), "glove", vector_size=size, seed=seed, **options)) == []


@pytest.mark.parametrize("size", [3, 14, 15, 40])
def test_losses_and_vectors_are_those_of_the_twin(monkeypatch, size):
    monkeypatch.setattr(glove_learning, "_ENTRIES_A_BLOCK", 40)
    options = GloVeOptions(vector_size=size, window=3, x_max=5, epochs=4)
    corpus = zipf_corpus(600, 60)
    counts, blocks = blocks_of(corpus, options)
    table = Table(len(corpus.tokens), options)
    twin = twin_of(table, options.alpha)
    for number in range(options.epochs):
        with Crew(1) as crew:
            loss = glove_learning.epoch(table, blocks, blocks.rounds(), options, number, crew)
        pairs = [blocks.pairs[blocks.ends[b] : blocks.ends[b[0], b[1] + 1]] for met in blocks.rounds() for b in met]
        slow_loss = twin.learn(np.concatenate(pairs), counts, options.x_max, options.exponent)
        # The kernel's root is right to 7e-4.
        assert loss == pytest.approx(slow_loss / np.count_nonzero(counts), rel=1e-3)
    now = twin_of(table, options.alpha)
    np.testing.assert_allclose(now.vectors, twin.vectors, rtol=1e-2, atol=2e-4)
    np.testing.assert_allclose(now.contexts, twin.contexts, rtol=1e-2, atol=2e-4)
    assert (table.vectors[:, size + 1] == 1).all()
    assert (table.context_vectors[:, size] == 1).all()
    assert not table.vectors[:, size + 2 :].any()


def test_steps_are_along_the_gradient_of_the_stated_loss():
    size, alpha, count, x_max, exponent = 6, 1e-3, 3.5, 20.0, 0.7
    rng = np.random.default_rng(3)
    table = Table(2, GloVeOptions(vector_size=size, alpha=alpha))
    table.vectors[:, : size + 1] = rng.standard_normal((2, size + 1))
    table.context_vectors[:, :size] = rng.standard_normal((2, size))
    table.context_vectors[:, size + 1] = rng.standard_normal(2)
    before = twin_of(table, alpha)
    place = np.concatenate((before.vectors[1], before.contexts[0]))

    def loss(at):
        w, c = at[: size + 1], at[size + 1 :]
        return slow.pair_loss(w[:-1], c[:-1], w[-1], c[-1], count, x_max, exponent)

    slopes = [(loss(place + h) - loss(place - h)) / 2e-6 for h in np.eye(len(place)) * 1e-6]
    # As context 1 and token 0, the other way round, are learned from too, the diagonal is left to them.
    targets = np.array([[np.log(count), (count / x_max) ** exponent]], np.float32)
    none = np.float32(0), np.float32(0)
    arguments = table.rates, table.context_rates, (0, 2), (0, 2), none, np.zeros(1, np.uint64)
    kernels_glove.learn_block(table.rows, np.array([[1, 0]], np.int32), targets, *arguments)
    after = twin_of(table, alpha)
    moved = np.concatenate((after.vectors[1] - before.vectors[1], after.contexts[0] - before.contexts[0]))
    expected = -alpha * np.array(slopes)
    np.testing.assert_allclose(moved, expected, rtol=5e-3, atol=1e-6)


def test_unmet_pairs_are_drawn_and_learned_as_the_twin_does():
    table = Table(9, GloVeOptions(vector_size=5))
    twin = twin_of(table, 0.05)
    rng = np.random.default_rng(0)
    pairs = np.stack((rng.integers(5, 9, 40), rng.integers(0, 5, 40)), axis=1).astype(np.int32)
    targets = np.stack((rng.standard_normal(40), rng.random(40)), axis=1).astype(np.float32)
    unmet, state = (np.float32(-2.5), np.float32(0.3)), np.array([11], np.uint64)
    arguments = table.rates, table.context_rates, (5, 9), (0, 5), unmet, state
    loss = kernels_glove.learn_block(table.rows, pairs, targets, *arguments)
    bits, slow_loss = SplitMix(11), 0.0
    for (i, j), (logarithm, weight) in zip(pairs, targets, strict=True):
        slow_loss += twin.both_ways(i, j, logarithm, weight)
        slow_loss += twin.both_ways(5 + below(bits.bits(), 4), below(bits.bits(), 5), *unmet)
    assert loss == pytest.approx(slow_loss, rel=1e-3)
    np.testing.assert_allclose(twin_of(table, 0.05).vectors, twin.vectors, rtol=1e-2, atol=2e-4)


def test_every_entry_lies_in_one_block_with_its_logarithm_and_weight(monkeypatch):
    monkeypatch.setattr(glove_learning, "_ENTRIES_A_BLOCK", 100)
    options = GloVeOptions(window=4, x_max=3, exponent=0.6)
    counts, blocks = blocks_of(zipf_corpus(2000, 200), options, workers=3)
    found = np.zeros_like(counts)
    assert len(blocks.bounds) > 6
    assert blocks.n_entries == np.count_nonzero(counts)
    for a, b in (block for met in blocks.rounds() for block in met):
        at = slice(blocks.ends[a, b], blocks.ends[a, b + 1])
        for (row, column), (logarithm, weight) in zip(blocks.pairs[at], blocks.targets[at], strict=True):
            assert blocks.bounds[a] <= row < blocks.bounds[a + 1]
            assert blocks.bounds[b] <= column < blocks.bounds[b + 1]
            assert found[row, column] == 0
            found[row, column] = np.exp(logarithm)
            assert weight == pytest.approx(slow.weight(counts[row, column], 3, 0.6), rel=1e-5)
    np.testing.assert_allclose(found, np.tril(counts), rtol=1e-5)


@given(n_parts=st.integers(1, 40))
def test_in_a_tournament_all_meet_once_and_nobody_twice_a_round(n_parts):
    rounds = tournament.rounds(n_parts)
    for met in rounds:
        players = [player for a, b in met for player in {a, b}]
        assert len(players) == len(set(players))
    pairs = [pair for met in rounds for pair in met]
    assert sorted(pairs) == [(a, b) for a in range(n_parts) for b in range(a + 1)]


@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=60), n_parts=st.integers(1, 20))
def test_parts_cover_all_tokens_and_none_is_empty(lengths, n_parts):
    bounds = tournament.bounds(np.concatenate(([0], np.cumsum(lengths))), n_parts)
    assert bounds[0] == 0
    assert bounds[-1] == len(lengths)
    assert (np.diff(bounds) > 0).all()
    assert len(bounds) <= n_parts + 1


@pytest.mark.parametrize("unmet_weight", [0, 0.01])
def test_any_number_of_workers_gives_the_same_bits(monkeypatch, unmet_weight):
    monkeypatch.setattr(glove_learning, "_ENTRIES_A_BLOCK", 200)
    corpus = zipf_corpus(4000, 300)
    options = {"vector_size": 20, "epochs": 3, "keep": "both", "unmet_weight": unmet_weight}
    first, second, other = (
        embedkit.train(corpus, "glove", workers=w, seed=s, **options) for w, s in ((1, 3), (4, 3), (1, 4))
    )
    assert first.losses == second.losses
    assert np.array_equal(first.vectors, second.vectors)
    assert np.array_equal(first.context_vectors, second.context_vectors)
    assert not np.array_equal(first.vectors, other.vectors)


def test_products_and_biases_become_the_logarithms_of_counts():
    corpus = zipf_corpus(300, 30)
    run = Recorder()
    options = {"vector_size": 30, "window": 3, "epochs": 400, "x_max": 1, "exponent": 0, "alpha": 0.2}
    emb = embedkit.train(corpus, "glove", run=run, keep="both", **options)
    counts, _ = blocks_of(corpus, GloVeOptions(window=3))
    made = emb.vectors @ emb.context_vectors.T + emb.arrays["biases"][:, None] + emb.arrays["context_biases"]
    met = counts > 0
    assert np.abs(made[met] - np.log(counts[met])).mean() < 0.05
    assert all(after < before for before, after in zip(run.losses[:20], run.losses[1:21], strict=True))


def test_the_sum_is_that_of_both():
    corpus = zipf_corpus(1000, 50)
    summed, both = (
        embedkit.train(corpus, "glove", vector_size=10, epochs=2, keep=keep, workers=1) for keep in ("sum", "both")
    )
    assert summed.context_vectors is None
    np.testing.assert_array_equal(summed.vectors, both.vectors + both.context_vectors)


def test_a_run_can_stop_and_early_snapshots_stay_whole():
    corpus = zipf_corpus(1000, 50)
    stopped, whole = Recorder(stop_after=1), Recorder()
    first = embedkit.train(corpus, "glove", run=stopped, vector_size=4, epochs=3)
    last = embedkit.train(corpus, "glove", run=whole, vector_size=4, epochs=3)
    assert list(last.losses) == whole.losses
    assert len(first.losses) == 1
    assert np.array_equal(whole.snapshots[0]().vectors, last.vectors)
    assert whole.losses[2] < whole.losses[0]


def test_progress_of_counting_and_of_learning_reach_their_ends():
    class Watcher(Run):
        seen = {}

        def progress(self, done, total, *, unit="tokens", loss=None, snapshot=None):
            assert done >= self.seen.get(unit, (0, 0))[0]
            self.seen[unit] = done, total

    run = Watcher()
    embedkit.train(zipf_corpus(1000, 50), "glove", run=run, vector_size=4, epochs=3)
    assert set(run.seen) == {"tokens counted", "blocks"}
    assert all(done == total for done, total in run.seen.values())


def test_an_interruption_ends_it():
    class Impatient(Run):
        def progress(self, done, total, *, unit="tokens", **more):
            if unit == "blocks":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedkit.train(zipf_corpus(1000, 50), "glove", run=Impatient(), workers=2)


def test_temporary_files_lie_where_told_and_go(tmp_path):
    embedkit.train(zipf_corpus(1000, 50), "glove", run=Run(work_dir=tmp_path), vector_size=4, epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_what_diverges_is_refused():
    with pytest.raises(EmbedkitError, match=r"lower --alpha\.$"):
        glove_learning.learn(corpus_of([[1, 2, 3] * 50]), GloVeOptions(vector_size=4, alpha=1e25), Run())


def test_vectors_that_do_not_fit_are_refused(monkeypatch):
    corpus = corpus_of([[1, 2, 3]])
    monkeypatch.setattr("embedkit.memory.available_bytes", lambda: 10**6)
    with pytest.raises(EmbedkitError, match=r"vectors of 3 tokens × 90,000, two of each.* would fit"):
        embedkit.train(corpus, "glove", vector_size=90_000)


def test_single_tokens_are_refused():
    with pytest.raises(EmbedkitError, match="nothing occurs together"):
        embedkit.train(Corpus.from_sentences([["a"], ["b"]]), "glove")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("vector_size", 0),
        ("window", 0),
        ("window", "line"),
        ("distance_weighting", "square"),
        ("x_max", 0),
        ("exponent", float("nan")),
        ("unmet_weight", -1),
        ("alpha", 0),
        ("epochs", 0),
        ("keep", "none"),
        ("workers", 0),
        ("seed", -1),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(OptionError, match=f"^{option} must"):
        embedkit.train(corpus_of([[1, 2, 3]]), "glove", **{option: value})
