"""A map as a table, for other programs to draw."""

from __future__ import annotations

from pathlib import Path

from embedkit.atlas.grouping import NONE
from embedkit.atlas.mapping import Map
from embedkit.embeddings.replacing import replacing

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_table(drawn: Map, path: Path) -> None:
    """Write the columns token, label, x, y and group (empty: none) as CSV or Parquet, which the path's ending tells.

    In CSV, a text that begins with = + - or @ gets a ' before it, so that no spreadsheet runs it.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    groups = ["" if group == NONE else drawn.groups.names[group] for group in drawn.groups.ids.tolist()]
    texts = {"token": list(drawn.tokens), "label": list(drawn.labels), "group": groups}
    as_csv = path.suffix.lower() == ".csv"
    if as_csv:
        texts = {name: [_harmless(value) for value in values] for name, values in texts.items()}
    columns = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    numbers = {name: pa.array(drawn.places[:, axis].tolist(), pa.float32()) for axis, name in enumerate("xy")}
    table = pa.table({**columns, **numbers}).select(["token", "label", "x", "y", "group"])
    with replacing(path) as file:
        if as_csv:
            csv.write_csv(table, file)
        else:
            parquet.write_table(table, file)


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
