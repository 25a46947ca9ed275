"""Vectors as text, as word2vec and fastText write them (`.vec`): `tokens numbers`, then a line for each token."""

from __future__ import annotations

import codecs
import mmap
import os
import re
from pathlib import Path

import numpy as np

from embedkit.embeddings.importing.rows import Rows, block_height
from embedkit.errors import ModelError
from embedkit.names import Names

_LINES = 1 << 14
_HEADER = re.compile(rb"\s*(\d{1,18})[ \t]+(\d{1,18})\s*")
_LONGEST_LINE = 1 << 26


def read_vec(path: str | os.PathLike[str]) -> tuple[Names, np.ndarray]:
    """Read a text file of vectors; a file without the first line (GloVe's) is read too, and tokens with spaces.

    Returns
    -------
    tokens
        As they stand, in the order of the file; whether they are distinct is not looked at.
    vectors
        float32 (n × vector_size), memory-mapped; what is too large for float32 is infinite.

    Raises
    ------
    ModelError
        If the file cannot be read, or a line is not what it should be.
    """
    text = map_bytes(Path(path))
    n, size, begin = _shape(path, text)
    starts, stops = np.zeros(n, np.int64), np.zeros(n, np.int64)
    vectors = _parse(path, text, begin, size, starts, stops)
    return names_of(path, text, starts, stops), vectors


def map_bytes(path: Path) -> np.ndarray:
    """Return a file's bytes as a read-only uint8 array that stays on disk.

    Raises
    ------
    ModelError
        If it is empty or cannot be read.
    """
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder; name a file in it.")
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                raise ModelError(f"{path} is empty; fetch or save it again.")
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}; check the path.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def _shape(path: str | os.PathLike[str], text: np.ndarray) -> tuple[int, int, int]:
    """Return how many tokens and numbers a token a file has, and the byte where they begin."""
    first = text[:_LONGEST_LINE].tobytes().partition(b"\n")[0]
    told = _HEADER.fullmatch(first)
    if told:
        n, size = int(told[1]), int(told[2])
        begin = len(first) + 1
    else:
        size, begin = len(first.split()) - 1, 0
        lines = text[: _content_end(text)]
        n = 1 + sum(int((lines[i : i + _LONGEST_LINE] == ord("\n")).sum()) for i in range(0, len(lines), _LONGEST_LINE))
    if size < 1:
        raise ModelError(f"{path} is no text of vectors: its first line has no numbers behind a token.")
    if n * (2 * size + 1) > len(text) - begin + 1:  # a blank and a digit a number, and the end of the line
        raise ModelError(
            f"{path} is truncated or damaged: {len(text):,} bytes cannot hold the {n:,} × {size:,} numbers of its "
            "first line. Fetch it again."
        )
    return n, size, begin


def _content_end(text: np.ndarray) -> int:
    """Return where the whitespace begins that a file ends with."""
    end = len(text)
    while end:
        begin = max(0, end - _LONGEST_LINE)
        kept = len(text[begin:end].tobytes().rstrip())
        if kept:
            return begin + kept
        end = begin
    return 0


def _parse(
    path: str | os.PathLike[str], text: np.ndarray, at: int, size: int, starts: np.ndarray, stops: np.ndarray
) -> np.ndarray:
    """Return the vectors and fill in where tokens lie, some lines a call, so that Ctrl-C is heard."""
    from embedkit.embeddings.kernels_word2vec_text import GOOD, TOO_FEW, parse_lines

    row, n = 0, len(starts)
    line = 1 if at == 0 else 2
    block = np.empty((min(n, _LINES, block_height(4 * size)), size), np.float32)
    with Rows() as rows:
        while row < n and at < len(text):
            some = slice(row, row + len(block))
            at, read, problem = parse_lines(text, at, 0, len(block), block[: n - row], starts[some], stops[some])
            row += read
            if problem == TOO_FEW:
                raise ModelError(f"{path} line {row + line:,} has fewer than {size:,} numbers behind a token.")
            if problem != GOOD:
                wrong = text[at : at + 20].tobytes().split()[0].decode(errors="replace")
                raise ModelError(f"{path} line {row + line:,}: {wrong!r} is no number.")
            rows.append(block[:read])
        _check_end(path, text, at, row, n)
        return rows.matrix() if n else np.empty((0, size), np.float32)


def _check_end(path: str | os.PathLike[str], text: np.ndarray, at: int, row: int, n: int) -> None:
    if row < n:
        raise ModelError(f"{path} is truncated: it holds {row:,} of {n:,} tokens. Fetch it again.")
    if text[at:].tobytes().strip():
        raise ModelError(f"{path} is damaged: more follows after the {n:,} tokens of its first line. Fetch it again.")


def names_of(path: str | os.PathLike[str], text: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Names:
    """Return stretches of a file's bytes as names.

    Raises
    ------
    ModelError
        If one is not valid UTF-8.
    """
    from embedkit.embeddings.kernels_word2vec_text import copy_stretches

    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(stops - starts)))
    utf8 = np.empty(int(offsets[-1]), np.uint8)
    copy_stretches(text, starts, stops, offsets, utf8)
    inner = offsets[:-1][offsets[:-1] < len(utf8)]
    try:
        codecs.decode(utf8.tobytes(), "utf-8")
        whole = not (utf8[inner] & 0xC0 == 0x80).any()
    except UnicodeDecodeError:
        whole = False
    if not whole:
        row = next(i for i in range(len(starts)) if not _is_utf8(utf8[offsets[i] : offsets[i + 1]].tobytes()))
        raise ModelError(f"the token of row {row + 1:,} of {path} is not valid UTF-8; mend or leave it out.")
    return Names(utf8, offsets)


def _is_utf8(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True
