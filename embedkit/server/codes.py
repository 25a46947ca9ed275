"""Vectors as bytes, and what the bytes leave out: enough to tell which scores are worth working out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

_STEPS = 127
_BLOCK = 1 << 14
_ROUNDING = np.float32(1e-5)  # of the product of two lengths: more than float32 sums of some thousand numbers lose


@dataclass(frozen=True)
class Codes:
    """Vectors as whole numbers from -127 to 127, each vector by a step of its own.

    For a vector v = s c + r of codes c, step s and rest r, and a query q = s' c' + r', the score is

        v . q = s s' (c . c') + r . q + s c . r'  <=  s s' (c . c') + |r| |q| + |s c| |r'|        (Cauchy and Schwarz)

    Attributes
    ----------
    codes
        int8 (n × vector_size, filled up to a multiple of 4 with zeros).
    about
        float32 (n × 4): 128 · the sum of the codes, s, |r| and |s c|.
    longest
        The greatest length of a vector.
    """

    WIDEST: ClassVar[int] = 60_000
    """The greatest vector_size for which sums of products stay within 32 bits."""

    codes: np.ndarray
    about: np.ndarray
    longest: float

    @staticmethod
    def bytes_for(n: int, size: int) -> int:
        """Return how much memory the codes of `n` vectors of `size` numbers take."""
        return n * (_filled(size) + 16)

    @classmethod
    def of(cls, vectors: np.ndarray) -> Self:
        """Encode `vectors` (n × d)."""
        n, size = vectors.shape
        codes = np.zeros((n, _filled(size)), np.int8)
        about = np.empty((n, 4), np.float32)
        longest = 0.0
        for start in range(0, n, _BLOCK):
            block = slice(start, start + _BLOCK)
            found, steps, rests = _encode(vectors[block])
            codes[block, :size] = found
            lengths = np.linalg.norm(vectors[block].astype(np.float64), axis=1)
            about[block, 0] = 128 * found.sum(axis=1, dtype=np.int64)
            about[block, 1] = steps
            about[block, 2] = rests + _ROUNDING * lengths
            about[block, 3] = lengths + rests
            longest = max(longest, float(lengths.max()))
        return cls(codes, about, longest)

    def scaled(self, scale: np.ndarray) -> Self:
        """Return the codes of vectors whose scores are multiplied by `scale` (n); they share their memory."""
        about = self.about * np.where(np.arange(4) > 0, scale[:, None], 1).astype(np.float32)
        return type(self)(self.codes, about, float(about[:, 3].max(initial=0)))

    def asked(self, queries: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return queries (rows × d) as `best_by_codes` takes them, as `width` of them."""
        rows, size = queries.shape
        found, steps, rests = _encode(queries)
        codes = np.full((self.codes.shape[1], width), 128, np.uint8)
        codes[:size, :rows] = found.T.astype(np.int16) + 128
        lanes = np.zeros((3, width), np.float32)
        lanes[:, :rows] = steps, np.linalg.norm(queries.astype(np.float64), axis=1), rests
        fours = codes.reshape(-1, 4, width).transpose(0, 2, 1)
        return np.ascontiguousarray(fours), lanes


def _encode(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return codes (int8), steps and the lengths of what the codes leave out (float64)."""
    exact = vectors.astype(np.float64)
    # As float32, since that is what the kernel multiplies with.
    steps = (np.abs(exact).max(axis=1) / _STEPS).astype(np.float32).astype(np.float64)
    codes = np.rint(np.divide(exact, steps[:, None], out=np.zeros_like(exact), where=steps[:, None] > 0))
    codes = codes.clip(-_STEPS, _STEPS)
    rests = np.linalg.norm(exact - codes * steps[:, None], axis=1)
    return codes.astype(np.int8), steps, rests


def _filled(size: int) -> int:
    return -(-size // 4) * 4
