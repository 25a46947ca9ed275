"""How skip-gram and CBOW learn from a corpus in partitions: apart for a round, then brought together.

A round sends the vectors to all partitions; each learns from a stretch of its own sentences and sends back how far
every vector moved. A vector that a partition steps on c times goes about 1 - exp(-c / τ) of the way to where that
partition wants it, τ being the steps after which it has nearly arrived. Had one process taken all C = Σ c steps, it
would have gone 1 - exp(-C / τ) of the way. So the mean of the ways, weighted by c, is stretched by the quotient of the
two, and at least by 2 (over-relaxation): rare tokens get nearly the sum of their ways; the sum of more than two of a
frequent one diverges. The rule is embedkit's own; means alone are McDonald et al. 2010 (NAACL)
and, for word2vec, Ji et al. 2016 (arXiv 1604.04661).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.corpus.partitioned import PartitionedCorpus
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.trainers.machinery.distributions import keep_probabilities, noise_probabilities
from embedkit.trainers.machinery.racing import Race, divided
from embedkit.trainers.machinery.tables import finite, random_table
from embedkit.trainers.sampling.blocks import mean_contexts
from embedkit.trainers.sampling.losses import Architecture
from embedkit.trainers.sampling.word2vec import PairPart, Task
from embedkit.trainers.skipgram import Word2VecOptions

_TOKENS_A_ROUND = 2  # for each token of the vocabulary, in each partition; with fewer rounds quality was lower
_MOST_ROUNDS = 64  # an epoch
_STEPS = 12.0  # τ times the learning rate
_LEAST_STRETCH = 2.0  # over-relaxation: what two partitions bear


@dataclass(frozen=True)
class Setting:
    """What all partitions know of a training.

    Attributes
    ----------
    rounds
        In how many rounds an epoch is gone through.
    threads
        How many threads each partition may use.
    """

    options: Word2VecOptions
    architecture: Architecture
    rounds: int
    threads: int


@dataclass(frozen=True)
class Way:
    """How far the rows of a table moved; partitions add up.

    Attributes
    ----------
    weighted
        float32 (n_tokens × vector_size): the way of each row, times its steps.
    steps, squares
        float64 (n_tokens): how often it was stepped on, about, and the square of that.
    """

    weighted: np.ndarray
    steps: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, now: np.ndarray, before: np.ndarray, steps: np.ndarray) -> Way:
        """Measure the way of rows that took so many steps."""
        weighted = now - before
        weighted *= steps.astype(np.float32)[:, None]
        return cls(weighted, steps, steps**2)

    def plus(self, other: Way) -> Way:
        """Return the ways of both, added up."""
        return Way(self.weighted + other.weighted, self.steps + other.steps, self.squares + other.squares)

    def joint(self, tau: float) -> np.ndarray:
        """Return the way that one process would have gone; see above."""
        own = np.divide(self.squares, self.steps, out=np.ones_like(self.steps), where=self.steps > 0)
        stretch = np.expm1(-self.steps / tau) / np.expm1(-own / tau)
        stretch = np.maximum(stretch, np.minimum(self.steps / own, _LEAST_STRETCH))
        scale = np.divide(stretch, self.steps, out=np.zeros_like(self.steps), where=self.steps > 0)
        return self.weighted * scale.astype(np.float32)[:, None]


@dataclass(frozen=True)
class Learned:
    """What came of a round in some partitions."""

    inputs: Way
    outputs: Way
    loss: float
    pairs: float

    def plus(self, other: Learned) -> Learned:
        """Return what came of both."""
        return Learned(
            self.inputs.plus(other.inputs), self.outputs.plus(other.outputs), self.loss + other.loss,
            self.pairs + other.pairs,
        )  # fmt: skip


def learn(corpus: PartitionedCorpus, options: Word2VecOptions, run: Run, architecture: Architecture) -> Embeddings:
    """Learn vectors in rounds.

    Raises
    ------
    EmbedkitError
        If no token has another beside it, or the vectors diverge.
    """
    engine, n_tokens = corpus.engine, len(corpus.tokens)
    if engine.reduce(_longest, corpus.parts, max) < 2:
        raise EmbedkitError("every sentence has a single token, so nothing occurs together; check how they are split.")
    rounds = rounds_an_epoch(corpus.n_tokens, n_tokens, corpus.n_parts)
    setting = Setting(options, architecture, rounds, options.workers or engine.threads)
    inputs = random_table(n_tokens, options.vector_size, options.seed)[:, : options.vector_size].copy()
    outputs = np.zeros_like(inputs)
    losses: list[float] = []

    def snapshot() -> Embeddings:
        if not (finite(inputs) and finite(outputs)):
            raise EmbedkitError("the vectors grew beyond all bounds; lower --alpha or --negative.")
        return Embeddings.from_corpus(corpus, inputs.copy(), context_vectors=outputs.copy(), losses=list(losses))  # type: ignore[arg-type]

    tau = _STEPS / options.alpha
    numbered = list(enumerate(corpus.parts))
    for epoch in range(options.epochs):
        loss = pairs = 0.0
        for number in range(epoch * rounds, (epoch + 1) * rounds):

            def told(done: int, total: int, number: int = number) -> None:
                share = (number + done / total) / (rounds * options.epochs)
                run.progress(share * options.epochs * corpus.n_tokens, options.epochs * corpus.n_tokens,
                             snapshot=snapshot)  # fmt: skip

            tables = engine.broadcast((inputs, outputs))
            made = engine.reduce(_round, numbered, Learned.plus, tables, number, setting, told=told)
            # New arrays: the old ones may still be on their way to a worker that came late.
            inputs, outputs = inputs + made.inputs.joint(tau), outputs + made.outputs.joint(tau)
            loss, pairs = loss + made.loss, pairs + made.pairs
        losses.append(loss / pairs if pairs else 0.0)
        if not run.epoch_done(losses[-1], snapshot):
            break
    return snapshot()


def rounds_an_epoch(n_occurrences: int, n_tokens: int, n_parts: int) -> int:
    """Return in how many rounds to go through an epoch: the more, the better and the more is sent."""
    return int(np.clip(n_occurrences / n_parts / (_TOKENS_A_ROUND * n_tokens), 1, _MOST_ROUNDS))


def _longest(corpus: Corpus) -> int:
    return int(np.diff(corpus.offsets).max(initial=0))


def _round(
    numbered: tuple[int, Corpus], tables: tuple[np.ndarray, np.ndarray], number: int, setting: Setting
) -> Learned:
    """Learn from the next stretch of a partition, and return how far that went."""
    part, corpus = numbered
    options = replace(setting.options, epochs=setting.options.epochs * setting.rounds, workers=setting.threads)
    task = Task.of(corpus, options, setting.architecture)
    n_tokens, size = tables[0].shape
    vectors = task.vectors
    vectors.inputs[:n_tokens, :size], vectors.outputs[:n_tokens, :size] = tables
    first, last = _stretch(corpus.n_tokens, number % setting.rounds, setting.rounds)
    parts = [
        PairPart(task, first + begin, first + end, (number * 1009 + part) * setting.threads + worker)
        for worker, (begin, end) in enumerate(divided(last - first, task.n_workers))
    ]
    loss = pairs = 0.0
    if parts:
        race = Race(parts, last - first, {}, lambda: _never())
        race.run(number + 1, Run(), [0.0] * number)
        loss, pairs = sum(one.loss for one in parts), sum(one.pairs for one in parts)
    of_inputs, of_outputs = _steps(corpus, first, last, options)
    return Learned(
        Way.of(vectors.inputs[:n_tokens, :size], tables[0], of_inputs),
        Way.of(vectors.outputs[:n_tokens, :size], tables[1], of_outputs),
        loss,
        pairs,
    )


def _never() -> Embeddings:
    raise AssertionError("a partition's own vectors are no model")


def _stretch(n: int, number: int, rounds: int) -> tuple[int, int]:
    return n * number // rounds, n * (number + 1) // rounds


def _steps(corpus: Corpus, first: int, last: int, options: Word2VecOptions) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each token's input and output vectors are stepped on in a stretch, as is to be expected."""
    uses = np.bincount(corpus.ids[first:last], minlength=len(corpus.tokens))
    kept = uses * keep_probabilities(corpus.counts, options.sample).astype(np.float64)
    pairs = kept * mean_contexts(corpus, options)
    noise = noise_probabilities(corpus.counts, options.ns_exponent)
    return pairs, pairs + options.negative * pairs.sum() * noise
