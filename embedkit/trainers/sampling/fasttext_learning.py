"""How fastText runs: vectors of subwords, workers on their parts of the corpus, result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.embeddings.ngrams import Ngrams
from embedkit.embeddings.subwords import Subwords
from embedkit.errors import EmbedkitError
from embedkit.memory import check_fits
from embedkit.trainers.fasttext import FastTextOptions
from embedkit.trainers.machinery.distributions import alias_table, keep_probabilities, noise_probabilities
from embedkit.trainers.machinery.growth import Known, Tether, shares
from embedkit.trainers.machinery.racing import Part, Race, divided, n_workers, warm_up
from embedkit.trainers.machinery.tables import empty_table, finite, padded, random_table
from embedkit.trainers.sampling import kernels_fasttext
from embedkit.trainers.sampling.blocks import BlockShape, block_shape, mean_contexts
from embedkit.trainers.sampling.subword_rows import SubwordRows

_OPERATIONS_A_CALL = 1e9
_SUBWORDS = 20  # of a token, about, for how long a call takes
_PENDING = 4096
_AT_ONCE = 1 << 12
_HOT_FROM = 10_000
_HOT_INPUTS, _HOT_OUTPUTS = 512, 128
_CENTRES, _FEWEST_NEGATIVES, _MOST_NEGATIVES = 8, 16, 496
_WEIGHT_OF_A_NEGATIVE = 5


@dataclass(frozen=True)
class Task:
    """What all workers share: the corpus, its subwords, the vectors, and what is drawn from.

    Attributes
    ----------
    subwords
        Which rows of `inputs` tokens are made of.
    inputs, outputs
        float32 (subwords, or tokens, and rows for the workers' copies × width): the vectors of subwords, and the output
        vectors of tokens; width is the vector size rounded up to 16, what is beyond the vector size stays 0.
    keep
        float32 (n_tokens), the probability of keeping an occurrence.
    accept, alias
        float32, int32 (n_tokens): the noise distribution as an alias table.
    n_hot
        Of how many of the first rows of `inputs` and `outputs` each worker has copies.
    """

    options: FastTextOptions
    ids: np.ndarray
    offsets: np.ndarray
    subwords: SubwordRows
    inputs: np.ndarray
    outputs: np.ndarray
    keep: np.ndarray
    accept: np.ndarray
    alias: np.ndarray
    block: BlockShape
    n_workers: int
    n_hot: tuple[int, int]

    @classmethod
    def of(cls, corpus: Corpus, options: FastTextOptions) -> Task:
        """Prepare to learn from a corpus."""
        keep = keep_probabilities(corpus.counts, options.sample)
        kept = keep * corpus.counts
        subwords = SubwordRows.of(corpus.tokens, _ngrams(options), kept)
        _check_memory(len(corpus.tokens), len(subwords), options.vector_size)
        workers = n_workers(options.workers, corpus.n_tokens)
        n_hot = (_HOT_INPUTS, _HOT_OUTPUTS) if workers > 1 and len(corpus.tokens) >= _HOT_FROM else (0, 0)
        shares = kept / kept.sum()
        return cls(
            options,
            np.asarray(corpus.ids),
            np.asarray(corpus.offsets),
            subwords,
            _drawn_vectors(len(subwords), workers * n_hot[0], options),
            empty_table(len(corpus.tokens) + workers * n_hot[1], options.vector_size),
            keep,
            *alias_table(noise_probabilities(corpus.counts, options.ns_exponent)),
            _block(corpus, options, max(float(shares.max()), subwords.overlap(shares))),
            workers,
            n_hot,
        )

    @property
    def reach(self) -> int:
        """How many contexts a token can have on each side."""
        window = self.options.window
        return self.options.max_contexts if window == "sentence" else int(window)

    def grow(self, corpus: Corpus, run: Run) -> list[Tether]:
        """Begin with the subwords and output vectors of `run.start`, if any, and return what holds them back."""
        if run.start is None:
            return []
        assert run.start.subwords is not None
        tokens = Known.tokens(corpus, run)
        rows, of_ngrams = self.subwords.put(self.inputs, tokens, run.start.vectors, run.start.subwords)
        tokens.put(self.outputs, run.start.targets)
        share = shares(tokens, corpus, run)
        usual = np.average(share, weights=corpus.counts[tokens.now]) if len(share) else 0.0
        return [
            Tether(self.inputs, rows, share),
            Tether(self.inputs, of_ngrams, float(usual)),
            Tether(self.outputs, tokens.now, share),
        ]

    def tokens_a_call(self) -> int:
        """Return how many tokens a call of the kernel may read and still be back in a fraction of a second."""
        operations = self.options.vector_size * (6 * self.reach * (1 + self.options.negative) + 16 * _SUBWORDS)
        return int(np.clip(_OPERATIONS_A_CALL / operations, 1000, 1_000_000))

    def embeddings(self, corpus: Corpus, losses: list[float]) -> Embeddings:
        """Return what has been learned, copied."""
        size, n = self.options.vector_size, len(corpus.tokens)
        vectors = np.empty((n, size), np.float32)
        composed = np.zeros((_AT_ONCE, self.inputs.shape[1]), np.float32)
        for start in range(0, n, _AT_ONCE):
            tokens = np.arange(start, min(start + _AT_ONCE, n))
            kernels_fasttext.compose(
                composed, tokens, len(tokens), self.inputs, self.subwords.indptr, self.subwords.rows, 0, 0
            )
            vectors[tokens] = composed[: len(tokens), :size]
        context_vectors = self.outputs[:n, :size].copy()
        subwords = Subwords(_ngrams(self.options), self._bucket_vectors(), self.subwords.buckets, "root")
        if not all(finite(table) for table in (vectors, context_vectors, subwords.vectors)):
            raise EmbedkitError("the vectors grew beyond all bounds; lower --alpha or --negative.")
        return Embeddings.from_corpus(
            corpus,
            vectors,
            context_vectors=context_vectors,
            arrays=subwords.arrays,
            config={"subwords": subwords.config},
            losses=losses,
        )

    def _bucket_vectors(self) -> np.ndarray:
        size, rows = self.options.vector_size, self.subwords.bucket_rows
        vectors = np.empty((len(rows), size), np.float32)
        for start in range(0, len(rows), _AT_ONCE):
            vectors[start : start + _AT_ONCE] = self.inputs[rows[start : start + _AT_ONCE], :size]
        return vectors


class SubwordPart(Part):
    """A worker that goes with a kernel over a part of the corpus."""

    def __init__(self, task: Task, first: int, last: int, number: int) -> None:
        options = task.options
        self._task = task
        tables = task.inputs, task.outputs
        self._bases = [np.zeros((hot, t.shape[1]), np.float32) for hot, t in zip(task.n_hot, tables, strict=True)]
        self._copies = np.array(
            [len(t) - (task.n_workers - number) * hot for hot, t in zip(task.n_hot, tables, strict=True)]
        )
        super().__init__(
            task.offsets, first, last, number=number, seed=options.seed, alpha=options.first_alpha,
            min_alpha=options.min_alpha, epochs=options.epochs, tokens_a_call=task.tokens_a_call(),
            read_ahead=_PENDING + task.block.capacity + 2 * task.reach,
        )  # fmt: skip

    def carried(self) -> dict[str, np.ndarray]:
        """Return what this worker's copies of frequent rows were when it last gave its changes to all."""
        return {"input_bases": self._bases[0], "output_bases": self._bases[1]}

    @property
    def n_different(self) -> int:
        """How many different tokens there are."""
        return len(self._task.keep)

    def _call(self, last: int, max_tokens: int) -> tuple[float, int, bool]:
        task, options = self._task, self._task.options
        window = 0 if options.window == "sentence" else int(options.window)
        kernel = kernels_fasttext.cbow if options.architecture == "cbow" else kernels_fasttext.skipgram
        return kernel(
            task.ids, task.offsets, self._cursor, self._pending, self._state, task.inputs, task.outputs,
            task.subwords.indptr, task.subwords.rows, task.keep, task.accept, task.alias, self._first, last, max_tokens,
            window, options.shrink_windows, options.max_contexts, float(options.negative), task.block.capacity,
            task.block.negatives, task.block.centres, *self._alphas, *self._bases, self._copies,
        )  # fmt: skip


def _ngrams(options: FastTextOptions) -> Ngrams:
    return Ngrams(options.min_n, options.max_n, options.bucket, options.jamo)


def _block(corpus: Corpus, options: FastTextOptions, largest_share: float) -> BlockShape:
    """Choose the shape of a block; skip-gram's has fewer centres and more noise than `block_shape` gives.

    With 24 centres that share 24 noise tokens likeness of words is worse than fastText's; see docs/performance.md.
    """
    if options.architecture == "cbow":
        return block_shape(1, options.negative, options.first_alpha, largest_share)
    contexts = mean_contexts(corpus, options)
    shape = block_shape(contexts, options.negative, options.first_alpha, largest_share)
    weight = _CENTRES * contexts * options.negative
    negatives = int(np.clip(-(-weight // (8 * _WEIGHT_OF_A_NEGATIVE)) * 8, _FEWEST_NEGATIVES, _MOST_NEGATIVES))
    return BlockShape(_CENTRES, negatives, min(shape.centres, _CENTRES))


def _drawn_vectors(rows: int, more: int, options: FastTextOptions) -> np.ndarray:
    """Return drawn vectors with `more` rows of zeros behind them."""
    table = random_table(rows + more, options.vector_size, options.seed)
    table[rows:] = 0
    return table


def _check_memory(n_tokens: int, n_subwords: int, size: int) -> None:
    """Refuse vectors that do not fit: the subwords', two of each token, and the subwords' once more in the result."""
    numbers = 2 * n_subwords + 2 * n_tokens
    check_fits(
        4 * numbers * padded(size),
        f"vectors of {n_tokens:,} tokens and {n_subwords - n_tokens:,} of their n-grams × {size:,}",
        "take a smaller --vector-size or --bucket, or fewer tokens by a higher --min-count",
    )


def learn(corpus: Corpus, options: FastTextOptions, run: Run) -> Embeddings:
    """Learn vectors of subwords with negative sampling; the kernels say what is computed.

    Raises
    ------
    EmbedkitError
        If no token has another beside it, the vectors do not fit, or they diverge.
    """
    if int(np.diff(corpus.offsets).max()) < 2:
        raise EmbedkitError("every sentence has a single token, so nothing occurs together; check how they are split.")
    task = Task.of(corpus, options)
    divisions = divided(corpus.n_tokens, task.n_workers)
    parts = [SubwordPart(task, first, last, number) for number, (first, last) in enumerate(divisions)]
    warm_up(parts[0].compile, run)
    losses: list[float] = []
    shared = {"inputs": task.inputs, "outputs": task.outputs}
    race = Race(parts, corpus.n_tokens, shared, lambda: task.embeddings(corpus, losses), task.grow(corpus, run))
    race.run(options.epochs, run, losses)
    return task.embeddings(corpus, losses)
