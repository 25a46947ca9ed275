"""The trainer `contrastive`: its loss, gradient and steps against a twin; what it learns, tells and refuses."""

import tracemalloc

import numpy as np
import pytest
import reference_contrastive as slow
from checkerboard import checkerboard, misses
from test_contrastive_examples import compressed
from test_spectral import Recorder, corpus_of, likes

import embedkit
from embedkit import Corpus, EmbedkitError, OptionError, Run, Sentence
from embedkit.contracts import History
from embedkit.trainers.contrast.contrastive_learning import Learning, Settings
from embedkit.trainers.contrast.examples import NextTokens
from embedkit.trainers.contrast.tied_softmax import Batch, TiedSoftmax
from embedkit.trainers.contrastive import ContrastiveOptions
from embedkit.trainers.machinery.crew import Crew

N_TOKENS, SIZE = 12, 5


def some_examples(seed=0, n=7, most_targets=3):
    """Return histories of (token, weight), targets and noise."""
    rng = np.random.default_rng(seed)
    histories = [
        [(int(t), float(w)) for t, w in zip(rng.integers(0, N_TOKENS, k), rng.random(k) + 0.2, strict=True)]
        for k in rng.integers(1, 5, n)
    ]
    targets = [rng.choice(N_TOKENS, k, replace=False).tolist() for k in rng.integers(1, most_targets + 1, n)]
    return histories, targets, rng.integers(0, N_TOKENS, 4).tolist()


def batch_of(histories, targets):
    starts, entries = compressed(histories)
    ends, wanted = compressed(targets)
    tokens, counts = [t for t, _ in entries], [w for _, w in entries]
    return Batch(starts, np.array(tokens, np.int32), np.array(counts, np.float32), ends, np.array(wanted, np.int32))


def model(seed=0, temperature=0.3):
    rng = np.random.default_rng(seed)
    log_inclusion = np.log(rng.random(N_TOKENS) * 0.9 + 0.05).astype(np.float32)
    table, offsets = rng.standard_normal((N_TOKENS, SIZE), np.float32), rng.standard_normal(N_TOKENS, np.float32)
    return TiedSoftmax(table, offsets, log_inclusion, temperature)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("temperature", [0.02, 0.3, 5])
def test_loss_and_gradients_are_those_of_the_twin(seed, temperature):
    examples, fast = some_examples(seed), model(seed, temperature)
    histories, targets, noise = examples
    log_inclusion = fast.log_inclusion.astype(np.float64)

    def loss(table, offsets):
        return slow.loss(table, offsets, *examples, log_inclusion, temperature)

    with Crew(1) as crew:
        value, *gradients = fast.gradient(batch_of(histories, targets), np.array(noise, np.int32), crew)
    table, offsets = fast.table.astype(np.float64), fast.offsets.astype(np.float64)
    expected = slow.slopes(lambda t: loss(t, offsets), table), slow.slopes(lambda b: loss(table, b), offsets)
    assert value == pytest.approx(loss(table, offsets), rel=1e-5)
    for made, right in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(made, right, rtol=2e-4, atol=2e-5 * np.abs(right).max())


def test_steps_are_those_of_the_twin():
    fast, adam, adam_of_offsets = model(), slow.Adam((N_TOKENS, SIZE)), slow.Adam(N_TOKENS)
    table, offsets = fast.table.astype(np.float64), fast.offsets.astype(np.float64)
    with Crew(1) as crew:
        for seed in range(5):
            histories, targets, noise = some_examples(seed, n=3)

            def loss(table, offsets, examples=(histories, targets, noise)):
                return slow.loss(table, offsets, *examples, fast.log_inclusion, 0.3)

            total, weight = fast.step(batch_of(histories, targets), np.array(noise, np.int32), 0.01, crew)
            assert total / weight == pytest.approx(loss(table, offsets), rel=1e-4)
            candidates = {*noise, *(t for row in targets for t in row)}
            by_table = slow.slopes(lambda t, loss=loss: loss(t, offsets), table)
            by_offsets = slow.slopes(lambda b, loss=loss: loss(table, b), offsets)
            adam.step(table, by_table, sorted(candidates | {t for row in histories for t, _ in row}), 0.01)
            adam_of_offsets.step(offsets, by_offsets, sorted(candidates), 0.01)
    np.testing.assert_allclose(fast.table, table, atol=1e-4)
    np.testing.assert_allclose(fast.offsets, offsets, atol=1e-4)


def test_a_step_leaves_rows_alone_that_it_has_no_use_for():
    fast = model()
    before = fast.table.copy()
    with Crew(1) as crew:
        fast.step(batch_of([[(0, 1.0), (1, 0.5)]], [[2]]), np.array([3], np.int32), 0.1, crew)
    assert np.flatnonzero((fast.table != before).any(axis=1)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", range(2, 9))
def test_the_checkerboard_is_filled(seed, size):
    emb = embedkit.train(checkerboard(seed), "contrastive", vector_size=size, seed=seed, target="held-out", epochs=60)
    assert misses(emb) == []


def cycles(n=6, length=9, n_sessions=300, seed=0):
    """Return sessions that go round one of two rings of tokens, which share none."""
    rng = np.random.default_rng(seed)
    return [
        [f"{'ab'[ring]}{(begin + k) % n}" for k in range(length)]
        for ring, begin in zip(rng.integers(0, 2, n_sessions), rng.integers(0, n, n_sessions), strict=True)
    ]


SMALL = {"vector_size": 16, "epochs": 30, "batch_size": 64, "negative": 8, "alpha": 0.02, "temperature": 0.2}


def test_what_comes_next_in_a_ring_is_learned_and_the_loss_falls():
    run = Recorder()
    corpus = Corpus.from_sentences(cycles())
    emb = embedkit.train(corpus, "contrastive", run=run, recency=0.2, **SMALL)
    for r in "ab":
        for i in range(6):
            latest = [f"{r}{(i + k) % 6}" for k in range(3)]
            assert emb.recommend(history=latest, topn=1)[0][0] == f"{r}{(i + 3) % 6}"
    assert list(emb.losses) == run.losses
    assert len(run.losses) == SMALL["epochs"]
    assert run.losses[-1] < run.losses[3] < run.losses[0]


def test_queries_are_weighted_by_the_recency_that_was_learned():
    emb = embedkit.train(Corpus.from_sentences(cycles()), "contrastive", recency=0.5, **{**SMALL, "epochs": 1})
    history = emb.tokens.find_all(["a0", "b1", "a0"]).astype(np.int32)
    expected = slow.unit(np.array([0.25, 0.5, 1.0]) @ emb.vectors[history].astype(np.float64))
    made = emb.query_vectors(History(np.array([0, 3, 3]), history))
    np.testing.assert_allclose(made[0], [*expected[:-1], 1], rtol=1e-4, atol=1e-6)
    assert not made[1].any()
    np.testing.assert_allclose(np.linalg.norm(emb.targets[:, :-1], axis=1), 1, rtol=1e-5)
    assert not emb.vectors[:, -1].any()
    ahead, behind = emb.recommend(history=["a0", "b1"]), emb.recommend(history=["b1", "a0"])
    assert ahead != behind
    even = [emb.recommend(history=h, recency=1.0) for h in (["a0", "b1"], ["b1", "a0"])]
    assert dict(even[0]).keys() == dict(even[1]).keys()


def test_offsets_learn_what_is_popular_and_can_be_left_out():
    rng = np.random.default_rng(0)
    sentences = [[f"t{t}" for t in np.minimum(rng.geometric(0.1, 6), 40)] for _ in range(800)]
    options = {"vector_size": 4, "epochs": 10, "batch_size": 64, "negative": 8, "alpha": 0.03, "temperature": 1.0}
    emb = embedkit.train(Corpus.from_sentences(sentences), "contrastive", **options)
    often = emb.counts > 50
    offsets = emb.targets[often, -1]
    # With a history that tells nothing and a temperature of 1, an offset is the logarithm of how often a token occurs.
    assert np.corrcoef(offsets, np.log(emb.counts[often]))[0, 1] > 0.9
    without = embedkit.train(Corpus.from_sentences(sentences), "contrastive", offsets=False, **options)
    assert np.allclose(np.linalg.norm(without.targets, axis=1), 1, atol=1e-5)
    assert np.allclose(
        np.linalg.norm(without.query_vectors(History(np.array([0, 1]), np.zeros(1, np.int32))), axis=1), 1
    )


def test_a_known_key_is_queried_by_the_order_of_its_history():
    sentences = [Sentence(row, key=f"u{k % 40}") for k, row in enumerate(cycles())]
    emb = embedkit.train(
        Corpus.from_sentences(sentences), "contrastive", target="next", recency=0.5, **{**SMALL, "epochs": 2}
    )
    row = emb.histories.take([3])
    assert np.array_equal(emb.key_vector("u3"), emb.query_vectors(row)[0])
    backwards = History(row.indptr, row.indices[::-1].copy())
    assert not np.allclose(emb.query_vectors(backwards)[0], emb.key_vector("u3"), atol=1e-3)


def test_a_saved_model_answers_alike(tmp_path):
    emb = embedkit.train(Corpus.from_sentences(cycles()), "contrastive", **{**SMALL, "epochs": 1})
    emb.save(tmp_path / "model.safetensors")
    loaded = embedkit.load(tmp_path / "model.safetensors")
    assert loaded.recommend(history=["a0", "b1"]) == emb.recommend(history=["a0", "b1"])
    assert loaded.config["recency"] == 0.5


@pytest.mark.parametrize("target", ["next", "held-out"])
def test_the_same_seed_gives_the_same_bits_whatever_the_workers(target):
    corpus = corpus_of(*likes(330, 310, most=20))
    options = {"target": target, "vector_size": 20, "epochs": 2, "batch_size": 600, "negative": 300}
    first, second, other = (
        embedkit.train(corpus, "contrastive", workers=w, seed=s, **options) for w, s in ((1, 3), (3, 3), (1, 4))
    )
    assert np.array_equal(first.vectors, second.vectors)
    assert not np.array_equal(first.vectors, other.vectors)


@pytest.mark.parametrize(
    ("sentences", "target"),
    [
        ([["a", "b"], ["b", "c"]], "next"),
        ([Sentence(["a", "b"], key="u"), Sentence(["b", "c"], key="v")], "held-out"),
        ([Sentence(["a", "b"], key="u", times=[1, 2]), Sentence(["b", "c"], key="v", times=[3, 4])], "next"),
    ],
)
def test_order_decides_what_is_learned_and_it_says_so(sentences, target):
    run = Recorder()
    embedkit.train(Corpus.from_sentences(sentences), "contrastive", run=run, epochs=1, vector_size=2)
    assert [line for line in run.said if f" {target}" in line]


@pytest.mark.parametrize("start", ["spectral", "random"])
@pytest.mark.parametrize("weights", [None, 3.0])
def test_vectors_may_be_larger_than_the_data_hold(start, weights):
    rows, _ = likes(12, 30)
    corpus = corpus_of(rows, None if weights is None else [[weights] * len(row) for row in rows])
    emb = embedkit.train(corpus, "contrastive", vector_size=50, epochs=1, start=start)
    assert np.isfinite(emb.vectors).all()


def test_a_single_long_sentence_is_enough():
    emb = embedkit.train(Corpus.from_sentences([["a", "b", "c"] * 30]), "contrastive", **SMALL)
    assert emb.losses[-1] < emb.losses[0]


def test_a_run_can_stop_and_a_snapshot_is_what_was_learned_so_far():
    class Keeper(Recorder):
        def epoch_done(self, loss, snapshot):
            goes_on = super().epoch_done(loss, snapshot)
            self.snapshots[-1] = snapshot()
            return goes_on

    corpus = corpus_of(*likes())
    stopped, whole = Keeper(stop_after=1), Keeper()
    first = embedkit.train(corpus, "contrastive", run=stopped, vector_size=4, epochs=3)
    last = embedkit.train(corpus, "contrastive", run=whole, vector_size=4, epochs=3)
    assert (len(first.losses), len(last.losses)) == (1, 3)
    assert np.array_equal(whole.snapshots[0].vectors, first.vectors)
    assert np.array_equal(whole.snapshots[-1].vectors, last.vectors)


def test_progress_grows_to_its_end():
    run = Recorder()
    embedkit.train(corpus_of(*likes()), "contrastive", run=run, vector_size=4, batch_size=16)
    done = [d for d, total in run.reported if total]
    assert done == sorted(done)
    assert run.reported[-1][0] == run.reported[-1][1]


def test_memory_does_not_grow_with_the_corpus():
    options = {"start": "random", "epochs": 1, "vector_size": 8, "batch_size": 64, "negative": 8, "max_history": 10}

    def peak(n):
        corpus = Corpus.from_sentences([[f"t{i % 50}" for i in range(s, s + 10)] for s in range(n)])
        tracemalloc.start()
        embedkit.train(corpus, "contrastive", **options)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(8000) < 2 * peak(400) + 80_000


@pytest.mark.parametrize(
    ("sentences", "options", "what"),
    [
        ([["a"], ["a"]], {}, "single token"),
        ([["a"], ["b"]], {"target": "next"}, "nothing comes next"),
        ([["a", "a"], ["b"]], {"repeats": False}, "nothing comes next"),
        ([["a", "a"], ["b"]], {"target": "held-out"}, "nothing to hold out"),
    ],
)
def test_what_holds_nothing_to_learn_is_refused(sentences, options, what):
    with pytest.raises(EmbedkitError, match=what):
        embedkit.train(Corpus.from_sentences(sentences), "contrastive", **options)


@pytest.mark.parametrize("start", ["spectral", "random"])
def test_weights_beyond_reckoning_are_refused(start):
    corpus = Corpus.from_sentences(
        [Sentence(["a", "b", "c"], weights=[1e30, 1, 1]), Sentence(["a", "b"], weights=[1, 1])]
    )
    with pytest.raises(EmbedkitError, match="bring them between"):
        embedkit.train(corpus, "contrastive", start=start)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_ends_it_in_one_line():
    corpus = Corpus.from_sentences(cycles())
    options = ContrastiveOptions()
    examples = NextTokens(History(corpus.offsets, corpus.ids), 12, 0.7, True, 10, 1)
    vectors = TiedSoftmax(np.full((12, 3), np.inf, np.float32), *np.zeros((2, 12), np.float32), 0.1)
    learning = Learning(corpus, options, Settings.of(options, corpus), examples, vectors)
    with pytest.raises(EmbedkitError, match="beyond all bounds"):
        learning.epochs(Run())


def test_an_epoch_that_draws_nothing_ends_it_in_one_line():
    class Nothing:
        unit, total = "histories", 3

        def batches(self, epoch, size):
            return iter(())

    corpus, options = corpus_of(cycles()), ContrastiveOptions()
    learning = Learning(corpus, options, Settings.of(options, corpus), Nothing(), model())
    with pytest.raises(EmbedkitError, match="drew nothing to predict; raise --held-out"):
        learning.epochs(Run())


def test_what_does_not_fit_is_refused():
    with pytest.raises(EmbedkitError, match=r"of memory.*would fit"):
        embedkit.train(Corpus.from_sentences(cycles()), "contrastive", batch_size=65_536, vector_size=100_000)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("vector_size", 0),
        ("target", "previous"),
        ("recency", 1.1),
        ("recency", 0),
        ("repeats", "often"),
        ("held_out", 1),
        ("max_history", 0),
        ("temperature", 0),
        ("negative", -1),
        ("ns_exponent", float("nan")),
        ("batch_size", 0),
        ("epochs", 0),
        ("alpha", 0),
        ("offsets", "some"),
        ("popularity", float("inf")),
        ("start", "zeros"),
        ("workers", 0),
        ("seed", -1),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(OptionError, match=f"^{option} must"):
        embedkit.train(corpus_of(*likes()), "contrastive", **{option: value})
