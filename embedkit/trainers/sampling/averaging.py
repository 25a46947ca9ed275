"""How skip-gram and CBOW learn from a corpus in partitions: apart for a round, then brought together.

A round sends the vectors to all partitions; each learns from a stretch of its own sentences and sends back how far
every vector moved. Rare tokens are stepped on here and there, and the sum of the ways is where one process would have
brought them. Frequent ones arrive in every partition, and the sum of their ways goes far beyond. A vector that is
stepped on c times goes about a = 1 - exp(-c / τ) of its way, τ being the steps after which it has nearly arrived; one
process with all C = Σ c steps would have gone A = 1 - exp(-C / τ). So the sum of the ways w is shortened by the share
s = A / Σ a, and what that leaves of a way that does not end comes later, by momentum:

    v ← (1 - s) v + s Σ w,    vectors ← vectors + s Σ w + (1 - s) v

A token that a round does not meet loses its momentum, which is small where that happens.
This is blockwise model-update filtering with Nesterov's momentum (Chen and Huo 2016, ICASSP), where s is 1 / n for all
of n workers; an s for each row, between that and 1, is embedkit's own. Means alone are McDonald et al. 2010 (NAACL)
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
from embedkit.trainers.machinery.needs import check_part, check_parts, of_drawing
from embedkit.trainers.machinery.racing import Race, divided
from embedkit.trainers.machinery.tables import finite, padded, random_table
from embedkit.trainers.sampling.blocks import mean_contexts
from embedkit.trainers.sampling.losses import Architecture
from embedkit.trainers.sampling.word2vec import PairPart, Task
from embedkit.trainers.skipgram import Word2VecOptions

_ROUNDS = 48  # an epoch; four partitions want as many, two would do with fewer
_TOKENS_A_ROUND = 1000  # at least, in each partition
_STEPS = 3.0  # τ times the learning rate
_TABLES = 10  # here: inputs, outputs, their velocities, the ways of both, and four while they are added up
_TABLES_OF_A_PART = 4  # vectors and ways


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

    @property
    def tau(self) -> float:
        """The steps after which a vector has nearly arrived."""
        return _STEPS / self.options.alpha


@dataclass(frozen=True)
class Way:
    """How far the rows of a table moved; partitions add up.

    Attributes
    ----------
    way
        float32 (n_tokens × vector_size): how far each row moved.
    steps
        float64 (n_tokens): how often it was stepped on, about.
    arrived
        float64 (n_tokens): which share of the whole way that is, about; summed over partitions.
    """

    way: np.ndarray
    steps: np.ndarray
    arrived: np.ndarray

    @classmethod
    def of(cls, now: np.ndarray, before: np.ndarray, steps: np.ndarray, tau: float) -> Way:
        """Measure the way of rows that took so many steps."""
        return cls(now - before, steps, -np.expm1(-steps / tau))

    def plus(self, other: Way) -> Way:
        """Return the ways of both, added up."""
        return Way(self.way + other.way, self.steps + other.steps, self.arrived + other.arrived)

    def joint(self, tau: float, velocity: np.ndarray) -> np.ndarray:
        """Return how far to go, and change the velocity, float32 (n_tokens × vector_size); see above."""
        one = -np.expm1(-self.steps / tau)
        share = np.divide(one, self.arrived, out=np.ones_like(one), where=self.arrived > 0).astype(np.float32)[:, None]
        way = share * self.way
        velocity *= 1 - share
        velocity += way
        return way + (1 - share) * velocity


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
        If no token has another beside it, the vectors would not fit in memory, or they diverge.
    """
    engine, n_tokens = corpus.engine, len(corpus.tokens)
    check_parts(
        n_tokens, options.vector_size, (_TABLES, _TABLES_OF_A_PART), engine, f"vectors of {n_tokens:,} tokens",
        rest=of_drawing(n_tokens),
    )  # fmt: skip
    if engine.reduce(_longest, corpus.parts, max) < 2:
        raise EmbedkitError("every sentence has a single token, so nothing occurs together; check how they are split.")
    rounds = rounds_an_epoch(corpus.n_tokens, corpus.n_parts)
    setting = Setting(options, architecture, rounds, options.workers or engine.threads)
    inputs = random_table(n_tokens, options.vector_size, options.seed)[:, : options.vector_size].copy()
    outputs = np.zeros_like(inputs)
    losses: list[float] = []

    def snapshot() -> Embeddings:
        if not (finite(inputs) and finite(outputs)):
            raise EmbedkitError("the vectors grew beyond all bounds; lower --alpha or --negative.")
        return Embeddings.from_corpus(corpus, inputs.copy(), context_vectors=outputs.copy(), losses=list(losses))  # type: ignore[arg-type]

    velocities = np.zeros_like(inputs), np.zeros_like(outputs)
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
            inputs = inputs + made.inputs.joint(setting.tau, velocities[0])
            outputs = outputs + made.outputs.joint(setting.tau, velocities[1])
            loss, pairs = loss + made.loss, pairs + made.pairs
        losses.append(loss / pairs if pairs else 0.0)
        if not run.epoch_done(losses[-1], snapshot):
            break
    return snapshot()


def rounds_an_epoch(n_occurrences: int, n_parts: int) -> int:
    """Return in how many rounds to go through an epoch: the more, the better and the more is sent."""
    return int(np.clip(n_occurrences / n_parts / _TOKENS_A_ROUND, 1, _ROUNDS))


def _longest(corpus: Corpus) -> int:
    return int(np.diff(corpus.offsets).max(initial=0))


def _round(
    numbered: tuple[int, Corpus], tables: tuple[np.ndarray, np.ndarray], number: int, setting: Setting
) -> Learned:
    """Learn from the next stretch of a partition, and return how far that went."""
    part, corpus = numbered
    n_tokens, size = tables[0].shape
    check_part(4 * _TABLES_OF_A_PART * n_tokens * padded(size), f"vectors of {n_tokens:,} tokens × {size:,}")
    options = replace(setting.options, epochs=setting.options.epochs * setting.rounds, workers=setting.threads)
    task = Task.of(corpus, options, setting.architecture, from_zeros=True)
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
        Way.of(vectors.inputs[:n_tokens, :size], tables[0], of_inputs, setting.tau),
        Way.of(vectors.outputs[:n_tokens, :size], tables[1], of_outputs, setting.tau),
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
