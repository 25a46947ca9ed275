"""What the first lines of a delimited text tell: its delimiter, whether it has a header, its columns."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from embedkit import OptionError, SourceError
from embedkit_sessions.columns import is_known

NAMED = {"comma": ",", "tab": "\t", "\\t": "\t", "semicolon": ";", "pipe": "|", "space": " "}
_CANDIDATES = ("::", "\t", ",", ";", "|")
_LINES = 50
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_STAMP = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T].*)?")


@dataclass(frozen=True)
class Dialect:
    """How a delimited text is to be read.

    Attributes
    ----------
    columns
        The names in its header; `column 1`, `column 2`, ... where it has none.
    rows
        The first rows of data, for a look at what the columns hold.
    """

    delimiter: str
    header: bool
    quoting: bool
    columns: list[str]
    rows: list[list[str]]


def sniff(
    name: str,
    head: str,
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    quoting: bool | None = None,
    named: bool = False,
) -> Dialect:
    """Tell a text's dialect by its first lines; what is given is taken as it is.

    Parameters
    ----------
    head
        The text's beginning; a last line that is cut short is passed over.
    named
        Whether columns are asked for by name, which only a header can answer.

    Raises
    ------
    SourceError
        If the lines have only one column.
    """
    lines = _whole_lines(head)
    delimiter = _delimiter(delimiter) if delimiter else _guess(lines)
    if delimiter is None:
        raise SourceError(
            f"{name} has lines of one column; name what parts its columns with --delimiter (space, or a text), or read "
            "a user and all of their items a line with --layout lines."
        )
    quoting = delimiter != "::" if quoting is None else quoting
    rows = list(itertools.islice(_rows(lines, delimiter, quoting), _LINES))
    if all(len(row) == 1 for row in rows):
        raise SourceError(f"{name} is not parted by {delimiter!r}; name what parts its columns with --delimiter.")
    if header is None:
        header = named or _looks_like_header(rows)
    columns = [c.strip() for c in rows[0]] if header else [f"column {i + 1}" for i in range(len(rows[0]))]
    return Dialect(delimiter, header, quoting, columns, [row for row in rows if row != rows[0]] if header else rows)


def _whole_lines(head: str) -> list[str]:
    lines = head.removeprefix("\ufeff").splitlines(keepends=True)
    if len(lines) > 1 and not lines[-1].endswith(("\n", "\r")):
        lines.pop()
    return [line for line in lines if line.strip()]


def _delimiter(given: str) -> str:
    delimiter = NAMED.get(given, given)
    if not 1 <= len(delimiter.encode()) <= 4 or set(delimiter) & set('\n\r"'):
        raise OptionError("delimiter", f"must be one to four characters, or one of {', '.join(NAMED)}; got {given!r}.")
    return delimiter


def _guess(lines: list[str]) -> str | None:
    """Return the candidate that parts most lines into the same number of columns, more than one."""
    best, most = None, 0
    for candidate in _CANDIDATES:
        widths = [len(row) for row in itertools.islice(_rows(lines, candidate, candidate != "::"), _LINES)]
        agreeing = widths.count(widths[0]) if widths[0] > 1 else 0
        if agreeing > most:
            best, most = candidate, agreeing
    return best


def _rows(lines: list[str], delimiter: str, quoting: bool) -> Iterator[list[str]]:
    if len(delimiter) > 1:
        return (line.rstrip("\r\n").split(delimiter) for line in lines)
    quote: Literal[0, 3] = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    return (row for row in csv.reader(lines, delimiter=delimiter, quoting=quote) if row)


def _looks_like_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row names columns: known names, or text above columns of numbers or times."""
    first, others = rows[0], rows[1:]
    if sum(map(is_known, first)) > 1:  # files that were put together repeat their header
        others = [row for row in others if row != first]
    below = [[row[i] for row in others if len(row) > i] for i in range(len(first))]
    if any(is_value(cell) for cell in first):
        return False
    # A name of a column stands there once; an item called 'book' may come again.
    if any(is_known(cell) and cell not in cells for cell, cells in zip(first, below, strict=True)):
        return True
    return all(cell.strip() for cell in first) and any(cells and all(map(is_value, cells)) for cells in below)


def is_value(cell: str) -> bool:
    """Tell whether a cell holds a number or an ISO time, as no column's name does."""
    return bool(_NUMBER.fullmatch(cell.strip()) or _STAMP.fullmatch(cell.strip()))


def looks_like_time(cells: list[str]) -> bool:
    """Tell whether all cells hold ISO times or Unix numbers of our age."""

    def one(cell: str) -> bool:
        cell = cell.strip()
        return bool(_STAMP.fullmatch(cell)) or (cell.isascii() and cell.isdigit() and int(cell) >= 10**8)

    return bool(cells) and all(one(cell) for cell in cells)
