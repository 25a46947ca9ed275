"""Vectors in a table of SQLite: an embedkit plugin in one module."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import embedkit


@dataclass(frozen=True)
class SQLiteOptions:
    """Which table, and what becomes of one that is there."""

    table: str = embedkit.option("vectors", "The table to write.", metavar="NAME")
    replace: bool = embedkit.option(False, "Take the place of a table that is there already.")


class SQLite(embedkit.Exporter):
    """A table of SQLite: token, label, count, and the vector's float32 numbers as a blob, little-endian."""

    name = "sqlite"
    Options = SQLiteOptions
    keeps = frozenset({"labels", "counts"})

    def write(self, embeddings: embedkit.Embeddings, target: str, options: SQLiteOptions) -> None:
        """Write the table in one transaction, so that it is there whole or not at all."""
        table = '"' + options.table.replace('"', '""') + '"'
        try:
            with closing(sqlite3.connect(target)) as database, database:
                database.execute("BEGIN IMMEDIATE")
                if options.replace:
                    database.execute(f"DROP TABLE IF EXISTS {table}")
                database.execute(
                    f"CREATE TABLE {table} (token TEXT PRIMARY KEY, label TEXT, count INTEGER, vector BLOB NOT NULL)"
                )
                database.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", self._rows(embeddings))
        except sqlite3.Error as error:
            remedy = "; add --replace to take its place" if "already exists" in str(error) else "; check the target"
            raise embedkit.EmbedkitError(f"cannot write {target}: {error}{remedy}.") from error

    def _rows(self, embeddings: embedkit.Embeddings) -> Iterator[tuple[str, str | None, int | None, bytes]]:
        counts = embeddings.counts
        for row, token in enumerate(embeddings.tokens):
            label = embeddings.labels[row] or None if embeddings.labels is not None else None
            vector = embeddings.vectors[row].astype("<f4").tobytes()
            yield token, label, None if counts is None else int(counts[row]), vector
            self.run.progress(row + 1, len(embeddings), unit="rows")


@embedkit.hookimpl
def register_exporters(register: Any) -> None:
    """Tell embedkit of the exporter."""
    register(SQLite)
