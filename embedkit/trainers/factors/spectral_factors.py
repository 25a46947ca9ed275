"""The arithmetic of `spectral`: the matrix that is decomposed, and vectors made of its singular vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from embedkit.contracts import History
from embedkit.trainers.machinery.crew import Crew, slices
from embedkit.trainers.machinery.growth import Known
from embedkit.trainers.spectral import SpectralOptions

_LEAST_LEVERAGE = 1e-9
_FEW = 0.1  # of an average token's interactions: with fewer, a trend says little
_ROWS = 4096


@dataclass(frozen=True)
class Popularity:
    """Sums over histories for each token, float64 (n_tokens).

    Attributes
    ----------
    totals
        The weights of its interactions.
    usual
        Its occurrences.
    recent
        Its occurrences, each counting the less the more came after it; None where there are no times. Of a part of the
        histories, drawn by key, those that come after are a share like any other, so that parts add up.
    """

    totals: np.ndarray
    usual: np.ndarray
    recent: np.ndarray | None

    @classmethod
    def of(cls, seen: History, rows: History, n_tokens: int, window: float) -> Popularity:
        """Count interactions, and their occurrences in `rows`, which halve in worth over a `window` of all of them."""
        totals = np.bincount(seen.indices, seen.weights, n_tokens)
        usual = np.bincount(rows.indices, minlength=n_tokens).astype(np.float64)
        if rows.times is None:
            return cls(totals, usual, None)
        later = len(rows.times) - np.searchsorted(np.sort(rows.times), rows.times, side="right")
        recent = np.bincount(rows.indices, np.exp2(-later / (window * len(rows.times))), n_tokens)
        return cls(totals, usual, recent)

    def plus(self, other: Popularity) -> Popularity:
        """Return the sums over the histories of both."""
        recent = None if self.recent is None or other.recent is None else self.recent + other.recent
        return Popularity(self.totals + other.totals, self.usual + other.usual, recent)


@dataclass(frozen=True)
class Standing:
    """How popular tokens are; float64 arrays (n_tokens).

    Attributes
    ----------
    totals
        The weights of a token's interactions together; that of the lightest token stands for those without any.
    recent
        Occurrences, each counting the less the more came after it, as a share of the greatest such sum.
    trend
        The share of recent occurrences over the share of all; 1 where there are no times.
    """

    totals: np.ndarray
    recent: np.ndarray
    trend: np.ndarray

    @classmethod
    def of(cls, seen: History, rows: History, n_tokens: int, window: float) -> Standing:
        """Count interactions, and their occurrences in `rows`, which halve in worth over a `window` of all of them."""
        return cls.from_sums(Popularity.of(seen, rows, n_tokens, window))

    @classmethod
    def from_sums(cls, sums: Popularity) -> Standing:
        """Set sums over all histories in proportion."""
        totals, usual, recent = sums.totals.copy(), sums.usual, sums.recent
        totals[totals == 0] = totals[totals > 0].min()
        if recent is None:
            return cls(totals, usual / usual.max(), np.ones(len(totals)))
        trend = (recent / recent.mean() + _FEW) / (usual / usual.mean() + _FEW)
        return cls(totals, recent / recent.max(), trend)


class Vectors(NamedTuple):
    """float32: vectors and context vectors (n_tokens × vector_size), and what is added to each query (vector_size)."""

    vectors: np.ndarray
    context_vectors: np.ndarray
    prior: np.ndarray


def normalized(seen: History, n_tokens: int, key_exponent: float, token_exponent: float) -> tuple[History, float]:
    """Return N = D_k^-a R D_t^-b, D_k and D_t being the totals of R's rows and columns, divided by its greatest entry.

    Where no entry is above 1, float32 holds products of products. The second value is what N was divided by.

    With a = b = ½ it is the normalised adjacency of a bipartite graph (Dhillon 2001, KDD, for co-clustering; Shen et
    al. 2021, arXiv 2108.07567, for recommendations). That the exponents are free is embedkit's own.
    """
    rows = np.repeat(np.arange(len(seen)), np.diff(seen.indptr))
    of_keys = np.bincount(rows, seen.weights, len(seen))
    of_tokens = np.bincount(seen.indices, seen.weights, n_tokens)
    scale = of_keys[rows] ** -key_exponent * of_tokens[seen.indices] ** -token_exponent
    values = seen.weights * scale
    greatest = float(values.max())
    return History(seen.indptr, seen.indices, (values / greatest).astype(np.float32)), greatest


def put_directions(
    block: np.ndarray, known: Known, vectors: np.ndarray, standing: Standing, options: SpectralOptions
) -> None:
    """Put the directions of the singular vectors that a model's vectors were made of into a block's first columns.

    Parameters
    ----------
    block
        float32 (n_tokens × width), random; its columns keep their length, about, and new tokens their rows' zeros.
    vectors
        float32, those of the tokens of before, as `vectors_of` makes them: V f D^-b. Where a column is 0 throughout, as
        that of the prior, the random one stays.
    """
    size = min(vectors.shape[1], block.shape[1])
    told = np.array(vectors[known.before, :size]) * (standing.totals[known.now] ** options.token_exponent)[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->j", told, told))
    found = np.flatnonzero(lengths)
    block[:, found] = 0
    block[known.now[:, None], found] = told[:, found] * (np.sqrt(len(block)) / lengths[found])


def vectors_of(
    values: np.ndarray, singular: np.ndarray, standing: Standing, options: SpectralOptions, crew: Crew
) -> Vectors:
    """Return the vectors that singular values s and right singular vectors V of N make of the tokens.

    A query is the sum of d^-b V f over a history, so the scores R D^-b V f Vᵀ D^b are those of N's low-rank image with
    the normalisation of tokens taken back and singular values shrunken by f = s^p / (s^p + (λ s₁²)^(p/2)), which for
    p = 2 is the factor s² / (s² + λ s₁²) of ridge regression on all tokens (EASE without its zero diagonal, Steck 2019,
    arXiv 1905.03375). What is recommended is then multiplied by r^τ d^-δ h^-γ: r is the token's trend, d its total,
    h = Σ f V² its leverage, the share of its score that it gives to itself.

    With a prior κ > 0 the last number is no singular vector's: context vectors hold the token's recent popularity
    there, times the mean score that a history's tokens give themselves, and a query holds κ. All but f is embedkit's
    own.
    """
    power = float(options.shrinkage_power)
    grown = values.astype(np.float64) ** power
    pivot = (_given(options.shrinkage) * float(values[0]) ** 2) ** (power / 2)
    factors = np.divide(grown, grown + pivot, out=np.zeros_like(grown), where=grown > 0).astype(np.float32)
    prior = np.zeros(len(values), np.float32)
    if options.prior:
        factors[-1], prior[-1] = 0, options.prior
    vectors, context_vectors = np.empty_like(singular), np.empty_like(singular)
    own = np.empty(len(singular))

    def work(rows: slice) -> None:
        some, totals = singular[rows], standing.totals[rows]
        leverage = np.maximum(np.einsum("ij,ij,j->i", some, some, factors, optimize=True), _LEAST_LEVERAGE)
        out = totals ** (options.token_exponent - options.popularity_discount)
        out *= leverage ** -_given(options.leverage_discount) * standing.trend[rows] ** _given(options.trend)
        np.multiply(some * factors, (totals**-options.token_exponent).astype(np.float32)[:, None], out=vectors[rows])
        np.multiply(some, out.astype(np.float32)[:, None], out=context_vectors[rows])
        own[rows] = np.einsum("ij,ij->i", vectors[rows], context_vectors[rows])

    crew.do(work, slices(len(singular), _ROWS))
    if options.prior:
        context_vectors[:, -1] = standing.recent * np.average(own, weights=standing.totals)
    return Vectors(vectors, context_vectors, prior)


def _given(value: float | None) -> float:
    """Return an option that has been chosen by now."""
    assert value is not None
    return value
