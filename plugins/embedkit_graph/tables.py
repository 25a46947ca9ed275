"""Edges from Parquet files and from tables in memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from embedkit import SourceError
from embedkit_graph.columns import Asked, choose
from embedkit_graph.edges import EdgeCollector

if TYPE_CHECKING:
    from pathlib import Path

_ROWS = 1 << 20


def read_parquet(path: Path, name: str, asked: Asked, collector: EdgeCollector, notes: list[str]) -> None:
    """Take a Parquet file's edges, in batches, reading no other columns."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            places = _places(name, names, asked, notes)
            for batch in file.iter_batches(_ROWS, columns=sorted({names[i] for i in places if i is not None})):
                batch.validate(full=True)  # text is taken for UTF-8 unseen
                _take(name, batch, [None if i is None else names[i] for i in places], collector)
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} is damaged: the name of a column is not UTF-8; fetch or save it again.") from error
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise SourceError(f"{name} cannot be read as Parquet: {reason}.") from error


def is_table(given: Any) -> bool:
    """Tell whether it is a table in memory: pandas, Arrow, or anything that speaks Arrow's C interface."""
    return isinstance(given, pa.Table | pa.RecordBatch) or _is_frame(given) or hasattr(given, "__arrow_c_stream__")


def _is_frame(given: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(given, pandas.DataFrame)


def read_table(given: Any, asked: Asked, collector: EdgeCollector, notes: list[str]) -> None:
    """Take the edges of a table in memory."""
    name = "the table"
    if _is_frame(given):
        arrays = [_series(given.iloc[:, i]) for i in range(given.shape[1])]
        table = pa.Table.from_arrays(arrays, names=[str(column) for column in given.columns])
    else:
        table = given if isinstance(given, pa.Table) else pa.table(given)
    if not table.num_columns:
        raise SourceError("the table has no columns; an edge takes two.")
    places = _places(name, table.column_names, asked, notes)
    for batch in table.to_batches(_ROWS):
        _take(name, batch, places, collector)


def _series(series: Any) -> pa.Array:
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A column of several types (numbers and text): each value stands for itself, as text.
        return pa.array([None if value is None or value != value else str(value) for value in series], pa.string())


def _places(name: str, names: list[str], asked: Asked, notes: list[str]) -> list[int | None]:
    columns = choose(name, names, asked, header=True)
    weight = "" if columns.weight is None else f", weights in {names[columns.weight]}"
    notes.append(f"{name}: edges from {names[columns.source]} to {names[columns.target]}{weight}")
    return [columns.source, columns.target, columns.weight]


def _take(name: str, batch: pa.RecordBatch, places: list[Any], collector: EdgeCollector) -> None:
    source, target, weight = (None if place is None else batch.column(place) for place in places)
    collector.add(name, as_text(name, source), as_text(name, target), weight)


def as_text(name: str, column: pa.Array) -> pa.Array:
    """Return a column of names as text; whole numbers that gaps made floats lose their `.0`."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        if pc.all(pc.or_kleene(pc.is_null(column), pc.equal(pc.floor(column), column))).as_py() is not False:
            column = column.cast(pa.int64())
    try:
        return column.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceError(f"{name}: a column of nodes holds {column.type}, no names; name another column.") from error
