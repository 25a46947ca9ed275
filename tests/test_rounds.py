"""Streams in rounds: against a plain twin, with any number of threads, in tight room, and when something fails."""

import threading

import numpy as np
import pytest
from reference_rounds import factors, sgns_rounds, stream_rounds

import embedkit
from embedkit import Run
from embedkit.trainers.machinery.distributions import alias_table, keep_probabilities, noise_probabilities
from embedkit.trainers.machinery.racing import divided
from embedkit.trainers.machinery.tables import random_table
from embedkit.trainers.sampling import rounds
from embedkit.trainers.sampling.blocks import block_shape, mean_contexts
from embedkit.trainers.sampling.word2vec import PairPart
from embedkit.trainers.skipgram import Word2VecOptions

STREAMS, CENTRES = 3, 40
OPTIONS = {"vector_size": 6, "epochs": 1, "sample": 0.02, "alpha": 0.05, "min_alpha": 0.01, "seed": 5}


@pytest.fixture(autouse=True)
def small_rounds(monkeypatch):
    monkeypatch.setattr(rounds, "_ALONE_BELOW", 0)
    monkeypatch.setattr(rounds, "_STREAMS", STREAMS)
    rounds_of(monkeypatch, CENTRES)


def rounds_of(monkeypatch, centres):
    monkeypatch.setattr(rounds, "_FEWEST_CENTRES", centres)
    monkeypatch.setattr(rounds, "_MOST_CENTRES", centres)


def zipf_corpus(lengths, n_tokens, seed=0):
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, n_tokens + 1)
    return embedkit.Corpus.from_sentences(
        [[f"t{i}" for i in rng.choice(n_tokens, length, p=p / p.sum())] for length in lengths]
    )


def twin(corpus, trainer, given):
    """Return loss and vectors of an epoch, as the trainer should learn them."""
    options = Word2VecOptions(**given)
    keep, noise = keep_probabilities(corpus.counts, options.sample), noise_probabilities(corpus.counts, 0.75)
    contexts = mean_contexts(corpus, options) if trainer == "skipgram" else 1
    share = (keep * corpus.counts).max() / (keep * corpus.counts).sum()
    block = block_shape(contexts, options.negative, options.alpha, share)
    window = 0 if options.window == "sentence" else options.window
    parts = divided(corpus.n_tokens, STREAMS)
    streams = [
        stream_rounds(
            corpus.ids, corpus.offsets, keep, *alias_table(noise), part,
            np.random.SeedSequence([options.seed, number]).generate_state(2, np.uint64),
            CENTRES + 2 * (block.capacity + options.reach), window, options.shrink_windows, options.max_contexts,
            block.capacity, block.negatives, block.centres,
        )
        for number, part in enumerate(parts)
    ]  # fmt: skip
    by = factors(
        corpus.counts, keep, noise, STREAMS, CENTRES, mean_contexts(corpus, options), options.negative, options.alpha,
        rounds._CURVATURE, trainer == "cbow",
    )  # fmt: skip
    W = random_table(len(corpus.tokens), options.vector_size, options.seed)
    loss, pairs, W, C = sgns_rounds(
        parts, streams, W, np.zeros_like(W), by, options.negative / block.negatives,
        (options.alpha, options.min_alpha), trainer == "cbow",
    )  # fmt: skip
    return loss / pairs, W[:, : options.vector_size], C[:, : options.vector_size]


@pytest.mark.parametrize("trainer", ["skipgram", "cbow"])
@pytest.mark.parametrize(
    "window", [{"window": 3}, {"window": "sentence", "max_contexts": 5}], ids=["window", "sentence"]
)
def test_twin_agrees(trainer, window):
    corpus = zipf_corpus([100, 3, 1, 40, 200, 6, 6, 150], 60)
    options = {**OPTIONS, **window}
    emb = embedkit.train(corpus, trainer, reproducible=True, workers=2, **options)
    loss, W, C = twin(corpus, trainer, options)
    assert emb.losses[0] == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(emb.vectors, W, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(emb.context_vectors, C, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("trainer", ["skipgram", "cbow"])
@pytest.mark.parametrize("room", [1, 8], ids=["tight", "ample"])
@pytest.mark.parametrize("window", [2, "sentence"])
def test_any_number_of_workers_gives_the_same_bits(trainer, room, window, monkeypatch):
    """Where there is room for a block alone, rounds are shorter; nothing else differs."""
    monkeypatch.setattr(rounds, "_MOST_ROOM", room)
    corpus = zipf_corpus([100] * 12 + [700], 300)
    results = [
        embedkit.train(corpus, trainer, reproducible=True, workers=w, **{**OPTIONS, "epochs": 2, "window": window})
        for w in (1, 2, 3, 5)
    ]
    for other in results[1:]:
        assert np.array_equal(results[0].vectors, other.vectors)
        assert np.array_equal(results[0].context_vectors, other.context_vectors)
        assert results[0].losses == other.losses


def test_factors_go_from_the_sum_to_the_mean():
    made = rounds.Rounds(8, 100, 10, np.array([[1e-12, 1e-3, 0.1, 1e4]] * 2)).factors(0.1)
    assert made.dtype == np.float32
    assert made[0, 0] == pytest.approx(1, abs=1e-5)
    assert made[0, -1] == pytest.approx(1 / 8)
    assert (np.diff(made[1]) < 0).all()


@pytest.mark.parametrize("trainer", ["skipgram", "cbow"])
def test_few_tokens_that_all_streams_step_on_do_not_diverge(trainer, monkeypatch):
    monkeypatch.setattr(rounds, "_STREAMS", 16)
    rounds_of(monkeypatch, 2000)
    corpus = zipf_corpus([50] * 400, 4)
    emb = embedkit.train(corpus, trainer, reproducible=True, vector_size=8, alpha=0.2, sample=0, epochs=5)
    assert np.abs(emb.vectors).max() < 10
    assert emb.losses[-1] <= emb.losses[0]


def test_a_thread_that_fails_stops_the_others(monkeypatch):
    went = PairPart.advance

    def fails_at_last(self):
        if threading.current_thread() is not threading.main_thread() and self.done > 300:
            raise MemoryError("no more")
        return went(self)

    monkeypatch.setattr(PairPart, "advance", fails_at_last)
    with pytest.raises(MemoryError, match="no more"):
        embedkit.train(zipf_corpus([4000], 200), "skipgram", reproducible=True, workers=3, **OPTIONS)


def test_where_not_all_threads_can_be_had_the_others_end(monkeypatch):
    start = threading.Thread.start

    def first_alone(thread):
        if thread.name.startswith("ThreadPoolExecutor") and thread.name.endswith("_1"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", first_alone)
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="can't start new thread"):
        embedkit.train(zipf_corpus([4000], 200), "skipgram", reproducible=True, workers=2, vector_size=4)
    assert set(threading.enumerate()) <= before


def test_an_interruption_ends_the_threads():
    class Impatient(Run):
        def progress(self, done, total, **more):
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        embedkit.train(
            zipf_corpus([4000], 200), "skipgram", run=Impatient(), reproducible=True, workers=2, vector_size=4,
            epochs=10**6,
        )  # fmt: skip
    assert set(threading.enumerate()) <= before
