"""LanceDB: a table whose new version takes the place of the old one when all of it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import embedkit
from embedkit_stores import metrics
from embedkit_stores.rows import blocks, one_line

if TYPE_CHECKING:
    import pyarrow as pa

_MARK = b"embedkit.metric"
_NAMES = {"cosine": "cosine", "inner-product": "dot", "euclidean": "l2"}
_FEWEST_INDEXED = 256


@dataclass(frozen=True)
class Options:
    """Which table, and how it is searched."""

    table: str = embedkit.option("embeddings", "The table; replaced if embedkit wrote it.", metavar="NAME")
    metric: metrics.Metric = embedkit.option("auto", metrics.HELP)
    index: Literal["hnsw", "none"] = embedkit.option(
        "none", "An index for that metric (IVF_HNSW_SQ); none: searches are exact, of the metric that they name."
    )


class LanceDB(embedkit.Exporter):
    """A table of LanceDB in a folder (or an object store's URL): token, vector, label, count."""

    name = "lancedb"
    Options = Options
    keeps = frozenset({"labels", "counts"})

    def write(self, embeddings: embedkit.Embeddings, target: str, options: Any) -> None:
        """Write a new version of the table.

        Raises
        ------
        embedkit.EmbedkitError
            If it cannot be written, or there is a table of that name that embedkit did not write.
        """
        os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of each table that is new
        try:
            import lancedb
        except ImportError as error:
            raise embedkit.missing_extra("lancedb", "stores", "exporting to LanceDB") from error
        metric = metrics.chosen(options.metric, self.vectors)
        if Path(target).is_file():
            raise embedkit.EmbedkitError(f"{target} is a file; LanceDB keeps its tables in a folder: name another.")
        changed = "Nothing there has changed"
        try:
            database = lancedb.connect(target)
            _refuse_others(database, options.table, target)
            table = self._write(database, embeddings, options.table, metric)
            if options.index == "hnsw":
                changed = "The table is written, its index is not"
                self._add_index(table, len(embeddings), metric)
        except (OSError, RuntimeError, ValueError) as error:
            raise embedkit.EmbedkitError(
                f"{self.shown(target)} cannot be written: {self.shown(one_line(error))}. {changed}."
            ) from error
        self.run.say(f'Nearest first, by {metric}: table.search(vector).distance_type("{_NAMES[metric]}")')

    def _write(self, database: Any, embeddings: embedkit.Embeddings, name: str, metric: str) -> Any:
        import pyarrow as pa

        schema = _schema(embeddings).with_metadata({_MARK: metric.encode()})
        reader = pa.RecordBatchReader.from_batches(schema, self._batches(embeddings, schema))
        return database.create_table(name, reader, mode="overwrite")

    def _batches(self, embeddings: embedkit.Embeddings, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        for rows in blocks(embeddings, self.run):
            numbers = pa.array(np.ascontiguousarray(rows.vectors).reshape(-1))
            columns: list[Any] = [
                pa.array(rows.tokens, pa.string()),
                pa.FixedSizeListArray.from_arrays(numbers, type=schema.field("vector").type),
            ]
            if rows.labels is not None:
                columns.append(pa.array([label or None for label in rows.labels], pa.string()))
            if rows.counts is not None:
                columns.append(pa.array(rows.counts, pa.int64()))
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _add_index(self, table: Any, n: int, metric: str) -> None:
        if n < _FEWEST_INDEXED:
            self.run.say(f"No index: LanceDB builds none for fewer than {_FEWEST_INDEXED} rows.")
            return
        self.run.say(f"Building the index over {n:,} rows.")
        table.create_index(metric=_NAMES[metric], vector_column_name="vector", index_type="IVF_HNSW_SQ")


def _schema(embeddings: embedkit.Embeddings) -> pa.Schema:
    import pyarrow as pa

    fields = [pa.field("token", pa.string()), pa.field("vector", pa.list_(pa.float32(), embeddings.vector_size))]
    if embeddings.labels is not None:
        fields.append(pa.field("label", pa.string()))
    if embeddings.counts is not None:
        fields.append(pa.field("count", pa.int64()))
    return pa.schema(fields)


def _refuse_others(database: Any, name: str, target: str) -> None:
    """Refuse to replace a table that embedkit did not write."""
    try:
        table = database.open_table(name)
    except ValueError:  # so LanceDB says that there is none
        return
    if _MARK not in (table.schema.metadata or {}):
        raise embedkit.EmbedkitError(
            f"{target} has a table {name!r} already that embedkit did not write; name another --table."
        )
