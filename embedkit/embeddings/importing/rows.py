"""Matrices larger than memory: gathered in a temporary file, gone through block by block."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import numpy as np

from embedkit.errors import ModelError

_BLOCK = 1 << 24  # bytes


class Rows:
    """float32 rows gathered in a temporary file without a name, which is gone when the matrix over it is."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="embedkit-")  # noqa: SIM115 - closed on exit
        self._n = 0
        self._width = 0

    def __enter__(self) -> Rows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, block: np.ndarray) -> None:
        """Add rows of any real type; all have as many columns as the first. What float32 cannot hold becomes infinite.

        Raises
        ------
        ModelError
            If the temporary folder has no room for them.
        """
        with np.errstate(over="ignore"):
            converted = np.ascontiguousarray(block, np.float32)
        with _told():
            self._file.write(converted.data.cast("B"))
        self._n += len(converted)
        self._width = converted.shape[1]

    def matrix(self) -> np.ndarray:
        """Return what was gathered, as a memory-mapped matrix (n × d); raises as `append` does."""
        with _told():
            self._file.flush()
        return np.memmap(self._file, np.float32, "r", shape=(self._n, self._width))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        told = f"the folder for temporary files, {tempfile.gettempdir()}, cannot take the vectors: {error.strerror}"
        raise ModelError(f"{told}; free some space, or name another in the variable TMPDIR.") from error


def block_height(row_bytes: int) -> int:
    """Return how many rows of that size make a block."""
    return max(1, _BLOCK // max(1, row_bytes))


def blocks_of(matrix: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a matrix in blocks of rows, of some megabytes each."""
    height = block_height(matrix.shape[1] * matrix.dtype.itemsize)
    for start in range(0, len(matrix), height):
        yield matrix[start : start + height]


def first_not_finite(matrix: np.ndarray) -> int:
    """Return the first row that holds NaN or an infinite number, or -1."""
    start = 0
    for block in blocks_of(matrix):
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            return start + int(np.argmin(finite))
        start += len(block)
    return -1


def unit_rows(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the rows scaled to length 1, and how many are zero and stay so."""
    zeros = 0
    with Rows() as rows:
        for block in blocks_of(matrix):
            lengths = np.linalg.norm(block.astype(np.float64), axis=1)
            zeros += int((lengths == 0).sum())
            lengths[lengths == 0] = 1
            rows.append(block / lengths[:, None])
        return rows.matrix(), zeros
