"""Skip-gram and CBOW as trainers: what they learn, repeat, tell and refuse. Their kernels have tests of their own."""

import math

import numpy as np
import pytest
from checkerboard import GRID, checkerboard, misses

import embedkit
from embedkit import Corpus, EmbedkitError, OptionError, Run

TRAINERS = ("skipgram", "cbow")


class Recorder(Run):
    """A run that keeps what it is told, and stops after `stop_after` epochs."""

    def __init__(self, stop_after=10**9):
        super().__init__()
        self.stop_after = stop_after
        self.losses, self.reported, self.snapshots = [], [], []

    def progress(self, done, total, *, unit="tokens", loss=None, snapshot=None):
        self.reported.append((done, total))

    def epoch_done(self, loss, snapshot):
        self.losses.append(loss)
        self.snapshots.append(snapshot())
        return len(self.losses) < self.stop_after


def topics(n=300, seed=0):
    """Return sentences of four tokens of one topic; topic 2 has the tokens 2a to 2f, and there are six."""
    rng = np.random.default_rng(seed)
    return [[f"{topic}{letter}" for letter in rng.permutation(list("abcdef"))[:4]] for topic in rng.integers(0, 6, n)]


def on_topic(emb):
    """Return the share of tokens whose five nearest are those of their topic."""
    near = {token: emb.most_similar(token, topn=5) for token in emb.tokens}
    return np.mean([all(other[0] == token[0] for other, _ in found) for token, found in near.items()])


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize(("size", "seed"), GRID)
def test_the_checkerboard_is_filled(trainer, seed, size):
    emb = embedkit.train(
        checkerboard(seed), trainer, vector_size=size, window="sentence", epochs=100, alpha=0.1, sample=0, seed=seed
    )
    assert misses(emb) == []


@pytest.mark.parametrize(("trainer", "epochs"), [("skipgram", 60), ("cbow", 5)])
@pytest.mark.parametrize("workers", [1, 3])
def test_tokens_that_occur_together_become_similar(trainer, epochs, workers):
    corpus = Corpus.from_sentences(topics())
    emb = embedkit.train(corpus, trainer, vector_size=16, epochs=epochs, sample=0, workers=workers)
    assert on_topic(emb) == 1


@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_true_loss_of_each_epoch_is_kept_and_falls(trainer):
    run = Recorder()
    corpus = Corpus.from_sentences(topics())
    emb = embedkit.train(corpus, trainer, run=run, vector_size=8, epochs=20, alpha=0.1, sample=0)
    assert list(emb.losses) == run.losses
    assert len(emb.losses) == 20
    # Untrained vectors score 0 with everything: log 2 for the pair and for each of five noise tokens.
    assert emb.losses[0] < 6 * math.log(2) + 0.01
    assert emb.losses[-1] < 0.7 * emb.losses[0]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_one_worker_and_one_seed_give_the_same_bits(trainer):
    corpus = Corpus.from_sentences(topics())
    first, second, other = (
        embedkit.train(corpus, trainer, vector_size=10, epochs=3, workers=1, seed=s) for s in (7, 7, 8)
    )
    assert np.array_equal(first.vectors, second.vectors)
    assert np.array_equal(first.context_vectors, second.context_vectors)
    assert not np.array_equal(first.vectors, other.vectors)


def test_more_workers_than_tokens_do_no_harm():
    emb = embedkit.train(Corpus.from_sentences([["a", "b"]]), "skipgram", vector_size=4, workers=5)
    assert np.isfinite(emb.vectors).all()


def test_progress_reaches_the_end_and_snapshots_are_whole():
    corpus = Corpus.from_sentences(topics())
    run = Recorder()
    emb = embedkit.train(corpus, "skipgram", run=run, vector_size=4, epochs=4, workers=1)
    assert run.reported[-1] == (4 * corpus.n_tokens, 4 * corpus.n_tokens)
    assert [done for done, _ in run.reported] == sorted(done for done, _ in run.reported)
    assert len(run.snapshots) == 4
    assert np.array_equal(run.snapshots[-1].vectors, emb.vectors)
    assert not np.array_equal(run.snapshots[0].vectors, emb.vectors)


def test_a_run_can_stop_training():
    run = Recorder(stop_after=2)
    emb = embedkit.train(Corpus.from_sentences(topics()), "cbow", run=run, vector_size=4, epochs=10)
    assert len(emb.losses) == 2


def test_an_interruption_ends_the_workers():
    class Impatient(Run):
        def progress(self, done, total, **more):
            raise KeyboardInterrupt

    corpus = Corpus.from_sentences(topics(2000))
    with pytest.raises(KeyboardInterrupt):
        embedkit.train(corpus, "skipgram", run=Impatient(), vector_size=4, epochs=10**6, workers=2)


def test_the_config_tells_how_vectors_were_made():
    emb = embedkit.train(Corpus.from_sentences([["a", "b"]]), "cbow", vector_size=3, window=2)
    assert emb.config["trainer"] == "cbow"
    assert emb.config["options"]["window"] == 2
    assert emb.vectors.shape == emb.context_vectors.shape == (2, 3)


def test_keys_are_queried_by_the_mean_of_their_history():
    corpus = Corpus.from_sentences([embedkit.Sentence(["a", "b"], key="u"), embedkit.Sentence(["b", "c"], key="v")])
    emb = embedkit.train(corpus, "skipgram", vector_size=4)
    assert emb.key_vector("u") == pytest.approx((emb["a"] + emb["b"]) / 2)


def test_sentences_of_one_token_teach_nothing_and_say_so():
    with pytest.raises(EmbedkitError, match="every sentence has a single token"):
        embedkit.train(Corpus.from_sentences([["a"], ["b"]]), "skipgram")


@pytest.mark.parametrize(
    ("window", "loss", "most"),
    [("sentence", "negative-sampling", 4.2), (5, "negative-sampling", 4.2), ("sentence", "hierarchical-softmax", 6.2)],
)
def test_sessions_that_repeat_a_token_over_and_over_do_not_diverge(window, loss, most):
    rng = np.random.default_rng(3)
    groups = rng.integers(50, size=(300, 1))
    items = np.where(rng.random((300, 100)) < 0.5, 0, rng.integers(40, size=(300, 100))) * 50 + groups
    corpus = Corpus.from_sentences(items.astype(str).tolist())
    options = {"vector_size": 16, "alpha": 0.1, "sample": 0, "shrink_windows": False, "epochs": 2, "loss": loss}
    options |= {"ns_exponent": 0.25} if loss == "negative-sampling" else {}
    emb = embedkit.train(corpus, "skipgram", window=window, workers=1, **options)
    # Zero vectors have 6 log 2, and log 2 for each of 9.1 decisions.
    assert emb.losses[1] < emb.losses[0] < most


def test_vectors_that_diverge_are_refused_with_the_remedy():
    corpus = Corpus.from_sentences(topics())
    with pytest.raises(EmbedkitError, match="lower --alpha"):
        embedkit.train(corpus, "skipgram", vector_size=4, alpha=100, min_alpha=100, epochs=10, negative=1000)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("vector_size", 0),
        ("vector_size", 2.5),
        ("window", 0),
        ("window", "paragraph"),
        ("negative", 0),
        ("ns_exponent", float("nan")),
        ("sample", -1),
        ("alpha", 0),
        ("alpha", float("inf")),
        ("min_alpha", 1),
        ("epochs", 0),
        ("workers", 0),
        ("seed", -1),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(OptionError, match=f"^{option} must"):
        embedkit.train(Corpus.from_sentences([["a", "b"]]), "skipgram", **{option: value})
