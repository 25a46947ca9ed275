"""How skip-gram and CBOW run: vectors, workers on their parts of the corpus, epochs, result."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.memory import available_bytes, check_fits
from embedkit.trainers import kernels_sgns
from embedkit.trainers.blocks import BlockShape, block_shape
from embedkit.trainers.distributions import alias_table, keep_probabilities, noise_probabilities
from embedkit.trainers.kernels_tiles import LANES
from embedkit.trainers.racing import Race, n_workers, warm_up
from embedkit.trainers.skipgram import NegativeSamplingOptions

Architecture = Literal["skipgram", "cbow"]

_OPERATIONS_A_CALL = 1e9
_PENDING = 4096
_ROWS = 1 << 10
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

    def __init__(self, n_tokens: int, size: int, seed: int, n_copies: int = 0) -> None:
        self.n_tokens, self.size = n_tokens, size
        width = _width(size)
        self.inputs = _on_cache_lines(n_tokens + n_copies, width)
        self.outputs = _on_cache_lines(n_tokens + n_copies, width)
        rng = np.random.default_rng(seed)
        for start in range(0, n_tokens, _ROWS):
            rows = self.inputs[start : min(start + _ROWS, n_tokens), :size]
            rows[:] = (rng.random(rows.shape, np.float32) - np.float32(0.5)) / np.float32(size)

    def snapshot(self, corpus: Corpus, losses: list[float]) -> Embeddings:
        """Return a copy of them as Embeddings, while they go on changing."""
        vectors, context_vectors = (
            np.array(v[: self.n_tokens, : self.size], order="C") for v in (self.inputs, self.outputs)
        )
        return _as_embeddings(corpus, vectors, context_vectors, losses)

    def finish(self, corpus: Corpus, losses: list[float]) -> Embeddings:
        """Return them as Embeddings in the same memory; nothing more can be learned."""
        vectors, context_vectors = (_packed(v[: self.n_tokens], self.size) for v in (self.inputs, self.outputs))
        return _as_embeddings(corpus, vectors, context_vectors, losses)


def _as_embeddings(corpus: Corpus, vectors: np.ndarray, context_vectors: np.ndarray, losses: list[float]) -> Embeddings:
    for start in range(0, len(vectors), _ROWS):
        rows = slice(start, start + _ROWS)
        if not (np.isfinite(vectors[rows]).all() and np.isfinite(context_vectors[rows]).all()):
            raise EmbedkitError("the vectors grew beyond all bounds; lower --alpha or --negative.")
    return Embeddings.from_corpus(corpus, vectors, context_vectors=context_vectors, losses=losses)


def _packed(table: np.ndarray, size: int) -> np.ndarray:
    """Move a table's rows together, without what is beyond `size`, and return them as a matrix in its memory."""
    numbers = table.reshape(-1)
    for start in range(0, len(table), _ROWS):
        rows = table[start : start + _ROWS, :size].copy()
        numbers[start * size : start * size + rows.size] = rows.reshape(-1)
    return numbers[: len(table) * size].reshape(len(table), size)


def _width(size: int) -> int:
    """Return how many numbers a row of the kernels has: the vector size rounded up to whole registers."""
    return -(-size // LANES) * LANES


def _on_cache_lines(rows: int, width: int) -> np.ndarray:
    raw = np.zeros(rows * width + 16, np.float32)
    skip = -raw.ctypes.data % 64 // 4
    return raw[skip : skip + rows * width].reshape(rows, width)


@dataclass(frozen=True)
class Task:
    """What all workers share: the corpus, the vectors, and what is drawn from.

    Attributes
    ----------
    keep
        float32 (n_tokens), the probability of keeping an occurrence.
    accept, alias
        float32, int32 (n_tokens): the noise distribution as an alias table.
    block
        How many centres and negatives the kernel takes at a time.
    n_workers
        How many threads share the work.
    n_hot
        Of how many of the most frequent tokens each worker has copies.
    """

    architecture: Architecture
    options: NegativeSamplingOptions
    ids: np.ndarray
    offsets: np.ndarray
    vectors: Vectors
    keep: np.ndarray
    accept: np.ndarray
    alias: np.ndarray
    block: BlockShape
    n_workers: int
    n_hot: int

    @classmethod
    def of(cls, corpus: Corpus, options: NegativeSamplingOptions, architecture: Architecture) -> Task:
        """Prepare to learn from a corpus."""
        accept, alias = alias_table(noise_probabilities(corpus.counts, options.ns_exponent))
        keep = keep_probabilities(corpus.counts, options.sample)
        kept = keep * corpus.counts
        contexts = _mean_contexts(corpus, options) if architecture == "skipgram" else 1
        workers = n_workers(options.workers, corpus.n_tokens)
        n_hot = _HOT_TOKENS if workers > 1 and len(corpus.tokens) >= _HOT_FROM else 0
        return cls(
            architecture,
            options,
            np.asarray(corpus.ids),
            np.asarray(corpus.offsets),
            Vectors(len(corpus.tokens), options.vector_size, options.seed, workers * n_hot),
            keep,
            accept,
            alias,
            block_shape(contexts, options.negative, options.alpha, float(kept.max() / kept.sum())),
            workers,
            n_hot,
        )

    @property
    def reach(self) -> int:
        """How many contexts a token can have on each side."""
        window = self.options.window
        return self.options.max_contexts if window == "sentence" else int(window)

    def tokens_a_call(self) -> int:
        """Return how many tokens a call of the kernel may read and still be back in a fraction of a second."""
        operations = 6 * self.options.vector_size * self.reach * (1 + self.options.negative)
        return int(np.clip(_OPERATIONS_A_CALL / operations, 1000, 1_000_000))


def _mean_contexts(corpus: Corpus, options: NegativeSamplingOptions) -> float:
    """Return how many contexts a token has on average, thinning out aside."""
    if options.window == "sentence":
        lengths = np.diff(corpus.offsets)
        others = np.minimum(lengths - 1, options.max_contexts)
        return max(float((others * lengths).sum() / lengths.sum()), 1.0)
    return options.window + 1.0 if options.shrink_windows else 2.0 * options.window


class Part:
    """A worker of a `Race`: goes with a kernel over positions first..last of the corpus."""

    def __init__(self, task: Task, first: int, last: int, number: int) -> None:
        self._task = task
        self._first, self._last = first, last
        self._sentence = int(np.searchsorted(task.offsets, first, side="right")) - 1
        self._state = np.random.SeedSequence([task.options.seed, number]).generate_state(2, np.uint64)
        self._pending = np.zeros((3, _PENDING + task.block.capacity + 2 * task.reach), np.int64)
        self._bases = np.zeros((2, task.n_hot, task.vectors.inputs.shape[1]), np.float32)
        self._copies = task.vectors.n_tokens + number * task.n_hot
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Go back to the part's start, with the learning rates of this epoch."""
        self._cursor = np.array([self._first, self._sentence, 0, 0])
        options = self._task.options
        fall = (options.alpha - options.min_alpha) / options.epochs
        self._alphas = (options.alpha - fall * epoch, options.alpha - fall * (epoch + 1))
        self.done, self.loss, self.pairs = 0, 0.0, 0.0

    def advance(self) -> bool:
        """Go over the next piece; False when the part is done."""
        loss, pairs, finished = self._call(self._last, self._task.tokens_a_call())
        self.done = int(self._cursor[0]) - self._first
        self.loss += loss
        self.pairs += pairs
        return not finished

    def compile(self) -> None:
        """Call the kernel on nothing."""
        self._call(self._first, 0)

    def _call(self, last: int, max_tokens: int) -> tuple[float, int, bool]:
        task, options = self._task, self._task.options
        window = 0 if options.window == "sentence" else int(options.window)
        arguments = (
            task.ids, task.offsets, self._cursor, self._pending, self._state, task.vectors.inputs, task.vectors.outputs,
            task.keep, task.accept, task.alias, self._first, last, max_tokens, window, options.shrink_windows,
            options.max_contexts, float(options.negative), task.block.capacity, task.block.negatives,
            task.block.centres, *self._alphas, self._bases, self._copies,
        )  # fmt: skip
        if task.architecture == "cbow":
            return kernels_sgns.cbow(*arguments, True)
        return kernels_sgns.skipgram(*arguments)


def _check_memory(n_tokens: int, size: int) -> None:
    """Refuse vectors that do not fit: two of each token."""
    available = available_bytes()
    fits = 0 if available is None else available // (8 * n_tokens) // LANES * LANES
    check_fits(
        8 * n_tokens * _width(size),
        f"vectors of {n_tokens:,} tokens × {size:,}",
        f"a --vector-size of {fits:,} would fit, or fewer tokens by a higher --min-count",
    )


def learn(corpus: Corpus, options: NegativeSamplingOptions, run: Run, architecture: Architecture) -> Embeddings:
    """Learn vectors with negative sampling; the kernels say what is computed.

    Raises
    ------
    EmbedkitError
        If no token has another beside it, or the vectors diverge.
    """
    if int(np.diff(corpus.offsets).max()) < 2:
        raise EmbedkitError("every sentence has a single token, so nothing occurs together; check how they are split.")
    _check_memory(len(corpus.tokens), options.vector_size)
    task = Task.of(corpus, options, architecture)
    bounds = np.linspace(0, corpus.n_tokens, task.n_workers + 1).astype(np.int64).tolist()
    parts = [Part(task, first, last, number) for number, (first, last) in enumerate(pairwise(bounds)) if first < last]
    warm_up(parts[0].compile, run)
    losses: list[float] = []
    race = Race(parts, corpus.n_tokens, lambda: task.vectors.snapshot(corpus, losses))
    race.run(options.epochs, run, losses)
    return task.vectors.finish(corpus, losses)
