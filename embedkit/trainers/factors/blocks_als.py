"""How `als` learns from a corpus in partitions: keys in blocks where they lie, tokens by sums over all blocks.

Each epoch sends the tokens' vectors to the partitions, which solve for their keys. A key begins at zero in every epoch,
so its vector depends on the tokens' alone, and nothing has to be remembered that would be lost with a worker; it takes
as many more steps. The tokens' equations are then solved by conjugate gradients, of which partitions give the products:
an epoch sums up `solver_steps` and one more arrays of n_tokens × vector_size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from embedkit.contracts import History, Run
from embedkit.corpus import Corpus
from embedkit.corpus.partitioned import PartitionedCorpus
from embedkit.embeddings import Embeddings
from embedkit.engines.engine import Told
from embedkit.errors import EmbedkitError
from embedkit.queries.histories import interactions
from embedkit.trainers.als import ALSOptions
from embedkit.trainers.factors import kernels_als
from embedkit.trainers.factors.factorization import (
    UNTIL_SOLVED,
    Factorization,
    Side,
    fold_in,
    gramian_of,
    penalty_of,
    turned,
    with_offsets,
)
from embedkit.trainers.factors.seen import check_weights, histories_of
from embedkit.trainers.machinery.crew import Crew
from embedkit.trainers.machinery.needs import check_part, check_parts, of_interactions

_STEPS_FROM_ZERO = 2  # times as many steps as for vectors that go on
_TOLERANCE = 1e-5
_TABLES = 8  # of the tokens here: vectors, residual, direction and its image, and as many again while they are added up


@dataclass(frozen=True)
class Setting:
    """What all partitions know: the options, how many tokens and keys there are, the mean rating, how many threads."""

    options: ALSOptions
    n_tokens: int
    n_keys: int
    mean: float
    threads: int

    @property
    def explicit(self) -> bool:
        """Whether weights are ratings."""
        return self.options.loss == "explicit"

    @property
    def alpha(self) -> float:
        """The weight of what is unobserved."""
        return 0.0 if self.explicit else self.options.unobserved_weight

    @property
    def width(self) -> int:
        """How many numbers of a vector are learned."""
        return self.options.vector_size - self.explicit


@dataclass(frozen=True)
class Block:
    """The interactions of a partition, by key and by token."""

    seen: History
    met: History

    def __sizeof__(self) -> int:
        return 16 * len(self.seen.indices) + 8 * (len(self.seen) + len(self.met))

    def model(self, y: np.ndarray, x: np.ndarray, setting: Setting) -> Factorization:
        """Return the factorization of this block alone, in which tokens have no penalty."""
        keys = Side(self.seen, penalty_of(self.seen, setting.n_tokens, setting.alpha, setting.options), x)
        tokens = Side(self.met, np.zeros(setting.n_tokens, np.float32), y)
        return Factorization(keys, tokens, setting.explicit, setting.alpha, setting.mean)


@dataclass(frozen=True)
class Sums:
    """What the first step of the tokens' equations needs of all keys; arrays of float32 but for the Gramian.

    Attributes
    ----------
    residual
        Right-hand side minus left one, without what tokens share (n_tokens × width).
    gramian
        XᵀX (width × width), float64.
    loss
        The part of the loss that entries and keys have.
    """

    residual: np.ndarray
    gramian: np.ndarray
    loss: float


def learn(corpus: PartitionedCorpus, options: ALSOptions, run: Run) -> Embeddings:
    """Learn by alternating least squares; see `Factorization` for what is minimised.

    Raises
    ------
    EmbedkitError
        As `factorization.learn`.
    """
    engine, n_tokens = corpus.engine, len(corpus.tokens)
    blocks = engine.keep(_block, corpus.parts, options.loss, options.weighting, n_tokens)
    found = engine.reduce(_counts, blocks, _added, n_tokens, options.loss)
    n_keys, n_entries, weight, mass, top = found
    if n_keys < 2 or n_tokens < 2:
        raise EmbedkitError("there is a single key or token, so nothing to tell apart; als needs two or more.")
    explicit = options.loss == "explicit"
    keys_here = 2 * n_keys if engine.name == "local" or corpus.histories_here else 0
    check_parts(
        n_tokens, options.vector_size, (_TABLES, 1 + explicit), engine,
        f"vectors of {n_tokens:,} tokens and {n_keys:,} rows", of_keys=keys_here,
    )  # fmt: skip
    mean = weight / n_entries if explicit else 0.0
    setting = Setting(options, n_tokens, n_keys, mean, options.workers or engine.threads)
    penalty = (options.penalty * (mass + setting.alpha * n_keys) ** options.regularization_exponent).astype(np.float32)
    tokens = _Tokens(corpus, blocks, setting, penalty, run)
    losses: list[float] = []

    def result() -> Embeddings:
        return _embeddings(corpus, tokens.y.copy(), blocks, setting, float(top), list(losses))

    with threadpool_limits(1, "blas"):  # so that sums have the same bits however many threads it has
        for _ in range(options.epochs):
            losses.append(tokens.epoch() / (n_entries if explicit else weight))
            if not np.isfinite(losses[-1]):
                raise EmbedkitError("the vectors grew beyond all bounds; raise --regularization.")
            if not run.epoch_done(losses[-1], result):
                break
        return result()


class _Tokens:
    """The tokens' vectors, and an epoch that improves them."""

    def __init__(
        self, corpus: PartitionedCorpus, blocks: list[Any], setting: Setting, penalty: np.ndarray, run: Run
    ) -> None:
        self._engine, self._blocks, self._setting, self._penalty = corpus.engine, blocks, setting, penalty[:, None]
        self.y = Factorization.first_tokens(setting.n_tokens, setting.options)
        self._run, self._done = run, 0

    def epoch(self) -> float:
        """Solve for the keys, then improve the tokens; return the loss."""
        engine, blocks, setting = self._engine, self._blocks, self._setting
        y = engine.broadcast(self.y.copy())
        x = engine.keep(_solved_keys, blocks, y, setting, told=self._told())
        both = list(zip(blocks, x, strict=True))
        sums = engine.reduce(_first_sums, both, _added_sums, y, setting, told=self._told())
        gramian = (setting.alpha * sums.gramian).astype(np.float32)
        residual = sums.residual - self._penalty * self.y - self.y @ gramian
        direction, squares = residual.copy(), _squares(residual)
        value = sums.loss + float(np.einsum("ij,ij->", self.y @ gramian, self.y, dtype=np.float64))
        value += float(np.einsum("ij,ij->", self._penalty * self.y, self.y, dtype=np.float64))
        for _ in range(setting.options.solver_steps):
            image = engine.reduce(_products, both, _added_arrays, engine.broadcast(direction), setting,
                                  told=self._told())  # fmt: skip
            image += direction @ gramian + self._penalty * direction
            curvature = np.einsum("ij,ij->i", direction, image)
            length = np.divide(squares, curvature, out=np.zeros_like(squares), where=curvature > 0)[:, None]
            self.y += length * direction
            residual -= length * image
            before, squares = squares, _squares(residual)
            value -= float(np.dot(length[:, 0].astype(np.float64), before))
            turn = np.divide(squares, before, out=np.zeros_like(squares), where=before > 0)[:, None]
            direction = residual + turn * direction
        return value

    def _told(self) -> Told:
        """Return what an engine calls, to tell how far all epochs are."""
        steps = self._setting.options.solver_steps + 2
        start, self._done = self._done, self._done + 1
        total = steps * self._setting.options.epochs
        return lambda done, of: self._run.progress(min(start + done / of, total), total, unit="parts")


def _block(corpus: Corpus, loss: str, weighting: str, n_tokens: int) -> Block:
    if loss == "explicit" and corpus.weights is None:
        raise EmbedkitError("--loss explicit predicts ratings, and there are none; name them with --weight-column.")
    check_part(of_interactions(corpus.n_tokens), f"a matrix of {corpus.n_tokens:,} interactions")
    seen = interactions(histories_of(corpus), "mean" if loss == "explicit" else weighting)
    assert seen.weights is not None
    if len(seen.weights):
        check_weights(seen.weights)
    return Block(seen, turned(seen, n_tokens))


def _counts(block: Block, n_tokens: int, loss: str) -> tuple[int, int, float, np.ndarray, float]:
    """Return how many keys and entries there are, all their weights, each token's mass, and the greatest weight.

    A token's mass are its weights together, with ratings their number.
    """
    weights = block.met.weights
    assert weights is not None
    rows = np.repeat(np.arange(n_tokens), np.diff(block.met.indptr))
    mass = np.bincount(rows, None if loss == "explicit" else weights, n_tokens)
    total = float(np.sum(weights, dtype=np.float64))
    return len(block.seen), len(weights), total, mass, float(weights.max(initial=0))


def _added(one: tuple, other: tuple) -> tuple:
    return (*(a + b for a, b in zip(one[:4], other[:4], strict=True)), max(one[4], other[4]))


def _solved(block: Block, y: np.ndarray, setting: Setting, how: tuple[int, float]) -> np.ndarray:
    n = len(block.seen)
    check_part(4 * n * setting.width, f"vectors of {n:,} keys × {setting.width:,}")
    x = np.zeros((n, setting.width), np.float32)
    model = block.model(y, x, setting)
    with Crew(setting.threads) as crew:
        model.solve(model.keys, model.tokens, how, crew)
    return x


def _solved_keys(block: Block, y: np.ndarray, setting: Setting) -> np.ndarray:
    return _solved(block, y, setting, (_STEPS_FROM_ZERO * setting.options.solver_steps, _TOLERANCE))


def _first_sums(both: tuple[Block, np.ndarray], y: np.ndarray, setting: Setting) -> Sums:
    block, x = both
    model = block.model(y, x, setting)
    equations = model.equations(model.tokens, model.keys)
    lengths = np.einsum("ij,ij->i", x, x)
    penalty = float(np.dot(model.keys.penalty.astype(np.float64), lengths))
    residual, value = _residual(model.tokens, equations.of, y, setting)
    return Sums(residual, gramian_of(x), penalty + value)


def _products(both: tuple[Block, np.ndarray], direction: np.ndarray, setting: Setting) -> np.ndarray:
    """Return Σ w (p·x) x of each token with the direction p."""
    block, x = both
    model = block.model(direction, x, setting)
    equations = model.equations(model.tokens, model.keys)

    def of(rows: slice) -> tuple[np.ndarray, ...]:
        indptr, indices, weights, targets, others = equations.of(rows)
        return indptr, indices, weights, np.zeros_like(targets), others

    return -_residual(model.tokens, of, direction, setting)[0]


def _residual(
    side: Side, equations: Callable[[slice], tuple[np.ndarray, ...]], y: np.ndarray, setting: Setting
) -> tuple[np.ndarray, float]:
    """Return Σ w (t - y·x) x of each token, and Σ w (t - y·x)² of all."""
    made = np.empty_like(y)

    def work(rows: slice) -> float:
        indptr, indices, weights, targets, others = equations(rows)
        some = y[rows]
        image, direction = np.zeros_like(some), np.empty_like(some)
        squares, scales = np.empty((2, len(some)), np.float32)
        none = np.zeros(len(some), np.float32)
        return float(
            kernels_als.begin(
                indptr, indices, weights, targets, others, none, some, image, made[rows], direction, squares, scales
            )
        )

    with Crew(setting.threads) as crew:
        value = sum(crew.do(work, side.parts()))
    return made, value


def _added_sums(one: Sums, other: Sums) -> Sums:
    return Sums(one.residual + other.residual, one.gramian + other.gramian, one.loss + other.loss)


def _added_arrays(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one + other


def _squares(rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))


def _embeddings(
    corpus: PartitionedCorpus, y: np.ndarray, blocks: list[Any], setting: Setting, top: float, losses: list[float]
) -> Embeddings:
    """Return the vectors; keys, solved to the end, where they are brought here."""
    n_named = None if corpus.keys is None else len(corpus.keys)
    x = None
    if n_named is not None:
        x = corpus.engine.reduce(_named_keys, list(zip(blocks, corpus.parts, strict=True)), _stacked,
                                 corpus.engine.broadcast(y), setting)  # fmt: skip
    vectors, context_vectors = y, None
    if setting.explicit:
        none = np.zeros((0, setting.width), np.float32)
        vectors, context_vectors, x = with_offsets(setting.mean, y, none if x is None else x)
        x = x if n_named is not None else None
    return Embeddings.from_corpus(
        corpus,  # type: ignore[arg-type]  # asked for names, counts and histories
        vectors,
        context_vectors=context_vectors,
        key_vectors=x,
        query="ridge",
        arrays={} if setting.explicit else {"gramian": gramian_of(y)},
        config={"fold_in": fold_in(setting.alpha, top, setting.options)},
        losses=losses,
    )


def _named_keys(both: tuple[Block, Corpus], y: np.ndarray, setting: Setting) -> np.ndarray:
    """Return the vectors of a partition's keys, without those of sentences that belong to nobody."""
    block, corpus = both
    return _solved(block, y, setting, UNTIL_SOLVED)[: len(corpus.keys or ())]


def _stacked(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.concatenate((one, other))
