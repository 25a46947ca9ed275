"""How `glove` runs: counts, blocks of them, vectors with biases, epochs of AdaGrad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.corpus.columns import Column
from embedkit.corpus.cooccurrence import Cooccurrences, count_cooccurrences
from embedkit.corpus.workdir import WorkFolder, check_room
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.memory import available_bytes, check_fits, smaller
from embedkit.trainers.counting import kernels_glove, tournament
from embedkit.trainers.counting.kernels_glove import ROWS_A_TOKEN
from embedkit.trainers.glove import GloVeOptions
from embedkit.trainers.machinery.counting_parts import count_parts
from embedkit.trainers.machinery.crew import Crew
from embedkit.trainers.machinery.kernels_tiles import LANES
from embedkit.trainers.machinery.racing import warm_up
from embedkit.trainers.machinery.resuming import losses_of, put_back
from embedkit.trainers.machinery.tables import empty_table, padded

_ENTRIES_A_BLOCK = 1 << 14
_MOST_PARTS = 256
_PARTS_AT_ONCE = 4
_BYTES_AN_ENTRY = 32  # of a pair, its target and logarithm, and a copy of them
_ROWS = 1 << 10
_RARER = 10  # unmet pairs count as having met so many times more rarely than the rarest


class Table:
    """What is learned, in four rows a token: vector w, its sums of squares, context vector c, its sums of squares.

    The row of w goes on with its bias and a 1, that of c with a 1 and its bias, so that their product is w·c + b + b̃.

    Attributes
    ----------
    rows
        float32 (4 n_tokens × width), on cache lines; width is the vector size and two, rounded up to 16.
    rates, context_rates
        float32 (width): the learning rate of what changes in w and in c, 0 for what does not.
    """

    def __init__(self, n_tokens: int, options: GloVeOptions) -> None:
        self.size = options.vector_size
        self.rows = empty_table(ROWS_A_TOKEN * n_tokens, self.size + 2)
        self.rows[1::2] = 1
        self.vectors[:, self.size + 1] = 1
        self.context_vectors[:, self.size] = 1
        rng = np.random.default_rng(options.seed)
        for first in range(0, n_tokens, _ROWS):
            for table in (self.vectors, self.context_vectors):
                rows = table[first : first + _ROWS, : self.size]
                rows[:] = (rng.random(rows.shape, np.float32) - np.float32(0.5)) / np.float32(self.size)
        self.rates, self.context_rates = np.zeros((2, self.rows.shape[1]), np.float32)
        self.rates[: self.size + 1] = options.alpha
        self.context_rates[: self.size] = self.context_rates[self.size + 1] = options.alpha

    @property
    def vectors(self) -> np.ndarray:
        """The rows of w with their bias and 1: a view, float32 (n_tokens × width)."""
        return self.rows[0::ROWS_A_TOKEN]

    @property
    def context_vectors(self) -> np.ndarray:
        """The rows of c with their 1 and bias: a view, float32 (n_tokens × width)."""
        return self.rows[2::ROWS_A_TOKEN]

    def embeddings(self, corpus: Corpus, options: GloVeOptions, losses: list[float]) -> Embeddings:
        """Return what has been learned so far."""
        w, c, size = self.vectors, self.context_vectors, self.size
        both = options.keep == "both"
        return Embeddings.from_corpus(
            corpus,
            w[:, :size].copy() if both else w[:, :size] + c[:, :size],
            context_vectors=c[:, :size].copy() if both else None,
            arrays={"biases": w[:, size].copy(), "context_biases": c[:, size + 1].copy()} if both else {},
            losses=losses,
        )


@dataclass(frozen=True)
class Blocks:
    """The entries of the counts up to the diagonal, sorted into blocks that two parts of the vocabulary share.

    Attributes
    ----------
    ends
        int64 (n_parts × n_parts + 1): block (a, b), a ≥ b, is at ends[a, b]..ends[a, b + 1].
    pairs, targets
        int32 and float32 (n × 2), memory-mapped; see `kernels_glove.learn_block`.
    bounds
        int64 (n_parts + 1): part p has the tokens bounds[p]..bounds[p + 1].
    n_entries
        How many entries the counts have on both sides of the diagonal.
    lowest
        The logarithm of the smallest count.
    """

    ends: np.ndarray
    pairs: np.ndarray
    targets: np.ndarray
    bounds: np.ndarray
    n_entries: int
    lowest: float
    _folder: WorkFolder

    @classmethod
    def of(cls, counts: Cooccurrences, options: GloVeOptions, crew: Crew, work_dir: Path | None) -> Blocks:
        """Sort, a part of the vocabulary at a time; the order within blocks is drawn."""
        bounds = tournament.bounds(counts.indptr, _n_parts(len(counts)))
        folder = WorkFolder(work_dir)
        largest = int(np.diff(counts.indptr[bounds]).max())
        check_fits(
            _PARTS_AT_ONCE * _BYTES_AN_ENTRY * largest,
            f"sorting {len(counts):,} counts",
            "fewer tokens by a higher --min-count would fit",
        )
        check_room(folder.path.parent, _BYTES_AN_ENTRY * len(counts) // 4, f"{len(counts):,} counts in order")
        columns = Column(folder.path / "pairs", np.int32), Column(folder.path / "targets", np.float32)
        ends = np.zeros((len(bounds) - 1, len(bounds)), np.int64)

        def work(part: int) -> tuple[np.ndarray, ...]:
            first, last = bounds[part : part + 2]
            room = int(counts.indptr[last] - counts.indptr[first])
            pairs, targets = np.empty((room, 2), np.int32), np.empty((room, 2), np.float32)
            state = np.random.SeedSequence([options.seed, part]).generate_state(1, np.uint64)
            n = kernels_glove.arrange(
                counts.indptr, counts.indices, counts.counts, first, last, bounds, options.x_max, options.exponent,
                state, ends[part, 1:], pairs, targets,
            )  # fmt: skip
            return pairs[:n].copy(), targets[:n].copy()

        written = 0
        for start in range(0, len(ends), _PARTS_AT_ONCE):
            some = range(start, min(start + _PARTS_AT_ONCE, len(ends)))
            for part, made in zip(some, crew.do(work, some), strict=True):
                ends[part] += written
                written += len(made[0])
                for column, numbers in zip(columns, made, strict=True):
                    column.append(numbers.reshape(-1))
        pairs, targets = (column.finish().reshape(-1, 2) for column in columns)
        return cls(ends, pairs, targets, bounds, len(counts), float(np.log(counts.counts.min())), folder)

    def rounds(self) -> list[list[tuple[int, int]]]:
        """Return the blocks that may be learned from at the same time, round by round, the largest first."""
        sizes = np.diff(self.ends, axis=1)
        rounds = [[block for block in met if sizes[block]] for met in tournament.rounds(len(sizes))]
        return [sorted(met, key=lambda block: -sizes[block]) for met in rounds if met]


def learn(corpus: Corpus, options: GloVeOptions, run: Run) -> Embeddings:
    """Learn vectors w, c and biases b, b̃ that minimise Σ f(x) (w_i·c_j + b_i + b̃_j - log x_ij)² over all counts x.

    f(x) = (x / x_max)^exponent, 1 at most. Steps are AdaGrad's in the form of the authors' program: g / √(α⁻² + Σ g²),
    so that α is the rate of the first step, and the rate of later ones is 1 / √Σ g². With an unmet weight u, the loss
    has as many terms u (w_i·c_j + b_i + b̃_j - log (x_min / 10))² of pairs drawn evenly from the same blocks; that is
    embedkit's own, in the spirit of Swivel (Shazeer et al. 2016, arXiv 1602.02215). The losses are means per entry.

    Raises
    ------
    EmbedkitError
        If nothing occurs together, there is too little memory or disk, or the vectors diverge.
    """
    _check_memory(len(corpus.tokens), options.vector_size)
    with Crew(options.workers) as crew:
        warm_up(lambda: _compile(options, run), run)
        counts = _counts(corpus, options, run, crew)
        blocks = Blocks.of(counts, options, crew, run.work_dir)
        del counts
    table = Table(len(corpus.tokens), options)
    losses: list[float] = []

    def snapshot() -> Embeddings:
        return table.embeddings(corpus, options, list(losses))

    rounds = blocks.rounds()
    if run.state is not None:
        losses[:] = losses_of(run.state, options.epochs)
        put_back(run.state, {"table": table.rows})
    with Crew(options.workers, _progress(run, sum(map(len, rounds)), options.epochs, losses, snapshot)) as crew:
        for number in range(len(losses), options.epochs):
            rng = np.random.default_rng([options.seed, number])
            order = [rounds[r] for r in rng.permutation(len(rounds))]
            losses.append(epoch(table, blocks, order, options, int(rng.integers(2**31)), crew))
            if not np.isfinite(losses[-1]):
                raise EmbedkitError("the vectors grew beyond all bounds; lower --alpha.")
            if not run.epoch_done(losses[-1], snapshot):
                break
            run.keep_state(lambda: {"losses": np.array(losses), "table": table.rows}, epoch_over=True)
    return snapshot()


def _counts(corpus: Corpus, options: GloVeOptions, run: Run, crew: Crew) -> Cooccurrences:
    how = options.window, options.distance_weighting
    if run.engine is None:
        return count_cooccurrences(corpus, *how, crew, work_dir=run.work_dir, told=_counted(run))
    counts = count_parts(corpus, *how, options.workers, run)  # type: ignore[arg-type]  # in partitions
    if not len(counts):
        raise EmbedkitError("every sentence has a single token, so nothing occurs together; check how they are split.")
    return counts


def epoch(
    table: Table, blocks: Blocks, rounds: list[list[tuple[int, int]]], options: GloVeOptions, seed: int, crew: Crew
) -> float:
    """Learn from every entry once, and from as many unmet pairs where these have a weight; return the mean loss."""
    bounds, unmet = blocks.bounds, (np.float32(blocks.lowest - np.log(_RARER)), np.float32(options.unmet_weight))

    def work(block: tuple[int, int]) -> float:
        a, b = block
        entries = slice(blocks.ends[a, b], blocks.ends[a, b + 1])
        rows, columns = (bounds[a], bounds[a + 1]), (bounds[b], bounds[b + 1])
        state = np.array([(seed * len(bounds) + a) * len(bounds) + b], np.uint64)
        loss = kernels_glove.learn_block(
            table.rows, blocks.pairs[entries], blocks.targets[entries], table.rates, table.context_rates, rows,
            columns, unmet, state,
        )  # fmt: skip
        return float(loss)

    return sum(sum(crew.do(work, met)) for met in rounds) / blocks.n_entries


def _n_parts(n_entries: int) -> int:
    """Return into how many parts to divide the vocabulary, an even number that depends on the counts alone."""
    return int(np.clip(2 * np.ceil(np.sqrt(n_entries / 4 / _ENTRIES_A_BLOCK)), 2, _MOST_PARTS))


def _check_memory(n_tokens: int, size: int) -> None:
    """Refuse vectors that do not fit: the table's rows of each token, and the two that come out."""
    available = available_bytes()
    rows = ROWS_A_TOKEN + 2
    fits = 0 if available is None else max(0, available // (4 * rows * n_tokens) // LANES * LANES - 2)
    check_fits(
        4 * rows * n_tokens * padded(size + 2),
        f"vectors of {n_tokens:,} tokens × {size:,}, two of each with AdaGrad's sums,",
        smaller(fits, "take fewer tokens by a higher --min-count"),
    )


def _compile(options: GloVeOptions, run: Run) -> None:
    """Count and learn from two tokens."""
    corpus = Corpus.from_sentences([["a", "b"]], work_dir=run.work_dir)
    with Crew(1) as crew:
        counts = count_cooccurrences(corpus, 1, "flat", crew, work_dir=run.work_dir)
        blocks = Blocks.of(counts, options, crew, run.work_dir)
        epoch(Table(2, options), blocks, blocks.rounds(), options, 0, crew)


def _counted(run: Run) -> Callable[[int, int], None]:
    return lambda done, total: run.progress(done, total, unit="tokens counted")


def _progress(
    run: Run, blocks: int, epochs: int, losses: list[float], snapshot: Callable[[], Embeddings]
) -> Callable[[int], None]:
    """Return what a crew calls to tell how far it is."""
    done, total = len(losses) * blocks, epochs * blocks

    def watch(parts: int) -> None:
        nonlocal done
        done += parts
        more: dict[str, Any] = {"loss": losses[-1]} if losses else {}
        run.progress(done, total, unit="blocks", snapshot=snapshot, **more)

    return watch
