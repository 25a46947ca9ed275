"""word2vec's binary format: a line `n d`, then each word, a space and its d numbers as float32, little-endian."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embedkit.embeddings.importing.request import Request
from embedkit.embeddings.importing.rows import Rows, block_height
from embedkit.errors import ModelError
from embedkit.names import Names

_LONGEST_HEADER = 64
_LONGEST_WORD = 1 << 16  # bytes


def read_word2vec_binary(request: Request) -> tuple[Names, np.ndarray]:
    """Read words and vectors; lines may end behind the numbers, as word2vec.c has them, or not, as gensim.

    Raises
    ------
    ModelError
        If the file is of another format, cut short, or holds less or more than its first line tells.
    """
    path = request.path
    request.own_tokens()
    request.without_columns()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, Rows() as rows:
        n, width, start = _read_header(data, path)
        words: list[bytes] = []
        height = block_height(4 * width)
        block = bytearray()
        for word, numbers in _records(data, start, n, 4 * width, path):
            words.append(word)
            block += numbers
            if len(words) % height == 0:
                rows.append(np.frombuffer(block, "<f4").reshape(-1, width))
                block = bytearray()
        if block:
            rows.append(np.frombuffer(block, "<f4").reshape(-1, width))
        return _names(words, path), rows.matrix()


def _read_header(data: mmap.mmap, path: Path) -> tuple[int, int, int]:
    """Return how many words there are, of how many numbers, and where the first begins."""
    end = data.find(b"\n", 0, _LONGEST_HEADER)
    parts = data[: max(end, 0)].split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise ModelError(
            f"{path} is no binary file of word2vec: it does not begin with how many vectors it holds and how long "
            "they are. Name another format with --from."
        )
    n, width = map(int, parts)
    if not (n and width):
        raise ModelError(f"{path} is empty: it tells of {n:,} vectors of {width:,} numbers.")
    least = n * (4 * width + 1)
    if end + 1 + least > len(data):
        raise ModelError(
            f"{path} is cut short or no binary file of word2vec: {n:,} vectors of {width:,} numbers take "
            f"{least:,} bytes at least, and it has {len(data):,}. Fetch it again."
        )
    return n, width, end + 1


def _records(data: mmap.mmap, at: int, n: int, size: int, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield each word and the bytes of its numbers."""
    for row in range(1, n + 1):
        space = data.find(b" ", at, at + _LONGEST_WORD)
        end = space + 1 + size
        if space < 0 or end > len(data):
            raise ModelError(f"{path} is cut short or damaged: it ends in vector {row:,} of {n:,}. Fetch it again.")
        yield data[at:space].lstrip(b"\n"), data[space + 1 : end]
        at = end
    if data[at : at + 2].strip(b"\n"):
        raise ModelError(f"{path} holds more than the {n:,} vectors that its first line tells of. Fetch it again.")


def _names(words: list[bytes], path: Path) -> Names:
    try:
        return Names.from_strings([word.decode() for word in words])
    except UnicodeDecodeError as error:
        row = words.index(bytes(error.object)) + 1
        raise ModelError(f"word {row:,} of {path} is not UTF-8; is the file damaged, or of another format?") from error
