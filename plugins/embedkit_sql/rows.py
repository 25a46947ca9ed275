"""Rows of a query or table as what source `sessions` streams: a name, an Arrow schema, `select`, Arrow's C stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from embedkit import SourceError
from embedkit_sql import copying, fetching
from embedkit_sql.database import Database, quoted, table_sql

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass
class Statement:
    """A query, or a table of which some columns are selected."""

    query: str | None
    table: str | None

    def sql(self, connection: Connection, columns: Sequence[str] | None) -> str:
        """Return the SELECT; a query is left as it was written, whatever columns are wanted of it."""
        if self.query is not None:
            return self.query.rstrip().rstrip(";")
        names = "*" if columns is None else ", ".join(quoted(connection, name) for name in columns)
        return f"SELECT {names} FROM {self.table}"


@dataclass
class _Failure:
    """What went wrong while rows were streamed: Arrow and DuckDB, through which it passes, keep its text alone."""

    error: BaseException | None = None


@dataclass(frozen=True)
class Rows:
    """Rows that are asked for anew each time the stream is taken.

    Attributes
    ----------
    name
        What messages call them.
    schema
        The columns: times as timestamps where the database says so, all else as text.
    """

    name: str
    schema: pa.Schema
    database: Database
    statement: Statement
    _failure: _Failure = field(default_factory=_Failure)

    @property
    def failure(self) -> BaseException | None:
        """What ended the stream before its end, if anything did: an error for the user, or the user with Ctrl-C."""
        return self._failure.error

    def select(self, columns: Sequence[str]) -> Rows:
        """Return the same rows with some of the columns, in this order."""
        return replace(self, schema=pa.schema([self.schema.field(name) for name in columns]))

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        reader = pa.RecordBatchReader.from_batches(self.schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            self._failure.error = None
            read: Callable[..., Iterator[pa.RecordBatch]] = copying.copied if self.database.copies else fetching.fetched
            with self.database.connected() as connection:
                yield from read(connection, self.statement.sql(connection, self.schema.names), self.schema)
        except SourceError as error:
            self._failure.error = SourceError(f"{self.name}: {error}")
            raise
        except Exception as error:
            self._failure.error = self.database.refused(error)
            raise
        except KeyboardInterrupt as interrupt:
            self._failure.error = interrupt
            raise


def open_rows(url: str, query: str | None, table: str | None) -> Rows:
    """Return the rows of a query or a table; the server is asked for their columns, not yet for them.

    Raises
    ------
    SourceError
        If the server cannot be reached, refuses the query, has no such table, or columns cannot be told apart.
    """
    database = Database(url)
    name = f"table {table}" if query is None else "the query"
    with database.connected() as connection:
        statement = Statement(query, None if table is None else table_sql(connection, table))
        describe = copying.described if database.copies else fetching.described
        schema = describe(connection, statement.sql(connection, None))
    twice = [column for column, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise SourceError(f"{name} has two columns called {twice[0]!r}; name them apart with AS.")
    return Rows(name, schema, database, statement)
