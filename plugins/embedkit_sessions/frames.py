"""From tables in memory, and what speaks Arrow's C interface, to what DuckDB can read, without copying."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from embedkit import SourceError

_BATCH = 1 << 17


@dataclass(frozen=True)
class Stream:
    """Rows that are brought anew for each pass, with only the columns that are asked for.

    Attributes
    ----------
    name
        What messages call it.
    open
        From names of columns to a reader of their rows.
    columns
        The names to read; all of the schema's where None.
    """

    name: str
    schema: pa.Schema
    open: Callable[[Sequence[str]], pa.RecordBatchReader]
    columns: tuple[str, ...] | None = None

    def reader(self) -> pa.RecordBatchReader:
        """Return a reader of the rows from the first on."""
        return self.open(self.schema.names if self.columns is None else self.columns)


def opened(given: Any) -> Any:
    """Return what DuckDB can read: an Arrow table, an Arrow dataset, or a `Stream`, whose columns are called by text.

    Parameters
    ----------
    given
        A DataFrame of pandas or polars, an Arrow table, reader or dataset, a dataset of Hugging Face's `datasets`, or
        anything else with Arrow's C interface. What has a `select(columns)` and an Arrow `schema` besides is streamed.

    Raises
    ------
    SourceError
        If it is no table, or has no rows.
    """
    # What was not imported cannot have been given, and is not imported to find that out.
    pandas, hugging, arrow = (sys.modules.get(name) for name in ("pandas", "datasets", "pyarrow.dataset"))
    if hugging is not None and isinstance(given, hugging.DatasetDict | hugging.IterableDatasetDict):
        raise SourceError(f"the dataset has splits; give one of them: {', '.join(map(repr, given))}.")
    if hugging is not None and isinstance(given, hugging.Dataset | hugging.IterableDataset):
        return _hugging_face(given)
    if arrow is not None and isinstance(given, arrow.Dataset):
        return given
    if pandas is not None and isinstance(given, pandas.DataFrame):
        names = [str(name) for name in given.columns]
        table = pa.Table.from_arrays([_column(given.iloc[:, i]) for i in range(len(names))], names=names)
    elif isinstance(given, pa.RecordBatch):
        table = pa.Table.from_batches([given])
    elif isinstance(given, pa.Table):
        table = given
    elif hasattr(given, "__arrow_c_stream__"):
        if isinstance(getattr(given, "schema", None), pa.Schema) and callable(getattr(given, "select", None)):
            return _streamed(given)
        table = _table(given)
    else:
        collect = "; collect it first" if callable(getattr(given, "collect", None)) else ""
        kind = type(given).__name__
        raise SourceError(f"input must be paths, a DataFrame or an Arrow table; got {kind}{collect}.")
    if not table.num_rows:
        raise SourceError("the table has no rows.")
    return table


def _table(given: Any) -> pa.Table:
    try:
        return pa.table(given)
    except pa.ArrowInvalid:
        raise SourceError(f"input must be a table; got one column of it ({type(given).__name__}).") from None


def _streamed(given: Any) -> Stream:
    def read(columns: Sequence[str]) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_stream(given.select(list(columns)))

    return Stream(str(getattr(given, "name", "the table")), given.schema, read)


def _hugging_face(given: Any) -> Any:
    """Return a dataset's own memory-mapped Arrow table; a stream where rows were chosen or reordered."""
    table = getattr(given, "data", None)
    if table is not None and getattr(given, "_indices", None) is None:
        if not table.num_rows:
            raise SourceError("the dataset has no rows.")
        return table.table
    if given.features is None:
        raise SourceError(
            "the dataset does not say what columns it has; call resolve_features() or cast() on it first."
        )
    schema = given.features.arrow_schema.remove_metadata()

    def read(columns: Sequence[str]) -> pa.RecordBatchReader:
        chosen = pa.schema([schema.field(name) for name in columns])
        return pa.RecordBatchReader.from_batches(chosen, batches(chosen))

    def batches(chosen: pa.Schema) -> Iterator[pa.RecordBatch]:
        for table in given.select_columns(chosen.names).with_format("arrow").iter(batch_size=_BATCH):
            yield from table.select(chosen.names).cast(chosen).to_batches()

    return Stream("the dataset", schema, read)


def _column(series: Any) -> pa.Array | pa.ChunkedArray:
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A column of several types (numbers and text): each value stands for itself, as text.
        return pa.array([None if v is None or v != v else str(v) for v in series], pa.string())
