"""Where in a file a row stands: found by reading up to it once more, when there is something to tell about it."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Literal

from embedkit import SourceError
from embedkit_sessions import tables
from embedkit_sessions.dialects import Dialect

if TYPE_CHECKING:
    import duckdb


def refused(
    connection: duckdb.DuckDBPyConnection, table: tables.Table, position: int, row: int, role: str
) -> SourceError:
    """Return the error for a row (from 0) whose column holds no `role` (a time, a weight), naming file and line."""
    value = tables.value_at(connection, table, position, row)
    form = " give its form with --time-format, such as '%d.%m.%Y %H:%M'," if role == "time" else ""
    return SourceError(
        f"{_place(table, row)}: {value!r} in column {table.columns[position]!r} is no {role};"
        f"{form} mend it, or leave such rows out with --bad-rows drop."
    )


def _place(table: tables.Table, row: int) -> str:
    if table.file is None or table.file.kind == "parquet" or table.file.head().lstrip()[:1] == b"[":
        return f"{table.name}, row {row + 1}"
    with table.file.open_text() as text:
        ends = _line_numbers(text, table.dialect)
        header = table.dialect is not None and table.dialect.header
        return f"{table.name}, line {next(itertools.islice(ends, row + header, None))}"


def _line_numbers(text: IO[str], dialect: Dialect | None) -> Iterator[int]:
    """Yield the number of the line on which each row ends, the header's first; blank lines are no rows."""
    if dialect is None or len(dialect.delimiter) > 1:
        return (number for number, line in enumerate(text, 1) if line.strip())
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quoting else csv.QUOTE_NONE
    reader = csv.reader(text, delimiter=dialect.delimiter, quoting=quoting)
    return (reader.line_num for cells in reader if cells)
