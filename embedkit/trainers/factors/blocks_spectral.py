"""How `spectral` learns keys × tokens from a corpus in partitions: NᵀN times a block is summed up over partitions.

N's rows stay where they lie; what travels is n_tokens × vector_size, there and back, once for each iteration and once
more. Options that were not given are chosen as in one process, on a sample of histories from all partitions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embedkit.contracts import History, Run
from embedkit.corpus import Corpus
from embedkit.corpus.partitioned import PartitionedCorpus
from embedkit.embeddings import Embeddings
from embedkit.engines.engine import Engine
from embedkit.errors import EmbedkitError, OptionError
from embedkit.queries import interactions
from embedkit.trainers.factors.holdout import HoldOut, held_out
from embedkit.trainers.factors.seen import check_weights, histories_of
from embedkit.trainers.factors.spectral_choice import choose, to_choose, trial_width
from embedkit.trainers.factors.spectral_factors import Popularity, Standing
from embedkit.trainers.factors.spectral_vectors import OVERSAMPLING, TABLES, Task, size_of
from embedkit.trainers.factors.subspace import Subspace, gram_product
from embedkit.trainers.machinery.crew import Crew
from embedkit.trainers.machinery.needs import check_part, check_parts, of_interactions
from embedkit.trainers.spectral import SpectralOptions


@dataclass(frozen=True)
class Block:
    """The interactions of a partition, and its histories with all their occurrences.

    Attributes
    ----------
    matrix
        The rows of N, once they are known; see `normalized` in `spectral_factors`.
    squares
        The sum of their squares.
    """

    seen: History
    rows: History
    matrix: History | None = None
    squares: float = 0.0

    def __sizeof__(self) -> int:
        return 12 * (len(self.seen.indices) + len(self.rows.indices)) + 8 * len(self.seen)


@dataclass(frozen=True)
class Totals:
    """What all partitions add up to.

    Attributes
    ----------
    n_rows, n_entries
        How many keys there are, and interactions.
    timed
        Whether the histories have times.
    popularity
        How popular the tokens are.
    """

    n_rows: int
    n_entries: int
    timed: bool
    popularity: Popularity

    def plus(self, other: Totals) -> Totals:
        """Return the totals of both."""
        return Totals(
            self.n_rows + other.n_rows, self.n_entries + other.n_entries, self.timed or other.timed,
            self.popularity.plus(other.popularity),
        )  # fmt: skip


@dataclass(frozen=True)
class Normalisation:
    """What a partition needs to know to make its rows of N."""

    of_tokens: np.ndarray
    key_exponent: float
    token_exponent: float


class PartitionedMatrix:
    """N in partitions, as a subspace wants it."""

    def __init__(self, engine: Engine, blocks: list[Any], threads: int, run: Run) -> None:
        self._engine, self._blocks, self._threads, self._run = engine, blocks, threads, run

    def gram_product(self, block: np.ndarray) -> np.ndarray:
        """Return NᵀN block: float32 (n_columns × width)."""

        def told(done: int, total: int) -> None:
            self._run.progress(done, total, unit="partitions")

        shared = self._engine.broadcast(block)
        made = self._engine.reduce(_gram_product, self._blocks, _plus, shared, self._threads, told=told)
        return np.asarray(made)


def learn(corpus: PartitionedCorpus, options: SpectralOptions, run: Run) -> Embeddings:
    """Learn vectors by a truncated SVD of the normalised matrix; see `spectral_vectors.learn`."""
    engine, n_tokens = corpus.engine, len(corpus.tokens)
    threads = options.workers or engine.threads
    blocks = engine.keep(_block, corpus.parts, options.weighting)
    totals = engine.reduce(_totals, blocks, Totals.plus, n_tokens, options.trend_window)
    if totals.n_rows < 2 or n_tokens < 2:
        raise EmbedkitError("there is a single key or token, so nothing to tell apart; spectral needs two or more.")
    size = size_of(options.vector_size, totals.n_rows, n_tokens, run)
    what = f"singular vectors of {n_tokens:,} tokens"
    check_parts(n_tokens, size, (TABLES, 1), engine, what, more=OVERSAMPLING)
    if size == 1 and options.prior:
        raise OptionError("prior", "takes one number of each vector, so it needs a vector_size of 2 or more.")
    if not totals.timed and options.trend:
        raise OptionError("trend", "needs times, and these interactions have none; leave it out.")
    with Crew(options.workers) as crew:
        options = _chosen(corpus, blocks, size, options, crew, run)
        standing = Standing.from_sums(totals.popularity)
        matrix, scale, total = _normalized(engine, blocks, totals.popularity.totals, options, threads, run)
        nothing = History(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
        task = Task(corpus, options, nothing, size, standing)  # type: ignore[arg-type]  # asked for names and histories
        subspace = Subspace.of(matrix, n_tokens, min(size + OVERSAMPLING, n_tokens), options.seed, crew)
        losses = [max(0.0, 1 - subspace.variance() / total)]
        while run.epoch_done(losses[-1], task.snapshot(subspace, scale, losses)) and len(losses) < options.iterations:
            subspace = subspace.sharpened(crew)
            losses.append(max(0.0, 1 - subspace.variance() / total))
        return task.embeddings(subspace, scale, losses, crew)


def _normalized(
    engine: Engine, blocks: list[Any], of_tokens: np.ndarray, options: SpectralOptions, threads: int, run: Run
) -> tuple[PartitionedMatrix, float, float]:
    """Return N, what it was divided by, and the sum of its squares."""
    how = engine.broadcast(Normalisation(of_tokens, options.key_exponent, options.token_exponent))
    greatest = engine.reduce(_greatest, blocks, max, how)
    made = engine.keep(_with_matrix, blocks, how, greatest)
    total = engine.reduce(_squares, made, _plus)
    return PartitionedMatrix(engine, made, threads, run), greatest, total


def _chosen(
    corpus: PartitionedCorpus, blocks: list[Any], size: int, options: SpectralOptions, crew: Crew, run: Run
) -> SpectralOptions:
    """Return the options with every choice made, on what is held out of each partition."""
    engine, n_tokens = corpus.engine, len(corpus.tokens)
    if not to_choose(options):
        return options
    how = options.holdout or corpus.defaults.get("holdout")
    numbered = list(zip(blocks, corpus.parts, range(corpus.n_parts), strict=True))
    left = engine.keep(_left, numbered, how, options)
    asked = HoldOut.joined(engine.map(_share, left, corpus.n_parts))
    if asked is None:
        return choose(None, n_tokens, size, options, crew, run)
    of_left = engine.keep(_learned_from, left, options.weighting)
    totals = engine.reduce(_totals, of_left, Totals.plus, n_tokens, options.trend_window)
    threads = options.workers or engine.threads
    matrix, _, _ = _normalized(engine, of_left, totals.popularity.totals, options, threads, run)
    width = trial_width(n_tokens, size)
    subspace = Subspace.of(matrix, n_tokens, width, options.seed, crew)
    learned = subspace, Standing.from_sums(totals.popularity)
    return choose(asked, n_tokens, size, options, crew, run, learned=learned)


def _block(corpus: Corpus, weighting: str) -> Block:
    check_part(of_interactions(corpus.n_tokens), f"a matrix of {corpus.n_tokens:,} interactions")
    rows = histories_of(corpus)
    seen = interactions(rows, weighting)
    assert seen.weights is not None
    if len(seen.weights):
        check_weights(seen.weights)
    return Block(seen, rows)


def _totals(block: Block, n_tokens: int, window: float) -> Totals:
    popularity = Popularity.of(block.seen, block.rows, n_tokens, window)
    return Totals(len(block.seen), len(block.seen.indices), block.rows.times is not None, popularity)


def _values(block: Block, how: Normalisation) -> np.ndarray:
    """Return the entries of R D_t^-b D_k^-a, float64."""
    seen = block.seen
    rows = np.repeat(np.arange(len(seen)), np.diff(seen.indptr))
    of_keys = np.bincount(rows, seen.weights, len(seen))
    scale = of_keys[rows] ** -how.key_exponent * how.of_tokens[seen.indices] ** -how.token_exponent
    return np.asarray(seen.weights * scale)


def _greatest(block: Block, how: Normalisation) -> float:
    return float(_values(block, how).max(initial=0.0))


def _with_matrix(block: Block, how: Normalisation, greatest: float) -> Block:
    values = (_values(block, how) / greatest).astype(np.float32)
    squares = float(np.square(values, dtype=np.float64).sum())
    return replace(block, matrix=History(block.seen.indptr, block.seen.indices, values), squares=squares)


def _squares(block: Block) -> float:
    return block.squares


def _gram_product(block: Block, right: np.ndarray, threads: int) -> np.ndarray:
    assert block.matrix is not None
    with Crew(threads) as crew:
        return gram_product(block.matrix, right, crew)


def _plus(one: Any, other: Any) -> Any:
    return one + other


def _left(numbered: tuple[Block, Corpus, int], how: str | None, options: SpectralOptions) -> tuple[Block, HoldOut]:
    """Return a partition with what it holds out, of whose rows it asks all that it can."""
    block, corpus, number = numbered
    rows = block.rows
    if how == "random" and not options.trend:
        # As in one process: drawn interactions are of any time.
        rows = History(rows.indptr, rows.indices, rows.weights)
    nothing = HoldOut(rows, np.zeros(0, np.int64), [], in_order=True)
    return block, held_out(rows, corpus.tokens, how, options.seed + number, least=1) or nothing


def _share(left: tuple[Block, HoldOut], n_parts: int) -> HoldOut:
    """Return a partition's share of the rows that are asked, and these rows alone."""
    return left[1].share(n_parts)


def _learned_from(left: tuple[Block, HoldOut], weighting: str) -> Block:
    return Block(interactions(left[1].rows, weighting), left[1].rows)
