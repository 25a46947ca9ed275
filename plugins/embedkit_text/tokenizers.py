"""From blocks of UTF-8 to tokens: by kernels for words and white space, by `re` for the user's expression."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from embedkit_text.naming import as_arrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILE_END = b"\0"
"""Parts files in a block and ends a sentence; text that holds it is refused before."""

_BLANKS = (b" ", b"\n", b"\t", b"\r")
_BLANK = re.compile(rb"[ \n\t\r]")
_STOPS = tuple(c.encode() for c in '!"#$%&()*+,-/;?@[]{}|~\u3000、。！，？「」')
_STRETCH = 2048


@dataclass(frozen=True, slots=True)
class Split:
    """The tokens of a block.

    Attributes
    ----------
    tokens
        Arrow `large_string`.
    ends
        int64, for each sentence that ends in this block (none of them empty) how many tokens came before.
    places
        int64, for each of them the position of the byte that ends it.
    break_first
        Whether a sentence ended before the first token: the one that the last block left open.
    """

    tokens: Any
    ends: np.ndarray
    places: np.ndarray
    break_first: bool

    @property
    def is_open(self) -> bool:
        """Whether the last token's sentence does not end in this block."""
        return len(self.tokens) > (int(self.ends[-1]) if len(self.ends) else 0)


class Tokenizer(Protocol):
    """What a tokenizer gives.

    Attributes
    ----------
    cuts
        Where text may be cut without changing its tokens: behind one of the first group, else of the second, ...
    """

    cuts: tuple[tuple[bytes, ...], ...]

    def settle(self, block: bytes) -> bytes:
        """Return a block (without NUL) in normal form C, lower-cased as far as `split` does not do that.

        Raises
        ------
        UnicodeDecodeError
            If it is not UTF-8; `start` is the position in the block.
        """
        ...

    def split(self, block: bytes) -> Split:
        """Return the tokens of settled blocks, several joined by `FILE_END`."""
        ...


def make_tokenizer(tokenizer: str, pattern: str | None, lowercase: bool, sentence: str) -> Tokenizer:
    """Return the tokenizer that checked options ask for."""
    if tokenizer == "regex":
        return RegexTokenizer(pattern or "", lowercase, sentence == "line")
    if tokenizer == "morpheme":
        from embedkit_text.korean import MorphemeTokenizer

        return MorphemeTokenizer(lowercase, sentence == "line")
    return KernelTokenizer(tokenizer, lowercase, sentence == "line")


class KernelTokenizer:
    """Words or what white space parts, at the speed of memory.

    Parameters
    ----------
    tokenizer
        `word` or `whitespace`.
    lowercase, lines
        Whether to lower-case; whether a line is a sentence, or else a file.
    """

    def __init__(self, tokenizer: str, lowercase: bool, lines: bool) -> None:
        from embedkit_text import kernels  # numba takes its time, and `regex` does without
        from embedkit_text.tables import make_tables

        self._kernels = kernels
        self._tables = make_tables(tokenizer, lowercase, lines)
        self._lowercase = lowercase
        self.cuts: tuple[tuple[bytes, ...], ...] = (_BLANKS, _STOPS) if tokenizer == "word" else (_BLANKS,)

    def settle(self, block: bytes) -> bytes:
        """Return the block with the stretches around irregular characters normalised and lower-cased by Python."""
        if block.isascii():
            return block
        data = np.frombuffer(block, np.uint8)
        parts: list[bytes] = []
        done = 0
        tables = self._tables
        while (at := self._kernels.first_irregular(data, done, tables.pages, tables.classes)) < len(block):
            start = max(done, *(block.rfind(blank, done, at) for blank in _BLANKS))
            blank = _BLANK.search(block, min(at + _STRETCH, len(block)))
            end = blank.start() if blank else len(block)
            parts += (block[done:start], _normal(block, start, end, self._lowercase))
            done = end
        return b"".join([*parts, block[done:]]) if parts else block

    def split(self, block: bytes) -> Split:
        """Return the tokens, whose bytes and offsets Arrow takes over without a copy."""
        n = len(block)
        chars = np.empty(n, np.uint8)
        offsets = np.empty(n // 2 + 3, np.int64)
        ends, places = np.empty((2, n // 2 + 2), np.int64)
        data = np.frombuffer(block, np.uint8)
        tables = self._tables
        tokens, sentences, size, break_first = self._kernels.split(
            data, tables.pages, tables.classes, tables.lower, chars, offsets, ends, places
        )
        buffers = [None, pa.py_buffer(offsets[: tokens + 1]), pa.py_buffer(chars[:size])]
        words = pa.Array.from_buffers(pa.large_string(), tokens, buffers)
        return Split(words, ends[:sentences].copy(), places[:sentences].copy(), break_first)


def _normal(block: bytes, start: int, end: int, lowercase: bool) -> bytes:
    try:
        text = unicodedata.normalize("NFC", block[start:end].decode())
    except UnicodeDecodeError as error:
        raise UnicodeDecodeError("utf-8", block, start + error.start, start + error.end, error.reason) from None
    return (text.lower() if lowercase else text).encode()


class LineTokenizer:
    """Tokens of whole lines, normalised and lower-cased by Python.

    Parameters
    ----------
    lowercase, lines
        Whether to lower-case; whether a line is a sentence, or else a file.
    """

    cuts: tuple[tuple[bytes, ...], ...] = ((b"\n", b"\r"),)

    def __init__(self, lowercase: bool, lines: bool) -> None:
        self._lowercase = lowercase
        self._lines = lines

    def settle(self, block: bytes) -> bytes:
        """Return the whole block normalised and lower-cased."""
        return _normal(block, 0, len(block), self._lowercase)

    def find(self, lines: list[str]) -> Iterable[Iterable[str]]:
        """Return the tokens of each line."""
        raise NotImplementedError

    def split(self, block: bytes) -> Split:
        """Return what is found in each line, empty tokens aside."""
        tokens: list[str] = []
        ends: list[int] = []
        places: list[int] = []
        break_first = False
        at = -1
        pieces = list(self._pieces(block.decode()))
        for (line, last), found in zip(pieces, self.find([line for line, _ in pieces]), strict=True):
            tokens.extend(filter(None, found))
            at += len(line.encode()) + 1
            if last and len(tokens) > (ends[-1] if ends else 0):
                ends.append(len(tokens))
                places.append(at)
            elif last and not tokens:
                break_first = True
        return Split(as_arrow(tokens), np.array(ends, np.int64), np.array(places, np.int64), break_first)

    def _pieces(self, text: str) -> Iterator[tuple[str, bool]]:
        """Yield each line and whether a sentence ends behind it."""
        files = text.split("\0")
        for f, file in enumerate(files):
            lines = file.replace("\r", "\n").split("\n")
            for i, line in enumerate(lines):
                last_line = i == len(lines) - 1
                yield line, (self._lines and not last_line) or (last_line and f < len(files) - 1)


class RegexTokenizer(LineTokenizer):
    """What a checked regular expression finds in each line; its group is the token where it has one."""

    def __init__(self, pattern: str, lowercase: bool, lines: bool) -> None:
        super().__init__(lowercase, lines)
        self._pattern = re.compile(pattern)

    def find(self, lines: list[str]) -> Iterable[Iterable[str]]:
        """Return what the expression finds in each line."""
        return map(self._pattern.findall, lines)
