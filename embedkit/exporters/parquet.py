"""Parquet: a row a token, its vector a list of float32, as DuckDB, pandas, polars and Spark read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from embedkit.contracts import Exporter
from embedkit.options import option

if TYPE_CHECKING:
    import pyarrow as pa

    from embedkit.embeddings import Embeddings

_GROUP = 1 << 25  # bytes of numbers in a row group


@dataclass(frozen=True)
class Options:
    """How the file is packed."""

    compression: Literal["zstd", "snappy", "none"] = option("zstd", "How names and counts are packed.")


class Parquet(Exporter):
    """Parquet: columns `token` (of keys `key`), `vector`, `label`, `count`, for DuckDB, pandas, polars, Spark."""

    name = "parquet"
    endings = (".parquet", ".pq")
    Options = Options
    keeps = frozenset({"labels", "counts"})

    def write(self, embeddings: Embeddings, target: str, options: Any) -> None:
        """Write the file, a group of rows at a time.

        Raises
        ------
        ModelError
            If the file cannot be written; what was there before is whole then.
        """
        from pyarrow.parquet import ParquetWriter

        from embedkit.embeddings.replacing import replacing

        n, width = embeddings.vectors.shape
        name = "key" if self.vectors == "keys" else "token"
        schema = _schema(embeddings, name)
        scalars = [field.name for field in schema if field.name != "vector"]
        # Numbers that look random do not get smaller, so packing vectors would only take time.
        packed = dict.fromkeys(scalars, options.compression) | {"vector.list.element": "none"}
        with (
            replacing(Path(target)) as file,
            ParquetWriter(file, schema, compression=packed, use_dictionary=["label"] if "label" in scalars else False)
            as writer,
        ):  # fmt: skip
            height = max(1, _GROUP // (4 * width))
            for start in range(0, n, height):
                stop = min(start + height, n)
                writer.write_batch(batch(embeddings, start, stop, schema), row_group_size=height)
                self.run.progress(stop, n, unit="rows")


def _schema(embeddings: Embeddings, name: str) -> pa.Schema:
    import pyarrow as pa

    fields = [
        pa.field(name, pa.string(), nullable=False),
        pa.field("vector", pa.list_(pa.float32(), embeddings.vector_size), nullable=False),
    ]
    if embeddings.labels is not None:
        fields.append(pa.field("label", pa.string()))
    if embeddings.counts is not None:
        fields.append(pa.field("count", pa.int64(), nullable=False))
    return pa.schema(fields)


def batch(embeddings: Embeddings, start: int, stop: int, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows of a model's tokens, vectors, labels (null where there is none) and counts."""
    import numpy as np
    import pyarrow as pa

    rows = slice(start, stop)
    numbers = pa.array(np.ascontiguousarray(embeddings.vectors[rows]).reshape(-1))
    columns: list[Any] = [
        pa.array(embeddings.tokens[rows], pa.string()),
        pa.FixedSizeListArray.from_arrays(numbers, type=schema.field("vector").type),
    ]
    if embeddings.labels is not None:
        columns.append(pa.array([label or None for label in embeddings.labels[rows]], pa.string()))
    if embeddings.counts is not None:
        columns.append(pa.array(embeddings.counts[rows]))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
