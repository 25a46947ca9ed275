"""Ridge regression in closed form, its regularisation chosen by the exact leave-one-out error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_BLOCK = 1 << 12  # rows
_SAMPLE = 3000
_STRENGTHS = 10.0 ** np.arange(-6, 2.1, 0.5)  # of the largest eigenvalue


@dataclass(frozen=True)
class RidgeMap:
    """A linear map with an offset, and what it is known to be worth.

    Attributes
    ----------
    loadings, offset
        float64 (r × d) and (d): what projections on the axes of a `Decomposition` are multiplied by, and then added.
    shrunken
        float64 (r), 1 / (s² + λ) for each axis of singular value s.
    regularization
        λ, relative to the largest s².
    explained
        The share of the targets' variance that is predicted for rows left out in turn; negative: worse than the mean.
    """

    loadings: np.ndarray
    offset: np.ndarray
    shrunken: np.ndarray
    regularization: float
    explained: float


class Decomposition:
    """The principal axes of features, from which maps to any targets follow.

    With X = U S Vᵀ the prediction for a row that is left out is y - (y - ŷ) / (1 - h), h its leverage
    Σ u² s² / (s² + λ) (Allen 1974; Golub, Heath and Wahba 1979), so one decomposition serves every λ.

    Parameters
    ----------
    features
        float32 (n × p).
    weights
        float64 (n), how much a row counts; their mean is 1.
    rng
        Draws the rows on which the leave-one-out error is taken, where there are many.
    """

    def __init__(self, features: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        self.weights = weights
        self.centre = np.asarray(weights @ features / len(features))
        # With fewer rows than features leverages come so close to 1 that float32 does not tell them from it.
        self._precision = np.float64 if len(features) < features.shape[1] else np.float32
        self.values, self.axes = _principal_axes(features, self.centre, weights)
        self.projected = self.project(features)
        self._sample = np.sort(rng.permutation(len(features))[:_SAMPLE])

    def project(self, features: np.ndarray) -> np.ndarray:
        """Return features on the axes: float32 (n × r), float64 where they were fitted to fewer rows than features."""
        return np.asarray((features - self.centre) @ self.axes, self._precision)

    def fit(self, targets: np.ndarray) -> RidgeMap:
        """Return the map to targets (n × d), with the λ of the least leave-one-out error."""
        offset = self.weights @ targets / len(targets)
        products = np.zeros((len(self.values), targets.shape[1]))
        for rows in _row_blocks(len(targets)):
            products += self.projected[rows].T @ (self.weights[rows, None] * (targets[rows] - offset))
        wanted = targets[self._sample] - offset
        weights = self.weights[self._sample]
        errors = []
        for strength in _STRENGTHS * self.values[0]:
            shrunken = 1 / (self.values + strength)
            residuals = wanted - self.projected[self._sample] @ (shrunken[:, None] * products)
            residuals /= (1 - self._leverage(shrunken)[self._sample])[:, None]
            errors.append(float(weights @ (residuals**2).sum(axis=1)))
        best = int(np.argmin(errors))
        variance = float(weights @ (wanted**2).sum(axis=1))
        shrunken = 1 / (self.values + _STRENGTHS[best] * self.values[0])
        explained = 1 - errors[best] / variance if variance > 0 else 0.0
        return RidgeMap(shrunken[:, None] * products, offset, shrunken, float(_STRENGTHS[best]), explained)

    def predict(self, found: RidgeMap, features: np.ndarray) -> np.ndarray:
        """Return predictions for new features: float32 (n × d)."""
        return np.asarray(self.project(features) @ found.loadings + found.offset, np.float32)

    def left_out(self, found: RidgeMap, targets: np.ndarray) -> np.ndarray:
        """Return what is predicted for each of the rows that were fitted when it is left out: float32 (n × d)."""
        kept = (1 - self._leverage(found.shrunken)).astype(self._precision)
        predicted = np.asarray(self.projected @ found.loadings + found.offset, self._precision)
        return np.asarray(targets - (targets - predicted) / kept[:, None], np.float32)

    def _leverage(self, shrunken: np.ndarray) -> np.ndarray:
        """Return how much each row pulls its own prediction, the offset's share among it; below 1."""
        pull = self.projected**2 @ shrunken + 1 / len(self.projected)
        return np.asarray(np.minimum(self.weights * pull, 1 - 1e-9))


def _principal_axes(features: np.ndarray, centre: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared singular values of the weighted centred features, largest first, and their right vectors."""
    n, p = features.shape
    if n < p:
        scaled = (features.astype(np.float64) - centre) * np.sqrt(weights)[:, None]
        values, kept, left = _largest(scaled @ scaled.T)
        return values, scaled.T @ left[:, kept] / np.sqrt(values)
    gramian = np.zeros((p, p))
    for rows in _row_blocks(n):
        block = (features[rows].astype(np.float64) - centre) * np.sqrt(weights[rows])[:, None]
        gramian += block.T @ block
    values, kept, axes = _largest(gramian)
    return values, axes[:, kept]


def _largest(gramian: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the eigenvalues that are not zero but for rounding, largest first, their columns, and all vectors."""
    values, vectors = np.linalg.eigh(gramian)
    order = np.argsort(-values)
    kept = order[values[order] > max(values.max(), 1e-30) * 1e-10]
    kept = kept if len(kept) else order[:1]
    return np.maximum(values[kept], 1e-30), kept, vectors


def _row_blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))
