"""Text as a terminal shows it: its width in columns, control characters made visible, shortened to fit."""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"
_LINE_BREAKERS = {"Cc", "Cs", "Zl", "Zp"}
_BIDIRECTIONAL = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    """Return `text` with characters that steer a terminal, or turn the direction of writing, as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if _steers(c) else c for c in text)


def _steers(character: str) -> bool:
    return character in _BIDIRECTIONAL or unicodedata.category(character) in _LINE_BREAKERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes; a Hangul syllable takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shorten(text: str, columns: int) -> str:
    """Return `text` in at most `columns` columns, with an ellipsis where something was cut."""
    if width(text) <= columns:
        return text
    kept, taken = "", 0
    for character in text:
        taken += width(character)
        if taken > columns - 1:
            break
        kept += character
    return kept + ELLIPSIS


def pad(text: str, columns: int, right: bool = False) -> str:
    """Return `text` filled with spaces to `columns` columns, on its left where it is to end at the `right`."""
    spaces = " " * (columns - width(text))
    return spaces + text if right else text + spaces
