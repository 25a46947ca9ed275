"""How `als` runs: two sides that are solved in turn, each row from the other side's vectors, and what is minimised."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from embedkit.contracts import History, Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.memory import available_bytes, check_fits, smaller
from embedkit.trainers.als import ALSOptions
from embedkit.trainers.factors import kernels_als
from embedkit.trainers.factors.seen import rows_of
from embedkit.trainers.machinery.crew import Crew
from embedkit.trainers.machinery.growth import Known, Tether, anchors
from embedkit.trainers.machinery.needs import n_interactions, n_rows, of_interactions
from embedkit.trainers.machinery.racing import warm_up
from embedkit.trainers.machinery.resuming import losses_of, put_back

_SCALE = 0.1  # standard deviation of a vector's length at the start, as in arXiv 2110.14037
_COST_OF_A_PART = 1 << 20  # numbers of a part's rows and of its entries' vectors: 4 MiB
_WORTH_GATHERING = 1 << 22
_TOLERANCE = 1e-5  # of the right-hand side: about what float32 can tell
_MOST_STEPS = 200
_GRAMIAN = 12  # bytes of each of its numbers: float64, and float32 of what is added to it or solved with
UNTIL_SOLVED = (_MOST_STEPS, _TOLERANCE)


@dataclass(frozen=True)
class Side:
    """The rows of one side: keys or tokens.

    Attributes
    ----------
    entries
        For each row the rows of the other side that it meets; the weights are confidences or ratings.
    penalty
        float32 (n), λ of each row.
    factors
        float32 (n × width), what is learned; with the loss `explicit` the last number is the row's offset.
    """

    entries: History
    penalty: np.ndarray
    factors: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """The weights of the entries, float32."""
        assert self.entries.weights is not None
        return self.entries.weights

    def parts(self) -> list[slice]:
        """Return ranges of rows that are about equally much work."""
        width = self.factors.shape[1]
        cost = (self.entries.indptr + np.arange(len(self.entries) + 1)) * width
        n = max(1, int(cost[-1]) // _COST_OF_A_PART)
        cuts = np.unique(np.searchsorted(cost, np.linspace(0, cost[-1], n + 1))).tolist()
        return [slice(first, last) for first, last in pairwise(cuts)]


@dataclass(frozen=True)
class Equations:
    """For each entry of a side's rows: a weight w and a target t, and for each other row a vector a; x·a is to be t."""

    entries: History
    weights: np.ndarray
    targets: np.ndarray
    others: np.ndarray

    def of(self, rows: slice) -> tuple[np.ndarray, ...]:
        """Return those of some rows, as the kernels take them: indptr, indices, weights, targets, others.

        Where they are few, the vectors are brought together in memory, since each is gone through several times.
        """
        indptr = self.entries.indptr[rows.start : rows.stop + 1]
        entries = slice(indptr[0], indptr[-1])
        indices, others = self.entries.indices[entries], self.others
        if len(indices) * others.shape[1] <= _WORTH_GATHERING:
            indices, others = np.arange(len(indices), dtype=np.int32), others[indices]
        return indptr - indptr[0], indices, self.weights[entries], self.targets[entries], others


@dataclass(frozen=True)
class Factorization:
    """Keys and tokens, and the loss that their vectors minimise.

    With the loss `implicit`, with keys u of vectors x, tokens i of vectors y, and w the weight of an interaction,

        Σ_seen w (1 - x·y)² + α Σ_all (x·y)² + λ Σ_u (w_u + α n_tokens)^ν |x|² + λ Σ_i (w_i + α n_keys)^ν |y|²

    where w_u and w_i are sums of w: Hu, Koren and Volinsky 2008 (ICDM), in the form and with the frequency-scaled
    penalty of Rendle et al. 2021 (arXiv 2110.14037; there w = 1). With `explicit`, where r is the
    rating and m the mean one, with b the offsets of keys and c those of tokens,

        Σ_seen (r - m - b - c - x·y)² + λ Σ_u n_u^ν (|x|² + b²) + λ Σ_i n_i^ν (|y|² + c²)

    (Zhou et al. 2008, AAIM, for ν = 1; offsets as in Koren, Bell and Volinsky 2009).

    Attributes
    ----------
    explicit
        Whether the loss is `explicit`.
    alpha
        α, the weight of what is unobserved; 0 with `explicit`.
    mean
        m; 0 with `implicit`.
    """

    keys: Side
    tokens: Side
    explicit: bool
    alpha: float
    mean: float

    @classmethod
    def of(cls, seen: History, n_tokens: int, options: ALSOptions) -> Factorization:
        """Begin with small random token vectors, and none for keys."""
        explicit = options.loss == "explicit"
        alpha = 0.0 if explicit else options.unobserved_weight
        met = turned(seen, n_tokens)
        start = cls.first_tokens(n_tokens, options)
        width = start.shape[1]
        return cls(
            Side(seen, penalty_of(seen, n_tokens, alpha, options), np.zeros((len(seen), width), np.float32)),
            Side(met, penalty_of(met, len(seen), alpha, options), start),
            explicit,
            alpha,
            float(np.mean(seen.weights, dtype=np.float64)) if explicit and seen.weights is not None else 0.0,
        )

    @staticmethod
    def first_tokens(n_tokens: int, options: ALSOptions) -> np.ndarray:
        """Return the small random vectors that tokens begin with."""
        explicit = options.loss == "explicit"
        width = options.vector_size - explicit
        rng = np.random.default_rng(options.seed)
        start = rng.standard_normal((n_tokens, width), np.float32) * np.float32(_SCALE / np.sqrt(width))
        if explicit:
            start[:, -1] = 0
        return start

    def solve(self, side: Side, other: Side, how: tuple[int, float], crew: Crew) -> float:
        """Improve one side's vectors by at most so many steps, or until within a tolerance; the other side's stay.

        Returns the part of the loss that this side has a say in: all but the other side's penalty.
        """
        equations = self.equations(side, other)
        gramian = (self.alpha * gramian_of(other.factors)).astype(np.float32)

        def work(rows: slice) -> float:
            x, penalty = side.factors[rows], side.penalty[rows]
            indptr, indices, weights, targets, others = equations.of(rows)
            residual, direction = np.empty_like(x), np.empty_like(x)
            squares, scales = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
            image = x @ gramian
            state = x, image, residual, direction, squares, scales
            value = kernels_als.begin(indptr, indices, weights, targets, others, penalty, *state)
            for _ in range(how[0]):
                np.matmul(direction, gramian, out=image)
                moved, gain = kernels_als.advance(indptr, indices, weights, others, penalty, *state, how[1])
                value -= gain
                if not moved:
                    break
            return float(value)

        return sum(crew.do(work, side.parts()))

    def epoch(self, steps: int, crew: Crew) -> float:
        """Improve keys, then tokens; return the loss per weight (with `explicit`, per rating)."""
        self.solve(self.keys, self.tokens, (steps, _TOLERANCE), crew)
        lengths = np.einsum("ij,ij->i", self.keys.factors, self.keys.factors)
        penalty = float(np.dot(self.keys.penalty.astype(np.float64), lengths))
        total = penalty + self.solve(self.tokens, self.keys, (steps, _TOLERANCE), crew)
        weights = self.keys.weights
        return total / (len(weights) if self.explicit else float(np.sum(weights, dtype=np.float64)))

    def equations(self, side: Side, other: Side) -> Equations:
        """Return what one side's vectors are to fulfil, given the other's."""
        if not self.explicit:
            return Equations(side.entries, side.weights, np.ones_like(side.weights), other.factors)
        others = other.factors.copy()
        others[:, -1] = 1
        targets = side.weights - np.float32(self.mean) - other.factors[side.entries.indices, -1]
        return Equations(side.entries, np.ones_like(targets), targets, others)


def learn(corpus: Corpus, options: ALSOptions, run: Run) -> Embeddings:
    """Learn by alternating least squares; see `Factorization`.

    Raises
    ------
    EmbedkitError
        If there are fewer than two keys (or sentences) or tokens, ratings are asked for and there are none, or the
        vectors are not finite.
    """
    if options.loss == "explicit" and corpus.weights is None:
        raise EmbedkitError("--loss explicit predicts ratings, and there are none; name them with --weight-column.")
    _check_memory(corpus, options, run)
    seen = rows_of(corpus, "mean" if options.loss == "explicit" else options.weighting)
    model = Factorization.of(seen, len(corpus.tokens), options)
    _compile(model, run)
    tether = _grow(model, corpus, run)
    losses: list[float] = []

    def result() -> Embeddings:
        return _embeddings(corpus, model, options, list(losses))

    def state() -> dict[str, np.ndarray]:
        factors = {"keys": model.keys.factors, "tokens": model.tokens.factors}
        return {"losses": np.array(losses), **factors, **anchors([tether])}

    if run.state is not None:
        put_back(run.state, {name: array for name, array in state().items() if name != "losses"})
        losses[:] = losses_of(run.state, options.epochs)
    with Crew(options.workers, _progress(run, model, options.epochs, result)) as crew:
        for _ in range(len(losses), options.epochs):
            losses.append(model.epoch(options.solver_steps, crew))
            tether.pull()
            if not np.isfinite(losses[-1]):
                raise EmbedkitError("the vectors grew beyond all bounds; raise --regularization.")
            if not run.epoch_done(losses[-1], result):
                break
            run.keep_state(state, epoch_over=True)
    return result()


def _grow(model: Factorization, corpus: Corpus, run: Run) -> Tether:
    """Begin with the factors of `run.start`, if any, and return what holds those of tokens back."""
    tokens = Known.tokens(corpus, run)
    if run.start is not None:
        width = model.tokens.factors.shape[1]
        if run.start.key_vectors is not None and corpus.keys is not None:
            keys = Known.of(corpus.keys, run.start.keys)
            keys.put(model.keys.factors, run.start.key_vectors[:, :width])
        tokens.put(model.tokens.factors, run.start.vectors[:, :width])
        if model.explicit:
            model.tokens.factors[tokens.now, -1] = run.start.targets[tokens.before, -1] - np.float32(model.mean)
    return Tether(model.tokens.factors, tokens.now, run.drift)


def _check_memory(corpus: Corpus, options: ALSOptions, run: Run) -> None:
    """Refuse vectors that do not fit: those of keys and tokens twice, and once more with their offsets; the gramian."""
    n_tokens, n_keys, n = len(corpus.tokens), n_rows(corpus), n_interactions(corpus, run)
    rest = of_interactions(n)
    a_number = 4 * (4 * n_tokens + 3 * n_keys if options.loss == "explicit" else 2 * (n_tokens + n_keys))
    available = available_bytes()
    half = a_number / (2 * _GRAMIAN)
    fits = 0 if available is None else int(math.sqrt(half**2 + max(0, available - rest) / _GRAMIAN) - half)
    check_fits(
        a_number * options.vector_size + _GRAMIAN * options.vector_size**2 + rest,
        f"vectors of {n_tokens:,} tokens and {n_keys:,} rows × {options.vector_size:,} from {n:,} interactions",
        smaller(fits, "take fewer interactions"),
    )


def _embeddings(corpus: Corpus, model: Factorization, options: ALSOptions, losses: list[float]) -> Embeddings:
    """Return a copy of the vectors; those of keys are solved to the end, so that folding in gives the same."""
    tokens = replace(model.tokens, factors=model.tokens.factors.copy())
    keys = replace(model.keys, factors=model.keys.factors.copy())
    with Crew(options.workers) as crew:
        model.solve(keys, tokens, UNTIL_SOLVED, crew)
        gramian = gramian_of(tokens.factors)
    vectors, context_vectors, of_keys = tokens.factors, tokens.factors, keys.factors
    if model.explicit:
        vectors, context_vectors, of_keys = with_offsets(model.mean, tokens.factors, keys.factors)
    return Embeddings.from_corpus(
        corpus,
        vectors,
        context_vectors=context_vectors if model.explicit else None,
        key_vectors=None if corpus.keys is None else of_keys[: len(corpus.keys)],
        query="ridge",
        arrays={} if model.explicit else {"gramian": gramian},
        config={"fold_in": fold_in(model.alpha, float(model.keys.weights.max()), options)},
        losses=losses,
    )


def with_offsets(mean: float, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors y 0 0, context vectors y 1 c+m and key vectors x b 1, whose products are ratings."""
    zeros, ones = (np.full((len(y), 1), number, np.float32) for number in (0, 1))
    vectors = np.hstack((y[:, :-1], zeros, zeros))
    context_vectors = np.hstack((y[:, :-1], ones, y[:, -1:] + np.float32(mean)))
    return vectors, context_vectors, np.hstack((x, np.ones((len(x), 1), np.float32)))


def fold_in(alpha: float, top_rating: float, options: ALSOptions) -> dict[str, Any]:
    """Return what is to be known to make a vector of a history."""
    return {
        "loss": options.loss,
        "weighting": options.weighting,
        "unobserved_weight": alpha,
        "regularization": options.penalty,
        "regularization_exponent": options.regularization_exponent,
        "top_rating": top_rating,
    }


def turned(entries: History, n_others: int) -> History:
    """Return the same entries by the other side's rows."""
    order = np.argsort(entries.indices, kind="stable")
    rows = np.repeat(np.arange(len(entries), dtype=np.int32), np.diff(entries.indptr))
    counts = np.bincount(entries.indices, minlength=n_others)
    weights = None if entries.weights is None else entries.weights[order]
    return History(np.concatenate((np.zeros(1, np.int64), np.cumsum(counts))), rows[order], weights)


def penalty_of(entries: History, n_others: int, alpha: float, options: ALSOptions) -> np.ndarray:
    """Return λ (mass + α n_others)^ν of each row, where mass is the sum of its weights, or its number of ratings."""
    rows = np.repeat(np.arange(len(entries)), np.diff(entries.indptr))
    weights = None if options.loss == "explicit" else entries.weights
    mass = np.bincount(rows, weights, len(entries)) + alpha * n_others
    return (options.penalty * mass**options.regularization_exponent).astype(np.float32)


def gramian_of(factors: np.ndarray) -> np.ndarray:
    """Return factorsᵀ factors, float64 (width × width), summed in blocks so that little is lost."""
    gramian = np.zeros((factors.shape[1], factors.shape[1]))
    for first in range(0, len(factors), 4096):
        block = factors[first : first + 4096]
        gramian += block.T @ block
    return gramian


def _compile(model: Factorization, run: Run) -> None:
    """Solve the factorization of a single entry, so that the kernels are compiled."""
    entries = History(np.arange(2, dtype=np.int64), np.zeros(1, np.int32), np.ones(1, np.float32))
    side = Side(entries, np.ones(1, np.float32), np.zeros((1, model.tokens.factors.shape[1]), np.float32))
    single = replace(model, keys=side, tokens=side)

    def compile_kernels() -> None:
        with Crew(1) as crew:
            single.solve(side, side, (1, 0.0), crew)

    warm_up(compile_kernels, run)


def _progress(run: Run, model: Factorization, epochs: int, snapshot: Callable[[], Embeddings]) -> Callable[[int], None]:
    """Return what a crew calls to tell how far it is."""
    total = epochs * (len(model.keys.parts()) + len(model.tokens.parts()))
    done = 0 if run.state is None else len(run.state["losses"]) * (total // epochs)

    def watch(parts: int) -> None:
        nonlocal done
        done = min(done + parts, total)
        run.progress(done, total, unit="parts", snapshot=snapshot)

    return watch
