"""Rows through PostgreSQL's COPY, parsed by Arrow: no Python object is made for a value."""

from __future__ import annotations

import contextlib
import select
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from embedkit import SourceError

if TYPE_CHECKING:
    from sqlalchemy import Connection

BLOCK = 1 << 21  # bytes of CSV that are parsed at once
_BLOCKS_AHEAD = 12  # which the server sends while the rows before them are numbered and spilled
# Types by their number in PostgreSQL's catalogue, which are the same in all its versions.
_TIMES = {1114: pa.timestamp("us"), 1184: pa.timestamp("us", "UTC"), 1082: pa.timestamp("us")}
_BYTES = 17
_LOOK = 0.1  # seconds until a thread that waits for rows looks whether they are still wanted
_PATIENCE = 5.0  # seconds for the server to take a cancellation
# Times as Arrow reads them, whatever the server's or the user's settings are.
_SETTINGS = "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'; SET LOCAL client_encoding = 'UTF8'"


def described(connection: Connection, sql: str) -> pa.Schema:
    """Return the columns that a statement gives; the server plans it and does not run it."""
    columns = _planned(connection, sql)
    return pa.schema([(name, _TIMES.get(kind, pa.large_string())) for name, kind in columns])


def copied(connection: Connection, sql: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a statement's rows, of which the columns in `schema` are kept."""
    columns = _planned(connection, sql)
    for name, kind in columns:
        if name in schema.names:
            _refuse_kind(connection, name, kind)
    stopped = Event()
    with _stopping(connection):
        # On a line of its own, so that a comment at the query's end does not swallow the parenthesis.
        _checked(_raw(connection).exec_(f"COPY ({sql}\n) TO STDOUT (FORMAT csv, NULL '')".encode()))
        names = [name for name, _ in columns]
        tables = (_parsed(block, names, schema) for block in _blocks(connection, stopped))
        for table in _ahead(tables, stopped):
            yield from table.to_batches()


@contextlib.contextmanager
def _stopping(connection: Connection) -> Iterator[None]:
    """Have the server stop where its rows are left half-way: it would notice only with its next row."""
    try:
        yield
    except BaseException:
        _cancel(connection)
        raise


def _ahead(tables: Iterator[pa.Table], stopped: Event) -> Iterator[pa.Table]:
    """Yield the tables while a thread fetches and parses those behind them.

    Where nobody goes on, the thread leaves the connection before this ends. Its own end is not waited for: the garbage
    collector closes forgotten generators wherever it happens to run, even under locks that the end of a thread takes.
    """
    beside = ThreadPoolExecutor(1, "embedkit-sql")
    waiting: deque[Future[pa.Table | None]] = deque()
    try:
        while True:
            while len(waiting) < _BLOCKS_AHEAD:
                waiting.append(beside.submit(next, tables, None))
            if (table := waiting[0].result()) is None:
                break
            waiting.popleft()
            yield table
    finally:
        stopped.set()
        wait(waiting)
        beside.shutdown(wait=False)


def _planned(connection: Connection, sql: str) -> list[tuple[str, int]]:
    """Return the names of a statement's columns and the numbers of their types."""
    pgconn = _raw(connection)
    _checked(pgconn.prepare(b"", sql.encode()))
    result = _checked(pgconn.describe_prepared(b""))
    if not result.nfields:
        raise SourceError("the statement gives no rows; write a SELECT.")
    return [(result.fname(i).decode(), result.ftype(i)) for i in range(result.nfields)]


def _refuse_kind(connection: Connection, name: str, kind: int) -> None:
    """Raise `SourceError` for a type whose text is no id, time or number."""
    known: Any = connection.connection.dbapi_connection
    info = known.adapters.types.get(kind)
    if kind == _BYTES:
        raise SourceError(f"column {name!r} holds bytes; cast it to text in the query.")
    if info is not None and info.oid != kind:
        raise SourceError(f"column {name!r} holds several values a row; write a row for each (in SQL: unnest).")


def _blocks(connection: Connection, stopped: Event) -> Iterator[bytes]:
    """Yield the CSV in blocks of whole rows, until there are no more or they are wanted no more."""
    pgconn = _raw(connection)
    get, rows, size = pgconn.get_copy_data, [], 0
    while not stopped.is_set():
        length, row = get(1)
        if length > 0:
            rows.append(bytes(row))
            size += length
            if size >= BLOCK:
                yield b"".join(rows)
                rows, size = [], 0
        elif length == 0:
            if select.select([pgconn.socket], [], [], _LOOK)[0]:
                pgconn.consume_input()
        else:
            break
    if stopped.is_set():
        return
    # The result behind the last row tells whether it was the last.
    while (result := pgconn.get_result()) is not None:
        _checked(result)
    if rows:
        yield b"".join(rows)


def _cancel(connection: Connection) -> None:
    from psycopg import Error, pq

    driver: Any = connection.connection.dbapi_connection
    if driver.pgconn.status == pq.ConnStatus.OK:
        with contextlib.suppress(Error):
            driver.cancel_safe(timeout=_PATIENCE)


def _parsed(block: bytes, names: list[str], schema: pa.Schema) -> pa.Table:
    from pyarrow import csv

    convert = csv.ConvertOptions(
        column_types=dict(zip(schema.names, schema.types, strict=True)),
        include_columns=schema.names,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    try:
        return csv.read_csv(
            pa.BufferReader(block),
            read_options=csv.ReadOptions(column_names=names, block_size=len(block) + 1),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=convert,
        )
    except pa.ArrowInvalid as error:
        said = str(error)
        if "timestamp" in said:
            value = said.rpartition("invalid value ")[2].strip("'\"")
            raise SourceError(f"{value!r} is a time that cannot be ordered here; leave such rows out.") from None
        raise SourceError(f"its text cannot be read as UTF-8 CSV: {' '.join(said.split())}.") from None


def _raw(connection: Connection) -> Any:
    """Return libpq's connection, in a transaction and with the settings that `_parsed` counts on."""
    driver: Any = connection.connection.dbapi_connection
    if driver.info.transaction_status == driver.info.transaction_status.IDLE:
        driver.execute(_SETTINGS)
    return driver.pgconn


def _checked(result: Any) -> Any:
    """Return libpq's result, or raise the driver's own error for it."""
    from psycopg import errors, pq

    if result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE):
        raise errors.error_from_result(result)
    return result
