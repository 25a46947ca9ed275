"""How skip-gram and CBOW run: vectors, workers on their parts of the corpus, epochs, result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.memory import available_bytes, available_cores, check_fits, smaller
from embedkit.trainers.machinery.distributions import keep_probabilities
from embedkit.trainers.machinery.growth import Known, Tether, shares
from embedkit.trainers.machinery.kernels_tiles import LANES
from embedkit.trainers.machinery.needs import of_drawing
from embedkit.trainers.machinery.racing import Part, Race, divided, n_workers, warm_up
from embedkit.trainers.machinery.tables import empty_table, finite, packed, padded, random_table
from embedkit.trainers.sampling.losses import Architecture, Loss, Place, Rates, Stretch
from embedkit.trainers.sampling.rounds import Apart, Own, Rounds, Streams
from embedkit.trainers.skipgram import Word2VecOptions

LOSSES = {
    "negative-sampling": ("negative_sampling", "NegativeSampling"),
    "hierarchical-softmax": ("hierarchical_softmax", "HierarchicalSoftmax"),
    "softmax": ("full_softmax", "FullSoftmax"),
}
"""The module and the class of each loss, imported where it is chosen."""

_HOT_TOKENS = 128
_HOT_FROM = 10_000


class Vectors:
    """The vectors that are learned, in rows of whole cache lines.

    Attributes
    ----------
    inputs, outputs
        float32 (n_tokens and n_copies × width), width the vector size rounded up to 16; what is beyond the vector size
        stays 0. Behind the tokens' rows lie those for the workers' copies of frequent ones.
    """

    def __init__(self, n_tokens: int, size: int, seed: int | None, n_copies: int = 0) -> None:
        self.n_tokens, self.size = n_tokens, size
        n = n_tokens + n_copies
        self.inputs = empty_table(n, size) if seed is None else random_table(n_tokens, size, seed, n_copies)
        self.outputs = empty_table(n, size)

    def grow(self, corpus: Corpus, run: Run) -> list[Tether]:
        """Begin with the vectors of `run.start`, if any, and return what holds them back."""
        if run.start is None:
            return []
        known = Known.tokens(corpus, run)
        known.put(self.inputs, run.start.vectors)
        known.put(self.outputs, run.start.targets)
        share = shares(known, corpus, run)
        return [Tether(table, known.now, share) for table in (self.inputs, self.outputs)]

    def snapshot(self, corpus: Corpus, losses: list[float], loss: Loss) -> Embeddings:
        """Return a copy of them as Embeddings, while they go on changing."""
        tables = [np.array(table[:, : self.size], order="C") for table in self._tables(loss)]
        return _as_embeddings(corpus, tables, losses, loss.remedy)

    def finish(self, corpus: Corpus, losses: list[float], loss: Loss) -> Embeddings:
        """Return them as Embeddings in the same memory; nothing more can be learned."""
        tables = [packed(table, self.size) for table in self._tables(loss)]
        return _as_embeddings(corpus, tables, losses, loss.remedy)

    def _tables(self, loss: Loss) -> tuple[np.ndarray, np.ndarray]:
        return self.inputs[: self.n_tokens], loss.context_vectors(self.outputs[: self.n_tokens])


def _as_embeddings(corpus: Corpus, tables: list[np.ndarray], losses: list[float], remedy: str) -> Embeddings:
    if not all(map(finite, tables)):
        raise EmbedkitError(f"the vectors grew beyond all bounds; {remedy}.")
    vectors, context_vectors = tables
    return Embeddings.from_corpus(corpus, vectors, context_vectors=context_vectors, losses=losses)


@dataclass(frozen=True)
class Task:
    """What all workers share: the corpus, the vectors, and what is drawn from.

    Attributes
    ----------
    keep
        float32 (n_tokens), the probability of keeping an occurrence.
    loss
        What is learned from centres and their contexts, and with which kernel.
    n_workers
        How many threads share the work.
    n_hot
        Of how many of the most frequent tokens each worker has copies.
    rounds, apart
        How streams learn in rounds, and what they change in one; None where workers race, or one works alone.
    """

    options: Word2VecOptions
    ids: np.ndarray
    offsets: np.ndarray
    vectors: Vectors
    keep: np.ndarray
    loss: Loss
    n_workers: int
    n_hot: int
    rounds: Rounds | None
    apart: Apart | None

    @classmethod
    def of(
        cls, corpus: Corpus, options: Word2VecOptions, architecture: Architecture, *, from_zeros: bool = False
    ) -> Task:
        """Prepare to learn from a corpus; from zeros where somebody sets the vectors afterwards."""
        keep = keep_probabilities(corpus.counts, options.sample)
        module, name = LOSSES[options.loss]
        loss = getattr(import_module(f"{__package__}.{module}"), name)(corpus, options, architecture, keep)
        n = len(corpus.tokens)
        rounds = loss.rounds(corpus.n_tokens, options.reach) if options.reproducible else None
        workers = _n_threads(options, loss, rounds, corpus.n_tokens)
        n_hot = _HOT_TOKENS if workers > 1 and rounds is None and n >= _HOT_FROM else 0
        n_copies = workers * n_hot if rounds is None else rounds.rows
        if rounds is not None:
            _check_memory(n + n_copies, options)
        return cls(
            options,
            np.asarray(corpus.ids),
            np.asarray(corpus.offsets),
            Vectors(n, options.vector_size, None if from_zeros else options.seed, n_copies),
            keep,
            loss,
            workers,
            n_hot,
            rounds,
            None if rounds is None else Apart.empty(rounds, n),
        )

    def shared(self) -> dict[str, np.ndarray]:
        """Return what goes on and is no worker's own; between rounds that is the tokens' rows alone."""
        rows = slice(None) if self.rounds is None else slice(self.vectors.n_tokens)
        tables = {"inputs": self.vectors.inputs[rows], "outputs": self.vectors.outputs[rows]}
        return {**tables, **self.loss.carried()}


def _n_threads(options: Word2VecOptions, loss: Loss, rounds: Rounds | None, n_tokens: int) -> int:
    if rounds is not None:
        return options.workers or available_cores()
    return n_workers(options.workers, n_tokens) if loss.races and not options.reproducible else 1


class PairPart(Part):
    """A worker that goes with a loss's kernel over a part of the corpus."""

    def __init__(self, task: Task, first: int, last: int, number: int) -> None:
        options = task.options
        self._task = task
        self._bases = np.zeros((2, task.n_hot, task.vectors.inputs.shape[1]), np.float32)
        if task.rounds is None or task.apart is None:
            self._own = Own.copies_from(task.vectors.n_tokens + number * task.n_hot)
            tokens_a_call = task.loss.tokens_a_call(options.vector_size, options.reach)
            read_ahead = task.loss.read_ahead + task.loss.capacity + 2 * options.reach
        else:
            self._own = task.apart.of(number)
            tokens_a_call, read_ahead = 1, task.rounds.centres + 2 * (task.loss.capacity + options.reach)
        super().__init__(
            task.offsets, first, last, number=number, seed=options.seed, alpha=options.alpha,
            min_alpha=options.min_alpha, epochs=options.epochs, tokens_a_call=tokens_a_call, read_ahead=read_ahead,
        )  # fmt: skip

    def carried(self) -> dict[str, np.ndarray]:
        """Return what this worker's copies of frequent tokens were when it last gave its changes to all."""
        return {"bases": self._bases}

    @property
    def n_different(self) -> int:
        """How many different tokens there are."""
        return len(self._task.keep)

    def _call(self, last: int, max_tokens: int) -> tuple[float, int, bool]:
        task, options = self._task, self._task.options
        window = 0 if options.window == "sentence" else int(options.window)
        place = Place(
            task.ids, task.offsets, self._cursor, self._pending, self._state, task.vectors.inputs,
            task.vectors.outputs, task.keep,
        )  # fmt: skip
        stretch = Stretch(self._first, last, max_tokens, window, options.shrink_windows, options.max_contexts)
        own = self._own
        rates = Rates(*self._alphas, self._bases, own.copies, own.held, own.counts)
        return task.loss.advance(place, stretch, rates)


def _check_memory(n_tokens: int, options: Word2VecOptions) -> None:
    """Refuse vectors that do not fit: two of each token, and its path added up where a tree has paths."""
    available, size, rest = available_bytes(), options.vector_size, of_drawing(n_tokens)
    a_number = (12 if options.loss == "hierarchical-softmax" else 8) * n_tokens
    fits = 0 if available is None else max(0, available - rest) // a_number // LANES * LANES
    check_fits(
        a_number * padded(size) + rest,
        f"vectors of {n_tokens:,} tokens × {size:,}",
        smaller(fits, "take fewer tokens by a higher --min-count"),
    )


def _workers(task: Task, n_tokens: int) -> Sequence[PairPart | Streams]:
    """Return those who race; streams in rounds are one worker."""
    divisions = divided(n_tokens, task.n_workers if task.rounds is None else task.rounds.streams)
    parts = [PairPart(task, first, last, number) for number, (first, last) in enumerate(divisions)]
    if task.rounds is None or task.apart is None:
        return parts
    tables = task.vectors.inputs, task.vectors.outputs
    return [Streams(parts, tables, task.apart, task.rounds, task.n_workers)]


def learn(corpus: Corpus, options: Word2VecOptions, run: Run, architecture: Architecture) -> Embeddings:
    """Learn vectors; the losses' kernels say what is computed.

    Raises
    ------
    EmbedkitError
        If no token has another beside it, or the vectors diverge.
    """
    if int(np.diff(corpus.offsets).max()) < 2:
        raise EmbedkitError("every sentence has a single token, so nothing occurs together; check how they are split.")
    _check_memory(len(corpus.tokens), options)
    task = Task.of(corpus, options, architecture)
    workers = _workers(task, corpus.n_tokens)
    warm_up(workers[0].compile, run)
    task.loss.announce(run)
    losses: list[float] = []
    tethers = task.vectors.grow(corpus, run)

    def snapshot() -> Embeddings:
        return task.vectors.snapshot(corpus, losses, task.loss)

    race = Race(workers, corpus.n_tokens, task.shared(), snapshot, tethers)
    race.run(options.epochs, run, losses)
    return task.loss.finish(task.vectors.finish(corpus, losses, task.loss), run)
