"""From tables in memory (pandas, Arrow, anything that speaks Arrow's C interface) to an Arrow table."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa

from embedkit import SourceError


def to_arrow(given: Any) -> pa.Table:
    """Return `given` as an Arrow table whose columns are called by text.

    Raises
    ------
    SourceError
        If it is no table, or has no rows.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(given, pandas.DataFrame):
        names = [str(name) for name in given.columns]
        columns = [_column(given.iloc[:, i]) for i in range(len(names))]
        table = pa.Table.from_arrays(columns, names=names)
    elif isinstance(given, pa.Table):
        table = given
    elif hasattr(given, "__arrow_c_stream__"):
        table = pa.table(given)
    else:
        raise SourceError(f"input must be paths, a DataFrame or an Arrow table; got {type(given).__name__}.")
    if not table.num_rows:
        raise SourceError("the table has no rows.")
    return table


def _column(series: Any) -> pa.Array:
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A column of several types (numbers and text): each value stands for itself, as text.
        array = pa.array([None if v is None or v != v else str(v) for v in series], pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
