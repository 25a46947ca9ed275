"""The same bits whatever the number of workers: `--reproducible`, and the trainers that need no asking."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import embedkit
from embedkit import Checkpoint, Corpus, OptionError, Run
from embedkit.checkpoints import _read
from embedkit.trainers.machinery import racing
from embedkit.trainers.sampling import rounds


@pytest.fixture(scope="module")
def sessions():
    return embedkit.read("sessions")


@pytest.fixture
def streams(monkeypatch):
    """Let small corpora be learned by several streams too."""
    monkeypatch.setattr(rounds, "_ALONE_BELOW", 0)


def topics(n=3000, seed=0):
    """Return sentences of four tokens of one topic out of sixty: topic 2 has the tokens 2a to 2f."""
    rng = np.random.default_rng(seed)
    return [[f"{topic}{letter}" for letter in rng.permutation(list("abcdef"))[:4]] for topic in rng.integers(0, 60, n)]


def on_topic(emb):
    """Return the share of a token's five nearest that are of its topic."""
    return np.mean([
        other[:-1] == token[:-1] for token in emb.tokens for other, _ in emb.most_similar(token, topn=5)
    ])  # fmt: skip


def same(a, b):
    """Tell whether two models have the same bits."""
    pairs = ((a.vectors, b.vectors), (a.context_vectors, b.context_vectors), (a.key_vectors, b.key_vectors))
    return a.losses == b.losses and all(np.array_equal(x, y) for x, y in pairs if x is not None)


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize(("trainer", "options"), [
    ("skipgram", {}),
    ("cbow", {}),
    ("spectral", {}),
    ("als", {}),
    ("glove", {}),
])  # fmt: skip
def test_any_number_of_workers_gives_the_same_bits(trainer, options, sessions):
    if trainer in ("skipgram", "cbow"):
        options = {**options, "reproducible": True, "epochs": 2}
    first, *others = (
        embedkit.train(sessions, trainer, vector_size=12, workers=w, seed=4, **options) for w in (1, 2, 3)
    )
    assert all(same(first, other) for other in others)
    if trainer in ("skipgram", "cbow"):
        assert not same(first, embedkit.train(sessions, trainer, vector_size=12, seed=5, **options))


def test_softmax_does_not_race_anyway():
    corpus = Corpus.from_sentences(topics(200))
    options = {"loss": "softmax", "batch_size": 64, "alpha": 1, "vector_size": 8, "epochs": 1}
    alone = embedkit.train(corpus, "skipgram", workers=1, **options)
    assert same(alone, embedkit.train(corpus, "skipgram", workers=2, **options))
    assert same(alone, embedkit.train(corpus, "skipgram", workers=3, reproducible=True, **options))


BY_BLAS = """
import hashlib, sys
import numpy as np
import embedkit
from embedkit import Corpus
rng = np.random.default_rng(0)
corpus = Corpus.from_sentences([[f"w{i}" for i in rng.zipf(1.4, 30) % 1500] for _ in range(1000)])
softmax = {"loss": "softmax", "reproducible": True, "epochs": 1, "batch_size": 512, "alpha": 1.0}
for trainer, options in (
    ("skipgram", softmax),
    ("cbow", {**softmax, "batch_size": 64}),
    ("spectral", {"matrix": "token-token", "window": 5}),
    ("als", {"epochs": 1}),
):
    made = embedkit.train(corpus, trainer, vector_size=100, workers=int(sys.argv[1]), **options)
    told = made.vectors.tobytes() + b"".join(made.arrays[name].tobytes() for name in sorted(made.arrays))
    print(trainer, hashlib.sha256(told).hexdigest(), made.losses)
"""


@pytest.mark.slow  # each in a process of its own
def test_the_threads_of_blas_change_no_bit_either():
    def told(workers, threads):
        # Haswell's kernels round otherwise where a product is divided otherwise.
        env = {**os.environ, "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": str(threads)}
        call = [sys.executable, "-c", BY_BLAS, str(workers)]
        return subprocess.run(call, capture_output=True, text=True, check=True, env=env).stdout

    assert told(1, 1) == told(1, 2) == told(2, 2)


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize(("trainer", "epochs"), [("skipgram", 60), ("cbow", 25)])
def test_what_occurs_together_becomes_similar(trainer, epochs):
    corpus = Corpus.from_sentences(topics())
    emb = embedkit.train(corpus, trainer, vector_size=24, epochs=epochs, sample=0, reproducible=True, workers=2)
    assert on_topic(emb) > 0.98


def test_a_small_corpus_is_learned_as_by_one_worker(sessions):
    options = {"vector_size": 8, "epochs": 2}
    alone = embedkit.train(sessions, "skipgram", workers=1, **options)
    assert same(alone, embedkit.train(sessions, "skipgram", workers=3, reproducible=True, **options))


def test_hierarchical_softmax_is_refused_with_the_remedy(sessions):
    with pytest.raises(OptionError, match=r"reproducible does not go with loss 'hierarchical-softmax'.*--workers 1"):
        embedkit.train(sessions, "cbow", reproducible=True, loss="hierarchical-softmax")


class StoppedError(Exception):
    """Stands for the end of a process."""


class Killed(Run):
    """Ends a training once it has kept a state."""

    def __init__(self, state):
        super().__init__()
        self.state_file, self.before = state, self.kept(state)

    def kept(self, state):
        return state.stat().st_mtime_ns if state.exists() else None

    def progress(self, *args, **more):
        if self.kept(self.state_file) != self.before:
            raise StoppedError


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("trainer", ["skipgram", "cbow"])
def test_it_goes_on_from_within_an_epoch_with_another_number_of_workers(trainer, sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "_LOOK_EVERY", 0)  # back after each round
    monkeypatch.setattr(racing, "_LOOK_EVERY", 0.005)
    monkeypatch.setattr(rounds.Streams, "advance", after_a_moment(rounds.Streams.advance))
    options = {"vector_size": 8, "epochs": 2, "reproducible": True}
    whole = embedkit.train(sessions, trainer, workers=1, **options)
    for workers in (2, 1, 3, 2):
        checkpoint = Checkpoint(tmp_path, "0.000001s", resume=True)
        with pytest.raises(StoppedError):
            embedkit.train(
                sessions, trainer, checkpoint=checkpoint, run=Killed(checkpoint.path), workers=workers, **options
            )
    assert _read(checkpoint.path)[0]["midway"][0]
    checkpoint = Checkpoint(tmp_path, "1h", resume=True)
    assert same(whole, embedkit.train(sessions, trainer, checkpoint=checkpoint, workers=5, **options))


def after_a_moment(advance):
    """Let each piece take so long that a small corpus has several."""

    def slow(self):
        time.sleep(0.01)
        return advance(self)

    return slow
