"""Columns of numbers that are written end to end to a file and then read as a memory map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from embedkit.errors import EmbedkitError


class Column:
    """A file of numbers of one dtype, open for appending."""

    def __init__(self, path: Path, dtype: type) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._file = path.open("wb")
        self.length = 0

    def append(self, values: np.ndarray) -> None:
        """Write `values` behind what is there.

        Raises
        ------
        EmbedkitError
            If the disk is full or the file cannot be written.
        """
        with self._told():
            self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self.length += len(values)

    def close(self) -> None:
        """Write out what is buffered and close the file."""
        with self._told():
            self._file.close()

    def finish(self) -> np.ndarray:
        """Close the file and return its numbers as a read-only memory map."""
        self.close()
        if self.length == 0:
            return np.empty(0, self._dtype)
        return np.memmap(self._path, self._dtype, mode="r", shape=(self.length,))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EmbedkitError(
                f"cannot write temporary files in {self._path.parent.parent}: {error.strerror}; "
                "make room or name another folder with --work-dir."
            ) from error
