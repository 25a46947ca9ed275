"""How Doc2Vec runs: tables of vectors, workers on their parts of the corpus, epochs, result."""

from __future__ import annotations

from typing import Any

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.memory import check_fits
from embedkit.trainers.doc2vec import Doc2VecOptions
from embedkit.trainers.machinery.distributions import alias_table, keep_probabilities, noise_probabilities
from embedkit.trainers.machinery.growth import Known, Tether, shares
from embedkit.trainers.machinery.racing import Part, Race, divided, n_workers, warm_up
from embedkit.trainers.machinery.tables import empty_table, finite, packed, padded, random_table
from embedkit.trainers.machinery.told import told_options
from embedkit.trainers.sampling import kernels_doc2vec
from embedkit.trainers.sampling.blocks import block_shape

_PENDING = 4096
_TOKENS_A_CALL = 100_000
_NOISE_SAMPLE = 1024
_OF_FOLD_IN = ("architecture", "window", "negative", "alpha", "min_alpha", "epochs")


class Doc2VecTask:
    """What all workers share.

    Attributes
    ----------
    keys, inputs, outputs
        float32 (n_keys, n_tokens, n_tokens × width): the vectors; `inputs` is a single row where only keys predict.
    fold_in
        How the vector of an unknown key is to be inferred.
    """

    def __init__(self, corpus: Corpus, options: Doc2VecOptions) -> None:
        assert corpus.keys is not None
        assert corpus.sentence_keys is not None
        self.corpus, self.options = corpus, options
        self.with_tokens = options.architecture == "dm"
        n_tokens, size, seed = len(corpus.tokens), options.vector_size, options.seed
        self.keys = random_table(len(corpus.keys), size, seed)
        self.inputs = random_table(n_tokens, size, seed + 1) if self.with_tokens else empty_table(1, size)
        self.outputs = empty_table(n_tokens, size)
        self.keep = keep_probabilities(corpus.counts, options.sample)
        noise = noise_probabilities(corpus.counts, options.ns_exponent)
        self.noise, self.noise_sample = alias_table(noise), _even_sample(noise)
        kept = self.keep * corpus.counts
        self.block = block_shape(1, options.negative, options.alpha, float(kept.max() / kept.sum()))
        self.arrays = tuple(np.asarray(a) for a in (corpus.ids, corpus.offsets, corpus.sentence_keys))
        self.losses: list[float] = []
        self.fold_in: dict[str, Any] = {name: getattr(options, name) for name in _OF_FOLD_IN}

    def grow(self, run: Run) -> list[Tether]:
        """Begin with the vectors of `run.start`, if any, and return what holds those of tokens back."""
        if run.start is None:
            return []
        tokens = Known.tokens(self.corpus, run)
        if run.start.key_vectors is not None:
            assert self.corpus.keys is not None
            Known.of(self.corpus.keys, run.start.keys).put(self.keys, run.start.key_vectors)
        tokens.put(self.outputs, run.start.targets)
        if self.with_tokens:
            tokens.put(self.inputs, run.start.vectors)
        self.fold_in = fold_in_of(run.start)
        share = shares(tokens, self.corpus, run)
        return [Tether(table, tokens.now, share) for table in self._tables()[1:]]

    def snapshot(self) -> Embeddings:
        """Return a copy of what has been learned so far."""
        size = self.options.vector_size
        return self._embeddings(*(np.array(table[:, :size], order="C") for table in self._tables()))

    def finish(self) -> Embeddings:
        """Return what was learned, in the same memory; nothing more can be learned."""
        return self._embeddings(*(packed(table, self.options.vector_size) for table in self._tables()))

    def shared(self) -> dict[str, np.ndarray]:
        """Return the tables that all workers change."""
        return {"keys": self.keys, "outputs": self.outputs, "inputs": self.inputs}

    def _tables(self) -> list[np.ndarray]:
        return [self.keys, self.outputs, self.inputs] if self.with_tokens else [self.keys, self.outputs]

    def _embeddings(self, keys: np.ndarray, outputs: np.ndarray, inputs: np.ndarray | None = None) -> Embeddings:
        if not all(map(finite, (keys, outputs))) or not (inputs is None or finite(inputs)):
            raise EmbedkitError("the vectors grew beyond all bounds; lower --alpha or --negative.")
        return Embeddings.from_corpus(
            self.corpus,
            outputs if inputs is None else inputs,
            context_vectors=None if inputs is None else outputs,
            key_vectors=keys,
            query="infer",
            arrays={"noise": self.noise_sample, "keep": self.keep},
            config={"fold_in": self.fold_in},
            losses=self.losses,
        )


def fold_in_of(start: Embeddings) -> dict[str, Any]:
    """Return the options by which a model infers the vector of an unknown key; an update leaves them as they are.

    Raises
    ------
    EmbedkitError
        If the model does not tell all of them.
    ModelError
        If it tells what they cannot be.
    """
    told = told_options(start, "fold_in", Doc2VecOptions, _OF_FOLD_IN) if "fold_in" in start.config else {}
    if len(told) < len(_OF_FOLD_IN):
        raise EmbedkitError("the model does not tell how it infers vectors of documents; train anew.")
    return told


def _even_sample(probabilities: np.ndarray) -> np.ndarray:
    """Return tokens at evenly spaced places of a distribution's cumulative sum (int32)."""
    cumulative = np.cumsum(probabilities)
    places = (np.arange(_NOISE_SAMPLE) + 0.5) / _NOISE_SAMPLE * cumulative[-1]
    found = np.searchsorted(cumulative, places, side="right")
    return np.minimum(found, len(probabilities) - 1).astype(np.int32)


class DocumentPart(Part):
    """A worker that goes with a kernel over a part of the corpus."""

    def __init__(self, task: Doc2VecTask, first: int, last: int, number: int) -> None:
        options = task.options
        self._task = task
        super().__init__(
            task.corpus.offsets, first, last, number=number, seed=options.seed, alpha=options.alpha,
            min_alpha=options.min_alpha, epochs=options.epochs, tokens_a_call=_TOKENS_A_CALL,
            read_ahead=_PENDING + task.block.capacity + 2 * options.window,
        )  # fmt: skip

    @property
    def n_different(self) -> int:
        """How many different tokens there are."""
        return len(self._task.keep)

    def _call(self, last: int, max_tokens: int) -> tuple[float, int, bool]:
        """Call the kernel; with `last` the part's first position it is compiled, no more."""
        task, options = self._task, self._task.options
        ids, offsets, sentence_keys = task.arrays
        if not task.with_tokens:
            return kernels_doc2vec.dbow(
                ids, offsets, sentence_keys, self._cursor, self._state, task.outputs, task.keys, task.keep,
                *task.noise, self._first, last, max_tokens, options.negative, *self._alphas,
            )  # fmt: skip
        return kernels_doc2vec.dm(
            ids, offsets, sentence_keys, self._cursor, self._pending, self._state, task.inputs, task.outputs,
            task.keys, task.keep, *task.noise, self._first, last, max_tokens, options.window, options.shrink_windows,
            float(options.negative), task.block.capacity, task.block.negatives, task.block.centres, *self._alphas,
        )  # fmt: skip


def learn(corpus: Corpus, options: Doc2VecOptions, run: Run) -> Embeddings:
    """Learn vectors of keys and tokens; `kernels_doc2vec` says what is computed.

    Raises
    ------
    EmbedkitError
        If the sentences have no keys, the vectors would not fit in memory, or they diverge.
    """
    if corpus.keys is None:
        raise EmbedkitError(
            "the sentences have no keys to learn vectors of; with --source text, --key line makes each line a document."
        )
    n_rows = len(corpus.keys) + (2 if options.architecture == "dm" else 1) * len(corpus.tokens)
    check_fits(
        4 * n_rows * padded(options.vector_size),
        f"vectors of {len(corpus.keys):,} keys and {len(corpus.tokens):,} tokens × {options.vector_size:,}",
        "lower --vector-size, or have fewer tokens by a higher --min-count",
    )
    task = Doc2VecTask(corpus, options)
    divisions = divided(corpus.n_tokens, n_workers(options.workers, corpus.n_tokens))
    parts = [DocumentPart(task, first, last, number) for number, (first, last) in enumerate(divisions)]
    warm_up(parts[0].compile, run)
    race = Race(parts, corpus.n_tokens, task.shared(), task.snapshot, task.grow(run))
    race.run(options.epochs, run, task.losses)
    return task.finish()
