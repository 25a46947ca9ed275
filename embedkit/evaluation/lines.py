"""The files that tests are read from: text, line by line, in little memory however long it is."""

from __future__ import annotations

from array import array
from collections.abc import Generator
from pathlib import Path

import numpy as np

from embedkit.errors import SourceError
from embedkit.names import Names

LONGEST = 4_000_000  # characters of a line


def lines_of(path: Path) -> Generator[tuple[int, str], None, None]:
    """Yield the lines of a text that are not blank, each with its number from 1, without their ends.

    Raises
    ------
    SourceError
        If it cannot be read, is not UTF-8, or a line is longer than any that belongs into a test.
    """
    try:
        with path.open(encoding="utf-8-sig") as text:
            for number, line in enumerate(iter(lambda: text.readline(LONGEST + 1), ""), 1):
                if len(line) > LONGEST:
                    raise SourceError(
                        f"{path} line {number} is longer than {LONGEST:,} characters; is it a test, with lines?"
                    )
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}; check the path.") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text; save it as UTF-8.") from error


class Numbering:
    """Strings numbered as they first come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, name: str) -> int:
        """Return the number of a string, from 0."""
        return self._numbers.setdefault(name, len(self._numbers))

    def names(self) -> Names:
        """Return the strings in the order of their numbers."""
        return Names.from_strings(self._numbers)


def as_numbers(values: array[int] | array[float]) -> np.ndarray:
    """Return an array of the standard library as NumPy's, of the same memory."""
    return np.frombuffer(values, values.typecode) if values else np.empty(0, values.typecode)
