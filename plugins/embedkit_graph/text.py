"""Edges from text: CSV through Arrow, columns parted by white space line by line."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from embedkit import OptionError, SourceError
from embedkit_graph.columns import Asked, Columns, choose, known_pair
from embedkit_graph.edges import EdgeCollector
from embedkit_graph.files import HEAD, File
from embedkit_graph.lines import Attributes, LineReader

_NAMED = {"comma": ",", "tab": "\t", "\\t": "\t", "semicolon": ";", "pipe": "|", "space": " "}
_CANDIDATES = ("\t", ",", ";", "|")
_COMMENTS = ("#", "%")
_LINES = 50
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Layout:
    """How a text is laid out.

    Attributes
    ----------
    delimiter
        What parts the columns; None for white space of any length.
    skip
        How many lines come before the first edge.
    names
        The columns' names; `column 1`, `column 2` where the text has none.
    header
        Whether it has.
    attributes
        What stands behind the nodes where networkx wrote `{...}` there.
    """

    delimiter: str | None
    skip: int
    names: list[str]
    header: bool
    attributes: Attributes = Attributes.NONE


def read_text(
    file: File, asked: Asked, collector: EdgeCollector, notes: list[str], *,
    delimiter: str | None = None, header: bool | None = None, encoding: str | None = None,
) -> None:  # fmt: skip
    """Take the edges of a text.

    Raises
    ------
    SourceError
        If it is binary, wrongly encoded or ragged, or has not the columns asked for.
    """
    encoding = file.text_encoding(encoding)
    layout = find_layout(file.name, _head(file, encoding), asked, delimiter, header)
    columns = choose(file.name, layout.names, asked, header=layout.header or layout.attributes is Attributes.WEIGHT)
    notes.append(_describe(file.name, layout, columns))
    one_character = layout.delimiter is not None and len(layout.delimiter) == 1 and layout.delimiter != " "
    read = _csv if one_character else _lines
    for batch in read(file, encoding, layout, columns):
        collector.add(file.name, *batch)


def _head(file: File, encoding: str) -> list[str]:
    with file.open_utf8(encoding) as stream:
        try:
            head = stream.read(HEAD)
        except UnicodeDecodeError as error:
            raise SourceError(f"{file.name} is not in {encoding}; name its --encoding, such as cp949.") from error
    lines = head.decode("utf-8-sig", errors="replace").splitlines()
    return lines[:-1] if len(head) >= HEAD and len(lines) > 1 else lines


def find_layout(
    name: str, lines: list[str], asked: Asked, delimiter: str | None = None, header: bool | None = None
) -> Layout:
    """Tell a text's layout by its first lines; what is given is taken as it is.

    Raises
    ------
    SourceError
        If it holds nothing but comments, or lines of one column.
    """
    skip = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith(_COMMENTS)), None)
    if skip is None:
        raise SourceError(f"{name} holds no edges, only comments.")
    data = [line for line in lines[skip:] if line.strip() and not line.startswith(_COMMENTS)][:_LINES]
    if delimiter is None and data[0].rstrip().endswith("}") and "{" in data[0]:
        weighted = re.search(r"""['"]weight['"]:""", data[0])
        attributes = Attributes.WEIGHT if weighted and asked.weighted is not False else Attributes.OTHER
        names = ["column 1", "column 2", "weight"][: 3 if attributes is Attributes.WEIGHT else 2]
        return Layout(None, skip, names, False, attributes)
    delimiter = _delimiter(delimiter) or next((c for c in _CANDIDATES if all(c in line for line in data)), None)
    rows = [_cells(line, delimiter) for line in data]
    if len(rows[0]) < 2:
        shown = data[0] if len(data[0]) <= 40 else f"{data[0][:40]}..."
        raise SourceError(
            f"{name} is no list of edges: line {skip + 1} ({shown!r}) has one column where an edge takes two; name "
            "what parts them with --delimiter."
        )
    if header is None:
        header = asked.by_name or _looks_like_header(rows)
    names = rows[0] if header else [f"column {i + 1}" for i in range(len(rows[0]))]
    return Layout(delimiter, skip + header, names, header)


def _delimiter(given: str | None) -> str | None:
    if given is None:
        return None
    delimiter = _NAMED.get(given, given)
    if not 1 <= len(delimiter.encode()) <= 4 or set(delimiter) & set('\n\r"'):
        raise OptionError("delimiter", f"must be one to four characters, or one of {', '.join(_NAMED)}; got {given!r}.")
    return None if delimiter == " " else delimiter


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None or len(delimiter) > 1:
        return [cell.strip() for cell in line.split(delimiter)]
    import csv

    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _looks_like_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row names columns: as edges' columns are called, or text above numbers."""
    first, below = rows[0], rows[1:]
    if any(_NUMBER.fullmatch(cell) for cell in first):
        return False
    if (pair := known_pair(first)) is not None:
        # A column's name stands there once; a node called 'source' may come again.
        return not any(first[i] in row for row in below for i in pair)
    return bool(below) and all(_NUMBER.fullmatch(cell) for row in below for cell in row[:2])


def _describe(name: str, layout: Layout, columns: Columns) -> str:
    names = layout.names
    told = f"{name}: edges from {names[columns.source]} to {names[columns.target]}"
    if columns.weight is not None:
        return f"{told}, weights in {names[columns.weight]}"
    return told + (", further columns not used" if len(names) > 2 else "")


def _lines(file: File, encoding: str, layout: Layout, columns: Columns) -> Iterator[tuple[Any, Any, Any]]:
    reader = LineReader(file, encoding, layout.delimiter, len(layout.names), layout.skip, layout.attributes)
    for cells in reader.batches():
        weights = None if columns.weight is None else cells[columns.weight]
        yield cells[columns.source], cells[columns.target], weights


def _csv(file: File, encoding: str, layout: Layout, columns: Columns) -> Iterator[tuple[Any, Any, Any]]:
    """Yield batches of source, target and weight, all text, of text delimited by one character."""
    from pyarrow import csv

    names = [f"c{i}" for i in range(len(layout.names))]
    bad: list[Any] = []

    def on_ragged(row: Any) -> str:
        if row.text.startswith(_COMMENTS):
            return "skip"
        bad.append(row)
        return "error"

    wanted = [names[i] for i in (columns.source, columns.target, columns.weight) if i is not None]
    try:
        with file.open_utf8(encoding) as stream, _silent_about_rows():
            reader = csv.open_csv(
                stream,
                csv.ReadOptions(use_threads=False, block_size=1 << 23, skip_rows=layout.skip, column_names=names),
                csv.ParseOptions(delimiter=layout.delimiter, invalid_row_handler=on_ragged),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.large_string()), include_columns=wanted,
                    strings_can_be_null=False,
                ),
            )  # fmt: skip
            for batch in reader:
                taken = [batch.column(name) for name in wanted]
                yield taken[0], taken[1], taken[2] if len(taken) > 2 else None
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise _explain(file.name, error, bad, layout) from error


@contextlib.contextmanager
def _silent_about_rows() -> Iterator[None]:
    """Let nothing be printed where Arrow cannot decode the ragged row that it hands over; its error says enough."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda told: None if isinstance(told.exc_value, UnicodeDecodeError) else before(told)
    try:
        yield
    finally:
        sys.unraisablehook = before


def _explain(name: str, error: Exception, bad: list[Any], layout: Layout) -> SourceError:
    """Return Arrow's error in one line for a person."""
    if bad:
        row = bad[0]
        where = f"{name}, line {row.number}" if row.number is not None else name
        shown = row.text if len(row.text) <= 40 else f"{row.text[:40]}..."
        return SourceError(
            f"{where} has {row.actual_columns} columns where the first has {row.expected_columns}: {shown!r}; mend it."
        )
    text = str(error).splitlines()[0]
    if "UTF8" in text or isinstance(error, UnicodeDecodeError):
        return SourceError(f"{name} is not UTF-8; name its --encoding, such as cp949 or latin-1.")
    if "straddling" in text:
        return SourceError(f"{name}: a line is longer than 8 MB; is it a quotation mark that is not closed?")
    return SourceError(f"{name} cannot be read: {text.rstrip('.')}.")
