"""Tables through DuckDB: what columns they have, and their rows as Arrow batches of raw values."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from embedkit import SourceError, available_bytes
from embedkit_sessions import dialects, objects
from embedkit_sessions.frames import Stream
from embedkit_sessions.inputs import HEAD, File, text_encoding, transcoded, wrong_encoding

BATCH_ROWS = 1 << 20
_FEWEST_ROWS = 1 << 16
_BYTES_A_ROW = 2000  # of what is free, for a row of a batch
_MOST_MEMORY, _LEAST_MEMORY, _MEMORY_A_THREAD = 1_000_000_000, 64_000_000, 100_000_000
_LONGEST_LINE = 2_000_000  # bytes, of a table's text: DuckDB's own limit
_LONGEST_OBJECT = 1 << 24  # bytes, of one row of JSON: DuckDB's own limit
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Table:
    """A table ready to be read.

    Attributes
    ----------
    name
        What messages call it.
    file
        The file behind it, as plain or natively packed UTF-8; None for a table in memory.
    columns, types
        Its columns' names, and their DuckDB types (text and JSON: all `VARCHAR`).
    header
        Whether its columns have names of their own.
    relation
        What stands after FROM.
    identifiers
        Its columns' names in the relation, quoted.
    dialect
        How a delimited text is read, with its first rows; None for other kinds.
    stream
        Where the rows of `relation` come from anew for each query; None where the relation stays.
    """

    name: str
    file: File | None
    columns: list[str]
    types: list[str]
    header: bool
    relation: str
    identifiers: list[str]
    dialect: dialects.Dialect | None = None
    stream: Stream | None = None

    def only(self, positions: Iterable[int]) -> Table:
        """Return the table with a stream that brings no more than the columns at these positions."""
        if self.stream is None:
            return self
        names = self.stream.schema.names
        return replace(self, stream=replace(self.stream, columns=tuple(names[p] for p in sorted(set(positions)))))


@dataclass(frozen=True)
class Reading:
    """The options that say how files are read."""

    delimiter: str | None = None
    header: bool | None = None
    quoting: bool | None = None
    encoding: str | None = None
    drop_bad: bool = False
    named: bool = False


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a database in memory that spills into `folder`, is limited in memory and loads nothing by itself."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    available = available_bytes()
    memory = _MOST_MEMORY if available is None else min(_MOST_MEMORY, max(_LEAST_MEMORY, available // 4))
    config = {
        "memory_limit": f"{memory}B",
        "threads": str(max(1, min(cores, memory // _MEMORY_A_THREAD))),
        "temp_directory": str(folder / "duckdb"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET timezone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def is_nested(kind: str) -> bool:
    """Tell whether a DuckDB type holds several values in one."""
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))


def value_at(connection: duckdb.DuckDBPyConnection, table: Table, position: int, row: int) -> str:
    """Return what a column holds in a row (from 0), as text."""
    _rewind(connection, table.only([position]))
    sql = f"SELECT CAST({table.identifiers[position]} AS VARCHAR) FROM {table.relation} LIMIT 1 OFFSET {row}"
    found = connection.execute(sql).fetchone()
    return str(found[0]) if found else ""


def open_table(connection: duckdb.DuckDBPyConnection, file: File, folder: Path, reading: Reading) -> Table:
    """Return what DuckDB needs to read a file, and what columns it has.

    Raises
    ------
    SourceError
        If the file is empty, binary, damaged or of one column.
    """
    if file.kind != "parquet":
        encoding = text_encoding(file, reading.encoding)
        if encoding not in ("utf-8", "ascii") or file.packed in (".bz2", ".xz") or file.store is not None:
            file = transcoded(file, encoding, folder)
    elif file.packed:
        raise SourceError(f"{file.name} is a packed Parquet file; unpack it first (Parquet is compressed in itself).")
    return _with_partition(_opened(connection, file, folder, reading))


def _opened(connection: duckdb.DuckDBPyConnection, file: File, folder: Path, reading: Reading) -> Table:
    if file.store is not None or file.groups is not None:
        return _stored_parquet(connection, file)
    # A link of our own name: DuckDB would take * and [ in a path for a glob, and its ending for a compression.
    link = folder / f"{next(_NUMBERS)}.link{file.packed}"
    link.symlink_to(file.path.resolve())
    if file.kind == "text":
        return _text(file, link, reading)
    if file.kind == "json":
        return _json(connection, file, link)
    return _described(connection, file.name, f"read_parquet({literal(str(link))})", file)


def memory_table(connection: duckdb.DuckDBPyConnection, given: Any) -> Table:
    """Return an Arrow table or dataset, or a stream, as a table that can be read."""
    if not isinstance(given, Stream):
        connection.register("given", given)
        return _described(connection, "the table", "given", None)
    connection.register("given", given.schema.empty_table())
    return replace(_described(connection, given.name, "given", None), stream=given)


def _rewind(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Have a stream begin anew."""
    if table.stream is not None:
        connection.register("given", table.stream.reader())


def _stored_parquet(connection: duckdb.DuckDBPyConnection, file: File) -> Table:
    """Return a Parquet file in an object store, or some row groups of one: only columns that are used are fetched."""
    from pyarrow.dataset import dataset

    from embedkit_sessions.dividing import chosen_groups

    relation = f"stored{next(_NUMBERS)}"
    try:
        whole = file.groups is None
        opened = dataset(str(file.path), filesystem=file.store, format="parquet") if whole else chosen_groups(file)
        connection.register(relation, opened)
    except (pa.ArrowException, OSError) as error:
        raise objects.refused(file.name, error) from None
    return _described(connection, file.name, relation, file)


def _with_partition(table: Table) -> Table:
    """Return the table with the columns that its file's folders tell of, where it has none so called itself."""
    told = [] if table.file is None else [pair for pair in table.file.partition if pair[0] not in table.columns]
    if not told:
        return table
    added = [quoted(name) for name, _ in told]
    cells = ["NULL::VARCHAR" if value is None else literal(value) for _, value in told]
    select = ", ".join(f"{cell} AS {name}" for cell, name in zip(cells, added, strict=True))
    return replace(
        table,
        columns=[*table.columns, *(name for name, _ in told)],
        types=[*table.types, *("VARCHAR" for _ in told)],
        identifiers=[*table.identifiers, *added],
        relation=f"(SELECT *, {select} FROM {table.relation})",
    )


def _text(file: File, link: Path, reading: Reading) -> Table:
    try:
        head = file.head()
        end = len(head) if len(head) < HEAD else max(head.rfind(b"\n"), head.rfind(b"\r"))
        if end < 0:
            raise SourceError(f"{file.name} is no table: its first line is longer than {HEAD >> 10} KB.")
        text = head[:end].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise wrong_encoding(file.name, 1 + head[: error.start].count(b"\n"), "utf-8") from error
    delimiter = reading.delimiter or ("tab" if ".tsv" in file.name.lower() else None)
    dialect = dialects.sniff(
        file.name, text, delimiter=delimiter, header=reading.header, quoting=reading.quoting, named=reading.named
    )
    names = [f"c{i}" for i in range(len(dialect.columns))]
    settings = {
        "auto_detect": "false",
        "header": str(dialect.header).lower(),
        "delim": literal(dialect.delimiter),
        "quote": "'\"'" if dialect.quoting else "''",
        "escape": "'\"'" if dialect.quoting else "''",
        "columns": "{" + ", ".join(f"'{n}': 'VARCHAR'" for n in names) + "}",
    }
    if len(head) - end > HEAD // 2:
        # All cells of a block are held: with DuckDB's own blocks, twice as fast, a line of 20 MB takes 700 MB.
        settings |= {"max_line_size": str(_LONGEST_LINE), "buffer_size": str(_LONGEST_LINE)}
    if reading.drop_bad:
        settings |= {"store_rejects": "true", "rejects_limit": "0"}
    call = f"read_csv({literal(str(link))}, {', '.join(f'{k} = {v}' for k, v in settings.items())})"
    types = ["VARCHAR"] * len(names)
    return Table(file.name, file, dialect.columns, types, dialect.header, call, names, dialect)


def _json(connection: duckdb.DuckDBPyConnection, file: File, link: Path) -> Table:
    path = literal(str(link))
    shape = "array" if file.head().lstrip()[:1] == b"[" else "newline_delimited"
    table = _described(connection, file.name, f"read_json({path}, format = '{shape}')", file)
    if table.columns == ["json"]:
        raise _bad_json(file) or SourceError(
            f'{file.name} holds no JSON objects; each row must be an object such as {{"user": 1, "item": 2}}.'
        )
    # Read as text, so that 007 in quotes stays 007 and 7 stays 7.
    columns = "{" + ", ".join(f"{literal(c)}: 'VARCHAR'" for c in table.columns) + "}"
    relation = f"read_json({path}, format = '{shape}', columns = {columns})"
    return replace(table, relation=relation, types=[kind if is_nested(kind) else "VARCHAR" for kind in table.types])


def _described(connection: duckdb.DuckDBPyConnection, name: str, relation: str, file: File | None) -> Table:
    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise explain(error, name, file) from error
    columns = [row[0] for row in rows]
    return Table(name, file, columns, [row[1] for row in rows], True, relation, [quoted(c) for c in columns])


def stream(
    connection: duckdb.DuckDBPyConnection, table: Table, expressions: dict[str, str]
) -> Generator[pa.RecordBatch, None, None]:
    """Yield the rows in their order, a column an expression, in batches of a million at most."""
    select = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in expressions.items())
    try:
        with closing(_filled(connection, table)) as parts:
            for _ in parts:
                yield from connection.sql(f"SELECT {select} FROM {table.relation}").to_arrow_reader(_rows_of_a_batch())
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        if "\nKeyboardInterrupt" in str(error):  # of a stream that Python brings: its traceback, as text
            raise KeyboardInterrupt from None
        raise explain(error, table.name, table.file) from error
    except RuntimeError as error:
        if "interrupted" not in str(error):
            raise
        raise KeyboardInterrupt from None  # as which DuckDB tells of Ctrl-C


def _rows_of_a_batch() -> int:
    """Return how many rows to read at a time: fewer where memory is short."""
    available = available_bytes()
    return BATCH_ROWS if available is None else max(_FEWEST_ROWS, min(BATCH_ROWS, available // _BYTES_A_ROW))


def _filled(connection: duckdb.DuckDBPyConnection, table: Table) -> Generator[None, None, None]:
    """Fill the table's relation: once, or with a stream's rows part by part.

    The rows of a stream are fetched here and not by DuckDB, whose threads know of no Ctrl-C while they wait for them.
    Where the relation is a query of its own over the rows, they have to come in one go all the same.
    """
    if table.stream is None or table.relation != "given":
        _rewind(connection, table)
        yield
        return
    part: list[pa.RecordBatch] = []
    rows = 0
    with table.stream.reader() as reader:  # which closes what brings the rows, wherever it is left
        for batch in reader:
            part.append(batch)
            rows += len(batch)
            if rows >= BATCH_ROWS:
                connection.register("given", pa.Table.from_batches(part))
                part, rows = [], 0
                yield
        connection.register("given", pa.Table.from_batches(part, reader.schema))
        yield


def rejected(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many lines DuckDB passed over as unreadable in the files read so far with `drop_bad`."""
    try:
        row = connection.execute(
            "SELECT count(*) FROM (SELECT DISTINCT scan_id, file_id, line FROM reject_errors)"
        ).fetchone()
    except duckdb.CatalogException:
        return 0
    return int(row[0]) if row else 0


def explain(error: Exception, name: str, file: File | None) -> SourceError:
    """Return DuckDB's error in one line, with file and line number where it knows them."""
    text = str(error)
    found = re.search(r"CSV Error on Line: (\d+)", text)
    where = f"{name}, line {found[1]}" if found else name
    drop = "mend it, or leave such rows out with --bad-rows drop"
    if widths := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
        noun = "column" if widths[2] == "1" else "columns"
        return SourceError(f"{where}: {widths[2]} {noun} where there should be {widths[1]}; {drop}.")
    if "unterminated quote" in text:
        return SourceError(
            f"{where}: a quotation mark is not closed or stands inside a value; {drop}, or use --no-quoting."
        )
    if "utf-8" in text.lower() or "invalid unicode" in text.lower():
        return (
            wrong_encoding(name, int(found[1]), "utf-8")
            if found
            else SourceError(f"{name}: the text is not utf-8; name its --encoding, such as cp949 or latin-1.")
        )
    if "state machine" in text:
        return SourceError(
            f"{name} mixes line ends (LF and CRLF) or has stray quotation marks; make them one, or use --no-quoting."
        )
    if "maximum line size" in text.lower():
        return SourceError(f"{where}: the line is longer than 2 MB; is it a quotation mark that is not closed?")
    if isinstance(error, duckdb.OutOfMemoryException):
        return SourceError(f"{where} cannot be read in the memory there is; is a line or an object of it far too long?")
    if file is not None and file.kind == "json" and (bad := _bad_json(file)):
        return bad
    reason = re.sub(r"^[A-Z][A-Za-z ]*Error: ", "", text.splitlines()[0])
    reason = re.sub(r"'[^']*\.link[^']*'|\"[^\"]*\.link[^\"]*\"|\S*\.link\S*", name, reason)
    return SourceError(f"{where} cannot be read: {reason.rstrip('.')}.")


def _bad_json(file: File) -> SourceError | None:
    """Find the first line that is no JSON object, as DuckDB does not say where it lies; None in an array."""
    if file.head().lstrip()[:1] == b"[":
        return None
    with io.BufferedReader(file.open()) as stream:  # type: ignore[type-var]
        for number, line in enumerate(iter(partial(stream.readline, _LONGEST_OBJECT + 1), b""), 1):
            if wrong := _wrong_json(line):
                return SourceError(f"{file.name}, line {number}: {wrong}; mend the line, or take it out.")
    return None


def _wrong_json(line: bytes) -> str | None:
    if len(line) > _LONGEST_OBJECT:
        return f"its object is longer than {_LONGEST_OBJECT >> 20} MB"
    try:
        is_object = not line.strip() or isinstance(json.loads(line), dict)
    except RecursionError:
        return "its JSON is nested too deeply"
    except ValueError:
        is_object = False
    return None if is_object else "no JSON object"
