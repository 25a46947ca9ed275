"""Parts of the input, to be read apart: files, and stretches of large ones between line ends."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import embedkit
from embedkit_text.files import TextFile, is_packed

_BLOCK = 1 << 20
_OTHER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32's begins with UTF-16's or with a NUL


@dataclass(frozen=True)
class Stretch:
    """Bytes start..stop of a file; all of it where `stop` is None."""

    path: str
    name: str
    start: int = 0
    stop: int | None = None

    def file(self) -> TextFile:
        """Return it as something to read."""
        if self.stop is None:
            return TextFile.at(self.path, self.name)
        return TextFile(self.name, self._open)

    def _open(self) -> Any:
        assert self.stop is not None
        stream = open(self.path, "rb")  # noqa: SIM115 - who reads it closes it
        stream.seek(self.start)
        return _Limited(stream, self.stop - self.start)


class _Limited:
    """A stream that ends after so many bytes."""

    def __init__(self, stream: io.BufferedReader, left: int) -> None:
        self._stream, self._left = stream, left

    def read(self, size: int) -> bytes:
        got = self._stream.read(min(size, self._left))
        self._left -= len(got)
        return got

    def close(self) -> None:
        self._stream.close()


def divide(files: Sequence[TextFile], n: int, *, whole: bool, lines: bool) -> list[list[Stretch]]:
    """Return at most n lists of stretches of about as many bytes each, none of them empty, in the order of the input.

    Parameters
    ----------
    whole
        Whether files may not be cut.
    lines
        Whether they may be cut at line ends alone; else a line that is longer than a part is cut between words.

    Raises
    ------
    embedkit.SourceError
        If there is but one part, with what would make more.
    """
    for file in files:
        if not file.on_disk:
            raise embedkit.SourceError(f"{file.name} cannot be read in parts; give files that lie on a disk.")
    try:
        sizes = [os.stat(file.name).st_size for file in files]
        parts = _shared_out([file.name for file in files], sizes, n, whole=whole, lines=lines)
    except OSError as error:
        raise embedkit.SourceError(f"{error.filename} cannot be read: {error.strerror}.") from error
    if len(parts) < 2:
        why = "packed" if len(files) == 1 and is_packed(files[0].name) else "one sentence" if whole else "too short"
        raise embedkit.SourceError(
            f"{files[0].name} is {why}, so it cannot be read in parts; give several files, or train without --engine."
        )
    return parts


def _shared_out(names: list[str], sizes: list[int], n: int, *, whole: bool, lines: bool) -> list[list[Stretch]]:
    total = max(1, sum(sizes))
    parts: list[list[Stretch]] = [[] for _ in range(n)]
    before = 0
    for name, size in zip(names, sizes, strict=True):
        path = os.path.abspath(name)
        if whole or is_packed(name) or _is_wide(path):
            parts[min(n - 1, (2 * before + size) * n // (2 * total))].append(Stretch(path, name))
        else:
            first, last = before * n // total, min(n - 1, (before + size - 1) * n // total)
            wanted = [number * total // n - before for number in range(first + 1, last + 1)]
            cuts = [0, *(_cut(path, at, size, lines=lines) for at in wanted), size]
            for number, (start, stop) in enumerate(pairwise(cuts), first):
                if start < stop:
                    parts[number].append(Stretch(path, name, start, stop))
        before += size
    return [part for part in parts if part]


def _is_wide(path: str) -> bool:
    """Tell whether characters take several bytes each, so that line ends cannot be sought byte by byte."""
    with open(path, "rb") as stream:
        head = stream.read(4)
    return head.startswith(_OTHER_MARKS) or b"\0" in head


def _cut(path: str, at: int, size: int, *, lines: bool) -> int:
    """Return the first place from `at` on where a line begins; where none is near, unless `lines`, a word."""
    with open(path, "rb") as stream:
        stream.seek(max(0, at - 1))
        place = stream.tell()
        while block := stream.read(_BLOCK):
            for end in (b"\n",) if lines else (b"\n", b" "):
                if (found := block.find(end)) >= 0:
                    return place + found + 1
            place += len(block)
    return size
