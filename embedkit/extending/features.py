"""From content vectors to the features that a linear map is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LANDMARKS = 1000
WIDTHS = (None, 0.5, 0.15)
"""Widths of the Gaussian bumps that are tried; None is the content alone."""


@dataclass(frozen=True)
class Features:
    """Content vectors less their mean, of length 1, and with a width their likeness to some landmarks too.

    Attributes
    ----------
    centre
        float32 (p), the mean of the content.
    landmarks, whitening
        float32 (m × p) and (m × r), or None: a row x of length 1 becomes exp((x · landmarks - 1) / width) · whitening,
        whose products approximate a Gaussian kernel (Williams and Seeger 2001), beside x itself.
    width
        Of the kernel, or None.
    """

    centre: np.ndarray
    width: float | None = None
    landmarks: np.ndarray | None = None
    whitening: np.ndarray | None = None

    @classmethod
    def of(cls, content: np.ndarray, width: float | None, rng: np.random.Generator) -> Features:
        """Return features for content like this (n × p), landmarks drawn from it."""
        plain = cls(content.mean(axis=0, dtype=np.float64).astype(np.float32))
        if width is None:
            return plain
        landmarks = plain(content[np.sort(rng.permutation(len(content))[:_LANDMARKS])])
        values, vectors = np.linalg.eigh(_bumps(landmarks, landmarks, width).astype(np.float64))
        kept = values > 1e-6 * values.max()
        whitening = (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
        return cls(plain.centre, width, landmarks, whitening)

    def __call__(self, content: np.ndarray) -> np.ndarray:
        """Return float32 features of content vectors (n × p); a vector equal to the mean has no direction: zeros."""
        rows = content - self.centre
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)
        if self.width is None:
            return rows
        assert self.landmarks is not None
        return np.hstack((rows, _bumps(rows, self.landmarks, self.width) @ self.whitening))


def _bumps(rows: np.ndarray, landmarks: np.ndarray, width: float) -> np.ndarray:
    return np.asarray(np.exp((rows @ landmarks.T - 1) / np.float32(width)))
