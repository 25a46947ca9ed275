"""From files and tables to spilled rows of numbers: columns chosen, ids numbered, bad rows refused or counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedkit import SourceError
from embedkit_sessions import dialects, tables, values
from embedkit_sessions.columns import Choice, choose
from embedkit_sessions.findings import Findings
from embedkit_sessions.grouping import Block, Rows
from embedkit_sessions.ids import Ids
from embedkit_sessions.inputs import Inputs
from embedkit_sessions.places import refused

if TYPE_CHECKING:
    import duckdb

    from embedkit_sessions.source import Options


def _given(options: Options) -> dict[str, int | str | None]:
    """Return the columns that the options name, by role."""
    given = {role: getattr(options, f"{role}_column") for role in ("user", "item", "time", "weight", "invoice")}
    return given | {"label": options.item_label_column}


def table_reading(options: Options) -> tables.Reading:
    """Return the options that say how the input's files are read."""
    named = any(isinstance(column, str) and not column.isdigit() for column in _given(options).values())
    return tables.Reading(
        options.delimiter, options.header, options.quoting, options.encoding, options.bad_rows == "drop", named
    )


def open_tables(
    connection: duckdb.DuckDBPyConnection, inputs: Inputs, folder: Path, reading: tables.Reading
) -> Iterator[tables.Table]:
    """Yield the tables behind the input, one after another."""
    if inputs.table is not None:
        yield tables.memory_table(connection, inputs.table)
    for file in inputs.files:
        yield tables.open_table(connection, file, folder, reading)


def choose_columns(table: tables.Table, options: Options) -> Choice:
    """Return which columns of a table to read."""
    given = _given(options)
    if not table.header and given["time"] is None and table.dialect is not None:
        taken = {str(column) for column in given.values()}
        for i in range(2, len(table.columns)):
            cells = [row[i] for row in table.dialect.rows if len(row) > i]
            if str(i + 1) not in taken and dialects.looks_like_time(cells):
                given["time"] = i + 1
                chosen = choose(table.name, table.columns, given, header=False)
                return replace(chosen, found=(*chosen.found, f"times in {table.columns[i]}"))
    return choose(table.name, table.columns, given, header=table.header, text=table.dialect is not None)


class Reader:
    """Reads tables row by row into spilled numbers."""

    def __init__(self, options: Options, folder: Path, findings: Findings) -> None:
        self.options = options
        self.folder = folder
        self.findings = findings
        self.dropped, self.notes = findings.dropped, findings.notes
        self.users, self.items = Ids("users"), Ids("items")
        rows = folder / "rows"
        rows.mkdir()
        self.rows = Rows(rows)
        self.units: Counter[str] = Counter()
        self._roles: set[str] | None = None
        # Numbering ids is the longest part of reading, and Arrow does it outside Python's lock: items beside users.
        self._beside = ThreadPoolExecutor(1, "embedkit-sessions")

    def read(self, connection: duckdb.DuckDBPyConnection, inputs: Inputs) -> None:
        """Read all tables; what was found out goes to the notes."""
        with self._beside:
            for table in open_tables(connection, inputs, self.folder, table_reading(self.options)):
                self._read_table(connection, table)
        bad = tables.rejected(connection)
        if bad:
            self.dropped["unreadable rows"] += bad
        dates = self.units.pop(values.DATES, 0)
        besides = f"; written as dates: {dates:,}" if dates else ""
        if len(self.units) > 1:
            counts = ", ".join(f"{n:,} as {unit}" for unit, n in self.units.most_common())
            self.notes.append(f"times of several units, each told by its size: {counts}{besides}")
        elif self.units:
            self.notes.append(f"times are Unix {next(iter(self.units))}{besides}")

    def _read_table(self, connection: duckdb.DuckDBPyConnection, table: tables.Table) -> None:
        choice = choose_columns(table, self.options)
        is_text = table.header and table.dialect is not None
        names = [table.columns[choice.positions[role]] for role in ("user", "item")] if is_text else []
        table = table.only(position for role, position in choice.positions.items() if role != "label")
        roles = set(choice.positions) & {"time", "weight"}
        if self._roles not in (None, roles):
            raise SourceError(
                f"{table.name} has not the columns of the files before it (times or weights in some only); "
                "name them with --time-column and --weight-column, or read them apart."
            )
        if self._roles is None:
            self.notes.append(f"{table.name}: " + (", ".join(choice.found) or "columns as named"))
            if "time" not in roles:
                self.notes.append(f"{table.name} has no column of times: interactions keep the order of the rows")
        self._roles = roles
        self.findings.labelled |= "label" in choice.positions
        if "time" not in roles and self.options.session_gap is not None:
            raise SourceError(
                f"{table.name} has no column of times, which session_gap needs. Name it with --time-column."
            )
        first = 0
        try:
            with closing(tables.stream(connection, table, self._expressions(table, choice))) as batches:
                for batch in batches:
                    self._append(batch, choice, names)
                    first += len(batch)
        except _BadRowError as bad:  # behind the stream, as a connection answers one query at a time
            place = choice.positions[bad.role]
            raise refused(connection, table, place, first + bad.row, bad.role) from None

    def _expressions(self, table: tables.Table, choice: Choice) -> dict[str, str]:
        positions = choice.positions
        expressions = {role: values.text_sql(table, positions[role]) for role in ("user", "item")}
        if "time" in positions:
            expressions |= values.time_sql(table, positions["time"], self.options.time_format)
        if "weight" in positions:
            expressions["weight"] = values.weight_sql(table, positions["weight"])
        if "invoice" in positions:
            expressions["cancelled"] = values.cancelled_sql(table, positions["invoice"])
        return expressions

    def _append(self, batch: pa.RecordBatch, choice: Choice, names: list[str]) -> None:
        """Turn a batch's ids into numbers and spill the rows that are good; `names` are those in a header, if any."""
        items = self._beside.submit(self.items.encode, batch.column(1))
        block = Block(self.users.encode(batch.column(0)), items.result())
        left = np.ones(len(batch), bool)
        if names:
            self._drop(left, _equals(batch, names), "lines that repeat the header")
        if "cancelled" in batch.schema.names:
            cancelled = batch.column(batch.schema.names.index("cancelled")).to_numpy(zero_copy_only=False)
            self._drop(left, cancelled, "cancelled invoices")
        if "time" in choice.positions:
            block.times = values.times(batch, self.units)
            self._bad(left, block.times == values.BAD_TIME, "time")
            self._drop(left, block.times == values.MISSING_TIME, "rows without a time")
        if "weight" in choice.positions:
            block.weights = self._weights(batch, left)
        self.rows.append(block if left.all() else block.take(np.flatnonzero(left)))

    def _weights(self, batch: pa.RecordBatch, left: np.ndarray) -> np.ndarray:
        weights = values.weights(batch)
        self._bad(left, np.isinf(weights), "weight")
        self._drop(left, np.isnan(weights), "rows without a weight")
        self._drop(left, weights <= 0, "rows with a weight of zero or less")
        if self.options.min_weight is not None:
            self._drop(left, weights < self.options.min_weight, f"rows with a weight below {self.options.min_weight:g}")
        return weights

    def _drop(self, left: np.ndarray, bad: np.ndarray, reason: str) -> None:
        """Take rows out of those left, and count them; each row counts for the first reason that meets it."""
        bad = bad & left
        if count := int(np.count_nonzero(bad)):
            self.dropped[reason] += count
            left &= ~bad

    def _bad(self, left: np.ndarray, bad: np.ndarray, role: str) -> None:
        """Refuse the first row that cannot be read, or drop all such rows."""
        bad = bad & left
        if self.options.bad_rows == "refuse" and bad.any():
            raise _BadRowError(role, int(np.argmax(bad)))
        self._drop(left, bad, f"rows with an unreadable {role}")


def _equals(batch: pa.RecordBatch, names: list[str]) -> np.ndarray:
    """Tell which rows have these texts in the first columns, as where files were put together with their headers."""
    same = np.ones(len(batch), bool)
    for column, name in zip(batch.columns, names, strict=False):
        if not same.any():
            break
        same &= pc.equal(column, name).fill_null(False).to_numpy(zero_copy_only=False)
    return same


class _BadRowError(Exception):
    def __init__(self, role: str, row: int) -> None:
        super().__init__(role, row)
        self.role, self.row = role, row
