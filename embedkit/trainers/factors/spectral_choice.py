"""How `spectral` chooses those of its options that were not given: by what foretells held-out interactions best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embedkit import queries
from embedkit.contracts import History, QueryContext, Run
from embedkit.queries import interactions
from embedkit.trainers.factors.holdout import HoldOut
from embedkit.trainers.factors.spectral_factors import Standing, normalized, vectors_of
from embedkit.trainers.factors.subspace import Subspace, n_parts
from embedkit.trainers.machinery.crew import Crew, slices
from embedkit.trainers.spectral import SpectralOptions

FIXED = {
    "recency_exponent": 0.0,
    "shrinkage": 0.1,
    "prior": 0.0,
    "trend": 0.0,
    "leverage_discount": 0.1,
}
"""The values of these options where nothing can be held out; the search begins with them."""

_STEPS: dict[str, tuple[float, ...]] = {
    "recency_exponent": (0, 0.25, 0.5, 0.75, 1),
    "shrinkage": (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 2),
    "prior": (0, 0.3, 1, 3, 10),
    "trend": (0, 0.5, 1),
    "leverage_discount": (0, 0.1, 0.2),
}
_SIZE = 512  # numbers in the vectors that are compared: enough to tell options apart
_ITERATIONS = 2
_OVERSAMPLING = 32
_ROUNDS = 2  # through all options: what is best for one depends on the others
_TRIALS = 4  # of an option, about
_BETTER = 1.001  # below that, a gain is taken for chance
_CUTOFF = 20
_SCORES = 1 << 22  # of a part


def to_choose(options: SpectralOptions) -> list[str]:
    """Return the names of the options that were not given."""
    return [name for name in FIXED if getattr(options, name) is None]


def trial_width(n_tokens: int, size: int) -> int:
    """Return how many directions are looked for to compare options."""
    return min(min(size, _SIZE) + _OVERSAMPLING, n_tokens)


def parts_of_choice(asked: HoldOut, n_tokens: int, size: int, options: SpectralOptions) -> int:
    """Return of how many parts of work a choice consists, about."""
    width = trial_width(n_tokens, size)
    trial = len(_parts(asked, n_tokens)) + n_tokens // 4096 + 1
    return n_parts(n_tokens, width, _ITERATIONS) + _TRIALS * len(to_choose(options)) * trial


def choose(
    asked: HoldOut | None,
    n_tokens: int,
    size: int,
    options: SpectralOptions,
    crew: Crew,
    run: Run,
    learned: tuple[Subspace, Standing] | None = None,
) -> SpectralOptions:
    """Return the options with every choice made: one after the other takes steps that raise NDCG on what is held out.

    Parameters
    ----------
    asked
        What is held out; None where too little could be, so that fixed values are taken.
    size
        How many numbers the vectors will have.
    learned
        The directions of what is not held out, of width `trial_width`, and how popular tokens are there; learned from
        the rows of `asked` where None.
    """
    names = to_choose(options)
    start = _with(options, {name: FIXED[name] for name in names})
    if asked is None or not names:
        if names:
            run.say(f"Too few histories to choose options on; taken: {_told(start, names)}.")
        return start
    if not asked.in_order:
        names = [name for name in names if name != "recency_exponent"]
    if asked.rows.times is None:
        names = [name for name in names if name != "trend"]
    if size == 1:
        names = [name for name in names if name != "prior"]
    trial = _Trial.of(asked, n_tokens, min(size, _SIZE), options, crew, learned)
    best = _climb(trial, start, names)
    run.say(
        f"Chosen on {len(asked.asked):,} histories with a part held out: {_told(best, names)} "
        f"(NDCG@{_CUTOFF} there {trial(best):.4f}, with the fixed values {trial(start):.4f})."
    )
    return best


def _climb(trial: _Trial, start: SpectralOptions, names: list[str]) -> SpectralOptions:
    best = start
    for _ in range(_ROUNDS):
        before = best
        for name in names:
            best = _best_step(trial, best, name)
        if best == before:
            break
    return best


def _best_step(trial: _Trial, at: SpectralOptions, name: str) -> SpectralOptions:
    """Return the options with one of them moved up or down its steps for as long as that helps."""
    steps = _STEPS[name]
    place = steps.index(getattr(at, name))
    for direction in (1, -1):
        moved = False
        while 0 <= place + direction < len(steps):
            other = _with(at, {name: steps[place + direction]})
            if trial(other) <= trial(at) * _BETTER:
                break
            at, place, moved = other, place + direction, True
        if moved:
            break
    return at


@dataclass(frozen=True)
class _Trial:
    """Singular vectors of what was not held out, and how well options do with them, remembered."""

    asked: HoldOut
    seen: History
    values: np.ndarray
    singular: np.ndarray
    standing: Standing
    crew: Crew
    known: dict[SpectralOptions, float]

    @classmethod
    def of(
        cls, asked: HoldOut, n_tokens: int, size: int, options: SpectralOptions, crew: Crew,
        learned: tuple[Subspace, Standing] | None,
    ) -> _Trial:  # fmt: skip
        seen = interactions(asked.rows, options.weighting)
        if learned is None:
            matrix, _ = normalized(seen, n_tokens, options.key_exponent, options.token_exponent)
            learned = (
                Subspace.of(matrix, n_tokens, trial_width(n_tokens, size), options.seed, crew),
                Standing.of(seen, asked.rows, n_tokens, options.trend_window),
            )
        subspace, standing = learned
        for _ in range(_ITERATIONS - 1):
            subspace = subspace.sharpened(crew)
        values, singular = subspace.singular_vectors(min(size, n_tokens), crew)
        return cls(asked, seen, values, singular, standing, crew, {})

    def __call__(self, options: SpectralOptions) -> float:
        """Return the mean NDCG of the rows that are asked, each token ranked, a row's own left out."""
        if options not in self.known:
            made = vectors_of(self.values, self.singular, self.standing, options, self.crew)
            fold_in = {"weighting": options.weighting, "recency_exponent": options.recency_exponent}
            context = QueryContext(
                made.vectors, made.context_vectors, None, {"prior": made.prior}, {"fold_in": fold_in}
            )
            query = queries.spectral(self.asked.rows.take(self.asked.asked), context)
            parts = _parts(self.asked, len(self.singular))
            gains = self.crew.do(lambda rows: self._gains(query, made.context_vectors, rows), parts)
            self.known[options] = float(np.mean(np.concatenate(gains)))
        return self.known[options]

    def _gains(self, query: np.ndarray, vectors: np.ndarray, rows: slice) -> np.ndarray:
        """Return the NDCG of some of the rows that are asked."""
        scores = query[rows] @ vectors.T
        gains = np.empty(len(scores))
        for i, line in enumerate(scores):
            row, wanted = self.asked.asked[rows.start + i], self.asked.targets[rows.start + i]
            line[self.seen.indices[self.seen.indptr[row] : self.seen.indptr[row + 1]]] = -np.inf
            gains[i] = _ndcg(line, wanted)
        return gains


def _parts(asked: HoldOut, n_tokens: int) -> list[slice]:
    return slices(len(asked.asked), max(1, _SCORES // n_tokens))


def _ndcg(scores: np.ndarray, wanted: np.ndarray) -> float:
    """Return NDCG@20 of one row; a target ranks behind all that score as high."""
    worth = 1 / np.log2(2 + np.arange(_CUTOFF))
    least = np.partition(scores, -_CUTOFF)[-_CUTOFF] if len(scores) > _CUTOFF else -np.inf
    first = scores[scores >= least]
    ranks = np.array([(first >= score).sum() for score in scores[wanted] if score >= least], np.int64)
    found = ranks[ranks <= _CUTOFF]
    return float(worth[found - 1].sum() / worth[: min(len(wanted), _CUTOFF)].sum())


def _with(options: SpectralOptions, values: Mapping[str, Any]) -> SpectralOptions:
    return replace(options, **values)


def _told(options: SpectralOptions, names: list[str]) -> str:
    return ", ".join(f"{name} {getattr(options, name):g}" for name in names)
