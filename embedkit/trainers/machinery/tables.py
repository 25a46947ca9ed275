"""Tables of vectors as kernels want them: rows of whole registers that begin on cache lines."""

from __future__ import annotations

import numpy as np

from embedkit.trainers.machinery.kernels_tiles import LANES

_ROWS = 1 << 10


def padded(size: int) -> int:
    """Return how many numbers a row has: the vector size rounded up to whole registers."""
    return -(-size // LANES) * LANES


def empty_table(n: int, size: int) -> np.ndarray:
    """Return zeros: float32 (n × padded size); what is beyond the vector size must stay 0."""
    width = padded(size)
    raw = np.zeros(n * width + 16, np.float32)
    skip = -raw.ctypes.data % 64 // 4
    return raw[skip : skip + n * width].reshape(n, width)


def random_table(n: int, size: int, seed: int, more: int = 0) -> np.ndarray:
    """Return a table with n vectors drawn evenly from ±1 / (2 size), as word2vec begins, and `more` zeros behind."""
    table = empty_table(n + more, size)
    rng = np.random.default_rng(seed)
    for start in range(0, n, _ROWS):
        rows = table[start : min(start + _ROWS, n), :size]
        rows[:] = (rng.random(rows.shape, np.float32) - np.float32(0.5)) / np.float32(size)
    return table


def packed(table: np.ndarray, size: int) -> np.ndarray:
    """Move a table's rows together, without what is beyond `size`, and return them as a matrix in its memory."""
    numbers = table.reshape(-1)
    for start in range(0, len(table), _ROWS):
        rows = table[start : start + _ROWS, :size].copy()
        numbers[start * size : start * size + rows.size] = rows.reshape(-1)
    return numbers[: len(table) * size].reshape(len(table), size)


def finite(table: np.ndarray) -> bool:
    """Tell whether all numbers are finite, in little memory."""
    return all(np.isfinite(table[start : start + _ROWS]).all() for start in range(0, len(table), _ROWS))
