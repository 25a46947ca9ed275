"""What a kernel must know of each code point, drawn from Python's own Unicode tables and `re`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from embedkit_text.kernels import BREAK, CONTINUES, IRREGULAR, WORD
from embedkit_text.patterns import ASSIGNED, continuing

_SIZE = 0x110000
_PAGE = 0x100
_JAMO = (range(0x1161, 0x1176), range(0x11A8, 0x11C3))
_CONTEXTUAL = "Σİ"  # a sigma at the end of a word is ς; İ becomes two characters


@dataclass(frozen=True)
class Tables:
    """How a tokenizer sees each code point c: what is said of it lies at `pages[c >> 8] + (c & 0xFF)`.

    Most pages of 256 code points are equal to another, so all together fit into the second cache.

    Attributes
    ----------
    pages
        int64 (0x1100), where each page begins in the other two; page 0 (ASCII and Latin-1) begins at 0.
    classes
        uint8, bits: may begin a token, may go on with one, ends a sentence, irregular.
    lower
        int32, what to add to a code point to have the one to write.
    """

    pages: np.ndarray
    classes: np.ndarray
    lower: np.ndarray

    @classmethod
    def of(cls, classes: np.ndarray, lower: np.ndarray) -> Tables:
        """Put the class of each code point and the one to write for it (0x110000 of each) into pages."""
        by_page = [a.reshape(-1, _PAGE) for a in (classes, lower - np.arange(_SIZE, dtype=np.int32))]
        positions: dict[bytes, int] = {}
        firsts: list[int] = []
        pages = np.empty(_SIZE // _PAGE, np.int64)
        for p, (kinds, shifts) in enumerate(zip(*by_page, strict=True)):
            pages[p] = positions.setdefault(kinds.tobytes() + shifts.tobytes(), len(firsts) * _PAGE)
            if pages[p] == len(firsts) * _PAGE:
                firsts.append(p)
        return cls(pages, *(a[firsts].reshape(-1) for a in by_page))


@lru_cache(maxsize=8)
def make_tables(tokenizer: str, lowercase: bool, lines: bool) -> Tables:
    """Return the tables of the tokenizer `word` or `whitespace`; `lines` are sentences, or else documents."""
    codes = np.arange(_SIZE, dtype="<u4")
    characters = codes.tobytes().decode("utf-32-le", "surrogatepass")
    classes = np.zeros(_SIZE, np.uint8)
    for match in re.finditer(r"\w+" if tokenizer == "word" else r"\S+", characters):
        classes[match.start() : match.end()] = WORD
    if tokenizer == "word":
        for match in re.finditer(f"[{continuing()}]+", characters):
            classes[match.start() : match.end()] |= CONTINUES
    classes[0] = BREAK
    if lines:
        classes[[ord("\n"), ord("\r")]] = BREAK
    lower = codes.astype(np.int32)
    if lowercase:
        lower = _lower(characters)
    classes[_irregular(characters, lower)] |= IRREGULAR
    return Tables.of(classes, lower)


def _assigned() -> tuple[Any, str]:
    codes = np.concatenate([np.arange(r.start, r.stop) for r in ASSIGNED])
    return codes, codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _lower(characters: str) -> Any:
    """Return the lower-case code point of each; those that turn on their neighbours or become two stay as they are."""
    plain = characters
    for character in _CONTEXTUAL:
        plain = plain.replace(character, "-")
    lower = np.frombuffer(plain.lower().encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int32)
    for character in _CONTEXTUAL:
        lower[ord(character)] = ord(character)
    return lower


def _irregular(characters: str, lower: Any) -> Any:
    """Return a mask of what Python itself must normalise and lower-case.

    Without these, text is in normal form C already (none is reordered, replaced or composed with what stands before),
    and each character's lower case is one character that is no longer in UTF-8.
    """
    codes, assigned = _assigned()
    mask = np.zeros(_SIZE, bool)
    mask[codes[np.frombuffer(bytes(map(unicodedata.combining, assigned)), np.uint8) > 0]] = True
    for code, parts in zip(codes.tolist(), map(unicodedata.decomposition, assigned), strict=True):
        if parts and parts[0] != "<":
            composed = parts.split()
            mask[int(composed[-1], 16)] |= len(composed) == 2
            mask[code] |= unicodedata.normalize("NFC", chr(code)) != chr(code)
    for jamo in _JAMO:
        mask[jamo.start : jamo.stop] = True
    mask[[ord(c) for c in _CONTEXTUAL]] = True
    mask[0xD800:0xE000] = True
    return mask | (_utf8_length(lower) > _utf8_length(np.arange(_SIZE)))


def _utf8_length(codes: Any) -> Any:
    return 1 + (codes >= 0x80).astype(np.int8) + (codes >= 0x800) + (codes >= 0x10000)
