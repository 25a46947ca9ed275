"""Keys for sentences: the number of a line, or the name of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from embedkit_text.files import TextFile

_LF, _CR, _FILE_END = 0x0A, 0x0D, 0x00


class Keys:
    """Names the sentences of block after block.

    Parameters
    ----------
    kind
        `line`: its number in the file, counted from 1, empty ones too, behind the file's name where there are several;
        `file`: the file's name.
    files
        What the blocks come from, in order.
    """

    def __init__(self, kind: str, files: Sequence[TextFile]) -> None:
        self._kind = kind
        self._names = [file.name for file in files]
        self._file = self._line = 0
        self._after_cr = False

    def of(self, block: bytes, places: np.ndarray) -> list[str]:
        """Return the keys of the sentences that end at these places of the next block, `len(block)` beyond it."""
        data = np.frombuffer(block, np.uint8)
        file_ends, line_ends = np.flatnonzero(data == _FILE_END), self._line_ends(data)
        files = np.searchsorted(file_ends, places)
        # Lines are counted anew behind each file's end.
        before = np.concatenate(([-self._line], np.searchsorted(line_ends, file_ends)))
        lines = np.searchsorted(line_ends, places) - before[files] + 1
        keys = self._written((files + self._file).tolist(), lines.tolist())
        self._file += len(file_ends)
        self._line = len(line_ends) - int(before[-1])
        return keys

    def _line_ends(self, data: np.ndarray) -> np.ndarray:
        """Return where lines end: at LF, or at CR without LF behind it."""
        feeds = data == _LF
        if self._after_cr and len(data) and feeds[0]:
            self._line -= 1  # the block before ended between the two
        returns = data == _CR
        self._after_cr = bool(len(data) and returns[-1])
        if returns.any():
            returns[:-1] &= ~feeds[1:]
            feeds |= returns
        return np.flatnonzero(feeds)

    def _written(self, files: list[int], lines: list[int]) -> list[str]:
        if self._kind == "file":
            return [self._names[file] for file in files]
        if len(self._names) == 1:
            return [str(line) for line in lines]
        return [f"{self._names[file]}:{line}" for file, line in zip(files, lines, strict=True)]


def as_arrow(strings: list[str]) -> pa.Array:
    """Return strings as Arrow's `large_string`; not by `pa.array`, which imports pandas."""
    encoded = [string.encode() for string in strings]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)
