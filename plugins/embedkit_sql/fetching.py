"""Rows through a database's own driver and a cursor that stays on the server, batch by batch, as Arrow text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from embedkit import SourceError

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

BATCH_ROWS = 1 << 16


def described(connection: Connection, sql: str) -> pa.Schema:
    """Return the columns that a statement gives, all of them text here, without fetching a row."""
    with _executed(connection, sql) as result:
        return pa.schema([(name, pa.large_string()) for name in result.keys()])  # noqa: SIM118 - a result is no dict


def fetched(connection: Connection, sql: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a statement's rows, of which the columns in `schema` are kept."""
    with _executed(connection, sql) as result:
        there = list(result.keys())
        positions = [there.index(name) for name in schema.names]
        for rows in result.partitions(BATCH_ROWS):
            columns = list(zip(*rows, strict=True))
            arrays = [_text(columns[p], name) for p, name in zip(positions, schema.names, strict=True)]
            yield pa.record_batch(arrays, schema=schema)


def _executed(connection: Connection, sql: str) -> CursorResult[Any]:
    # Without parameters, a percent sign or a colon in the query stands for itself.
    plain = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS, no_parameters=True)
    result = plain.exec_driver_sql(sql)
    if not result.returns_rows:
        raise SourceError("the statement gives no rows; write a SELECT.")
    return result


def _text(values: tuple[Any, ...], column: str) -> pa.Array:
    """Return one column's values as text, as the database would print them; None stays missing."""
    kinds = set(map(type, values)) - {type(None)}
    if bytes in kinds or memoryview in kinds:
        raise SourceError(f"column {column!r} holds bytes; cast it to text in the query.")
    try:
        if kinds <= {str}:
            return pa.array(values, pa.large_string())
        if kinds == {int}:
            return pa.array(values, pa.int64()).cast(pa.large_string())
    except OverflowError:
        pass  # whole numbers beyond 64 bits
    except (pa.ArrowInvalid, UnicodeError):
        raise SourceError(f"column {column!r} holds text that is no Unicode; mend it, or cast it.") from None
    return pa.array([None if value is None else _printed(value) for value in values], pa.large_string())


def _printed(value: Any) -> str:
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)
