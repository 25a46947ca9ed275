"""Names to show for items: the most frequent one in a column of the same table, or of a second file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from embedkit_sessions import tables, values
from embedkit_sessions.columns import pick
from embedkit_sessions.ids import canonical
from embedkit_sessions.inputs import Inputs, find_inputs
from embedkit_sessions.reading import choose_columns, open_tables, table_reading

if TYPE_CHECKING:
    import duckdb

    from embedkit_sessions.source import Options


def read_labels(inputs: Inputs, options: Options, folder: Path) -> list[tuple[str, str]]:
    """Return pairs of an item and its name, the most frequent one, of equally frequent ones the first in order.

    Raises
    ------
    SourceError
        If a file or column is missing or damaged.
    """
    with tables.connect(folder) as connection:
        counted = pa.concat_tables(list(_counted(connection, inputs, options, folder)))
    ids, codes = canonical(counted["item"].combine_chunks())
    table = pa.table({"item": codes, "label": pc.utf8_normalize(counted["label"], form="NFC"), "n": counted["n"]})
    table = table.filter(pc.greater_equal(table["item"], 0)).group_by(["item", "label"]).aggregate([("n", "sum")])
    table = table.sort_by([("item", "ascending"), ("n_sum", "descending"), ("label", "ascending")])
    best = table.group_by("item", use_threads=False).aggregate([("label", "first")])
    named = zip(ids.take(best["item"].combine_chunks()).to_pylist(), best["label_first"].to_pylist(), strict=True)
    return sorted(named)


def _counted(
    connection: duckdb.DuckDBPyConnection, inputs: Inputs, options: Options, folder: Path
) -> Iterator[pa.Table]:
    """Yield tables of raw item, label and how often they meet, one a file."""
    if options.labels is not None:
        reading = tables.Reading(encoding=options.encoding, named=_named(options))
        for table in open_tables(connection, find_inputs(options.labels, "table"), folder, reading):
            item = pick(table.name, table.columns, options.labels_id_column, "--labels-id-column")
            label = pick(table.name, table.columns, options.labels_name_column, "--labels-name-column")
            yield _pairs(connection, table, item, label)
        return
    for table in open_tables(connection, inputs, folder, table_reading(options)):
        positions = choose_columns(table, options).positions
        if "label" in positions:
            yield _pairs(connection, table, positions["item"], positions["label"])


def _named(options: Options) -> bool:
    given = (options.labels_id_column, options.labels_name_column)
    return any(isinstance(column, str) and not column.isdigit() for column in given)


def _pairs(connection: duckdb.DuckDBPyConnection, table: tables.Table, item: int, label: int) -> pa.Table:
    item_sql, label_sql = values.text_sql(table, item), f"trim({values.text_sql(table, label)})"
    grouped = replace(
        table.only([item, label]),
        relation=f"(SELECT {item_sql} AS item, {label_sql} AS label, count(*) AS n FROM {table.relation} "
        f"WHERE {item_sql} IS NOT NULL AND {label_sql} <> '' GROUP BY ALL)",
    )
    schema = pa.schema([("item", pa.large_string()), ("label", pa.large_string()), ("n", pa.int64())])
    batches = tables.stream(connection, grouped, {"item": "item", "label": "label", "n": "n"})
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)
