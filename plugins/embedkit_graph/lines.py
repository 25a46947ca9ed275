"""Lines of cells, in batches of columns; memory holds a block of the text."""

from __future__ import annotations

import enum
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedkit import SourceError
from embedkit_graph.files import File

_LONGEST = 1 << 24


class Attributes(enum.Enum):
    """What stands behind an edge's nodes: no braces, braces that hold a weight, braces that hold something else."""

    NONE = enum.auto()
    WEIGHT = enum.auto()
    OTHER = enum.auto()


_REWRITTEN = {
    Attributes.WEIGHT: (r"""\{.*['"]weight['"]: *([^,}]+).*\}$""", r"\1"),
    Attributes.OTHER: (r"\s*\{.*\}$", ""),
}


class LineReader:
    """Reads a text whose lines are cells parted by white space, or by a text of several characters.

    Parameters
    ----------
    width
        How many cells a line has.
    skip
        How many lines to pass over at the beginning; empty lines and comments (#, %) are passed over anywhere.
    """

    def __init__(
        self, file: File, encoding: str, delimiter: str | None, width: int, skip: int = 0,
        attributes: Attributes = Attributes.NONE,
    ) -> None:  # fmt: skip
        self._file, self._encoding = file, encoding
        self._delimiter, self._width, self._skip = delimiter, width, skip
        self._attributes = attributes
        self._line = 0

    def batches(self) -> Iterator[list[pa.Array]]:
        """Yield the columns (large strings) of some thousand lines at a time.

        Raises
        ------
        SourceError
            For a line of another width, or what is not UTF-8, naming the line.
        """
        rest = b""
        for block in self._file.blocks(self._encoding):
            text = rest + block
            cut = text.rfind(b"\n") + 1
            rest = text[cut:]
            if len(rest) > _LONGEST:
                raise SourceError(f"{self._file.name} is no list of edges: a line is longer than 16 MB.")
            if cut:
                yield self._columns(text[:cut])
        if rest:
            yield self._columns(rest)

    def _columns(self, text: bytes) -> list[pa.Array]:
        lines = pc.utf8_trim_whitespace(pc.split_pattern(self._decoded(text), "\n").values)
        kept = pc.and_(pc.not_equal(lines, ""), pc.invert(pc.match_substring_regex(lines, "^[#%]")))
        if self._line < self._skip:
            kept = pc.and_(kept, pa.array(np.arange(len(lines)) >= self._skip - self._line))
        numbers = self._line + 1 + np.flatnonzero(kept.to_numpy(zero_copy_only=False))
        self._line += text.count(b"\n")
        lines = lines.filter(kept)
        if self._attributes in _REWRITTEN:
            pattern, replacement = _REWRITTEN[self._attributes]
            lines = pc.replace_substring_regex(lines, pattern, replacement)
        if self._delimiter is None:
            cells = pc.ascii_split_whitespace(lines)
        else:
            cells = pc.split_pattern(lines, self._delimiter)
        widths = cells.value_lengths().to_numpy(zero_copy_only=False)
        if len(wrong := np.flatnonzero(widths != self._width)):
            raise self._ragged(int(numbers[wrong[0]]), int(widths[wrong[0]]), lines[int(wrong[0])].as_py())
        starts = np.arange(len(lines), dtype=np.int64) * self._width
        values = cells.flatten()
        return [values.take(pa.array(starts + column)) for column in range(self._width)]

    def _decoded(self, text: bytes) -> pa.Array:
        if not self._line:
            text = text.removeprefix(b"\xef\xbb\xbf")
        if b"\0" in text:
            line = self._line + 1 + text[: text.index(b"\0")].count(b"\n")
            raise SourceError(
                f"{self._file.name}, line {line} holds a NUL character; it is damaged or no text: mend it."
            )
        try:
            return pa.array([text], pa.large_binary()).cast(pa.large_string())
        except pa.ArrowInvalid as error:
            return self._undecodable(text, error)

    def _undecodable(self, text: bytes, cause: Exception) -> pa.Array:
        try:
            text.decode()
        except UnicodeDecodeError as error:
            line = self._line + 1 + text[: error.start].count(b"\n")
            raise SourceError(
                f"{self._file.name}, line {line} is not UTF-8; name its --encoding, such as cp949 or latin-1."
            ) from cause
        raise SourceError(f"{self._file.name} is no text.") from cause

    def _ragged(self, line: int, width: int, text: str) -> SourceError:
        columns = "column" if width == 1 else "columns"
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        return SourceError(
            f"{self._file.name}, line {line} has {width} {columns} where there should be {self._width}: {shown!r}; "
            "mend it, or name what parts them with --delimiter."
        )
