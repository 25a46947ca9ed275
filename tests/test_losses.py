"""Skip-gram and CBOW by each of their losses: what they learn, repeat, count and refuse."""

import math

import numpy as np
import pytest
from checkerboard import GRID, checkerboard, misses

import embedkit
from embedkit import Corpus, EmbedkitError, OptionError, Run
from embedkit.trainers.cbow import CBOWOptions
from embedkit.trainers.sampling.full_softmax import FullSoftmax
from embedkit.trainers.skipgram import Word2VecOptions

TRAINERS = ("skipgram", "cbow")
HIERARCHICAL, SOFTMAX = {"loss": "hierarchical-softmax"}, {"loss": "softmax"}
BATCHES = {"loss": "softmax", "batch_size": 8, "alpha": 0.5}
ALL = {"loss": "softmax", "batch_size": "all", "alpha": 10, "epochs": 300}
KINDS = pytest.mark.parametrize("trainer", TRAINERS)
LOSSES = pytest.mark.parametrize(
    "options", [HIERARCHICAL, SOFTMAX, BATCHES], ids=["hierarchical", "stochastic", "batches"]
)
TEXTBOOK = {"window": 2, "shrink_windows": False, "sample": 0}


class Told(Run):
    """A run that keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.said, self.reported = [], []

    def say(self, message):
        self.said.append(message)

    def progress(self, done, total, *, unit="tokens", loss=None, snapshot=None):
        self.reported.append((done, total))


def cat():
    return Corpus.from_sentences([["the", "cat", "sits", "on", "the", "mat"]])


def topics(n=300, seed=0):
    """Return sentences of four tokens of one topic; topic 2 has the tokens 2a to 2f, and there are six."""
    rng = np.random.default_rng(seed)
    return [[f"{topic}{letter}" for letter in rng.permutation(list("abcdef"))[:4]] for topic in rng.integers(0, 6, n)]


@KINDS
@pytest.mark.parametrize("options", [HIERARCHICAL, SOFTMAX, BATCHES, ALL], ids=["tree", "one", "some", "all"])
@pytest.mark.parametrize(("size", "seed"), GRID)
def test_the_checkerboard_is_filled(trainer, options, size, seed):
    chosen = {"vector_size": size, "window": "sentence", "epochs": 100, "alpha": 0.1, "sample": 0, **options}
    assert misses(embedkit.train(checkerboard(seed), trainer, seed=seed, **chosen)) == []


@KINDS
@LOSSES
def test_the_true_loss_of_each_epoch_is_kept_and_falls(trainer, options):
    chosen = {"vector_size": 8, "epochs": 30, "alpha": 0.1, "sample": 0, **options}
    emb = embedkit.train(Corpus.from_sentences(topics()), trainer, **chosen)
    assert len(emb.losses) == 30
    # Untrained vectors find each token as likely as any other; a Huffman tree is right before it has learned anything.
    assert emb.losses[0] < math.log(36) + 0.2
    # Within a topic five tokens are equally likely, which is all that there is to know.
    assert math.log(3) - 0.2 < emb.losses[-1] < 0.75 * emb.losses[0]


@KINDS
@LOSSES
def test_one_worker_and_one_seed_give_the_same_bits(trainer, options):
    corpus = Corpus.from_sentences(topics())
    first, second, other = (
        embedkit.train(corpus, trainer, vector_size=10, epochs=3, workers=1, seed=seed, **options) for seed in (7, 7, 8)
    )
    assert np.array_equal(first.vectors, second.vectors)
    assert np.array_equal(first.context_vectors, second.context_vectors)
    assert not np.array_equal(first.vectors, other.vectors)


@KINDS
def test_workers_share_a_tree(trainer):
    corpus = Corpus.from_sentences(topics())
    chosen = {"vector_size": 16, "epochs": 60, "alpha": 0.1, "sample": 0, **HIERARCHICAL}
    alone, together = (embedkit.train(corpus, trainer, workers=workers, **chosen) for workers in (1, 3))
    assert together.losses[-1] == pytest.approx(alone.losses[-1], rel=0.1)


@LOSSES
def test_progress_reaches_the_end(options):
    run, corpus = Told(), Corpus.from_sentences(topics())
    embedkit.train(corpus, "skipgram", run=run, vector_size=4, epochs=3, **options)
    assert run.reported[-1] == (3 * corpus.n_tokens, 3 * corpus.n_tokens)


@LOSSES
def test_what_was_chosen_is_noted(options):
    emb = embedkit.train(cat(), "skipgram", vector_size=4, **options)
    assert emb.config["options"]["loss"] == options["loss"]
    assert emb.vectors.shape == emb.context_vectors.shape == (5, 4)


@pytest.mark.parametrize(("batch_size", "updates"), [("all", 1), (18, 1), (4, 5), (1, 18), (1000, 1)])
def test_an_epoch_of_18_pairs_makes_as_many_updates_as_there_are_batches(batch_size, updates):
    run = Told()
    emb = embedkit.train(cat(), "skipgram", run=run, epochs=1, batch_size=batch_size, **SOFTMAX, **TEXTBOOK)
    assert emb.config["updates"] == updates
    assert run.said[-1] == f"Made {updates} update{'s' if updates > 1 else ''}."


@pytest.mark.parametrize(("batch_size", "updates"), [("all", 3), (4, 6), (1, 18)])
def test_cbow_has_a_pair_a_token(batch_size, updates):
    emb = embedkit.train(cat(), "cbow", epochs=3, batch_size=batch_size, **SOFTMAX, **TEXTBOOK)
    assert emb.config["updates"] == updates


@KINDS
def test_an_untrained_model_of_four_tokens_is_off_by_ln_4(trainer):
    corpus = Corpus.from_sentences([["a", "b", "c", "d"]])
    emb = embedkit.train(corpus, trainer, epochs=1, batch_size="all", **SOFTMAX, **TEXTBOOK)
    assert emb.losses == (pytest.approx(math.log(4), abs=1e-9),)


def test_the_loss_of_an_epoch_is_that_of_the_vectors_it_began_with():
    options = {**SOFTMAX, **TEXTBOOK, "batch_size": "all", "alpha": 1, "min_alpha": 1, "vector_size": 3}
    before, after = (embedkit.train(cat(), "skipgram", epochs=epochs, **options) for epochs in (4, 5))
    words = ["the", "cat", "sits", "on", "the", "mat"]
    pairs = [(a, b) for i, a in enumerate(words) for j, b in enumerate(words) if 0 < abs(i - j) <= 2]
    scores = before[[a for a, _ in pairs]] @ before.context_vectors.T
    right = [list(before.tokens).index(b) for _, b in pairs]
    log_p = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    assert after.losses[-1] == pytest.approx(-log_p[range(18), right].mean(), rel=1e-6)


@KINDS
def test_a_single_token_has_nothing_to_be_told_from(trainer):
    for options in (HIERARCHICAL, SOFTMAX):
        emb = embedkit.train(Corpus.from_sentences([["a", "a", "a"]]), trainer, vector_size=4, **options)
        assert emb.losses[-1] == pytest.approx(0, abs=1e-6)


@KINDS
@LOSSES
def test_vectors_that_diverge_are_refused_with_the_remedy(trainer, options):
    chosen = {**options, "alpha": 100, "min_alpha": 100, "epochs": 300}
    with pytest.raises(EmbedkitError, match=r"grew beyond all bounds; lower --alpha\.$"):
        embedkit.train(Corpus.from_sentences(topics()), trainer, vector_size=4, **chosen)


@pytest.mark.parametrize("loss", ["negative-sampling", "hierarchical-softmax"])
def test_batches_belong_to_the_full_softmax(loss):
    with pytest.raises(OptionError, match="batch_size is an option of loss 'softmax' alone"):
        embedkit.train(cat(), "skipgram", loss=loss, batch_size=4)


@pytest.mark.parametrize(
    ("option", "value"), [("loss", "hs"), ("batch_size", 0), ("batch_size", "some"), ("batch_size", 1.5)]
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(OptionError, match=f"^{option} must"):
        embedkit.train(cat(), "cbow", **{"loss": "softmax", option: value})


def test_a_full_softmax_that_does_not_fit_is_refused_with_what_to_take_instead():
    corpus = Corpus.from_sentences([[f"t{number}" for number in range(100_000)]])
    options = Word2VecOptions(vector_size=100_000, loss="softmax")
    with pytest.raises(EmbedkitError, match=r"would need 200 GB of memory .* take --loss hierarchical-softmax"):
        FullSoftmax(corpus, options, "skipgram", np.ones(100_000, np.float32))


def test_a_full_softmax_that_takes_hours_says_so():
    corpus = Corpus.from_sentences([[f"t{number}" for number in range(50_000)]])
    run = Told()
    FullSoftmax(corpus, CBOWOptions(epochs=100, loss="softmax"), "cbow", np.ones(50_000, np.float32)).announce(run)
    assert len(run.said) == 1
    assert "scores all 50,000 tokens" in run.said[0]
    assert "--loss hierarchical-softmax" in run.said[0]
