"""SQL for the raw values of a row, and the NumPy that turns them into times and weights."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa

from embedkit import OptionError, SourceError
from embedkit_sessions.tables import Table, is_nested, literal

BAD_TIME = -(2**63) + 1
MISSING_TIME = -(2**63)
DATES = "dates"
_UNITS = {
    "us": 1,
    "ms": 10**3,
    "s": 10**6,
    "sec": 10**6,
    "m": 6 * 10**7,
    "min": 6 * 10**7,
    "h": 36 * 10**8,
    "d": 864 * 10**8,
}
_SCALES = (
    ("seconds", 1e11, 1e6),
    ("milliseconds", 1e14, 1e3),
    ("microseconds", 1e17, 1.0),
    ("nanoseconds", np.inf, 1e-3),
)
_FLOATS = ("DOUBLE", "FLOAT")
_NUMBERS = (
    *_FLOATS,
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)


def duration(given: str) -> int:
    """Return a duration such as `30min`, `2h`, `1d` or `1800` (seconds) in microseconds."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", given.lower())
    unit = found[2] or "s" if found else ""
    if not found or unit not in _UNITS or not float(found[1]):
        raise OptionError("session_gap", f"must be a duration such as 30min, 2h, 1d or 1800 (seconds); got {given!r}.")
    return round(float(found[1]) * _UNITS[unit])


def text_sql(table: Table, position: int) -> str:
    """Return SQL for a column's values as text, NaN as NULL; whole floats end in `.0`, however large."""
    column, kind = table.identifiers[position], table.types[position]
    if is_nested(kind):
        held = f"{table.name} holds several values a row in column {table.columns[position]!r}"
        raise SourceError(f"{held}; write a row for each interaction (in pandas: explode).")
    if kind in _FLOATS:
        whole = f"{column} = trunc({column}) AND abs({column}) < 1e18"
        integer = f"CAST(CAST({column} AS BIGINT) AS VARCHAR) || '.0'"
        return f"CASE WHEN isnan({column}) THEN NULL WHEN {whole} THEN {integer} ELSE CAST({column} AS VARCHAR) END"
    return column if kind == "VARCHAR" else f"CAST({column} AS VARCHAR)"


def cancelled_sql(table: Table, position: int) -> str:
    """Return SQL for whether an invoice number is that of a cancellation: C and digits."""
    return f"coalesce(regexp_full_match({text_sql(table, position)}, '[Cc][0-9]+'), false)"


def weight_sql(table: Table, position: int) -> str:
    """Return SQL for a column's weights as DOUBLE: NULL where there is none, -infinity where it is no number."""
    column = table.identifiers[position]
    if table.types[position] in _NUMBERS or table.types[position].startswith("DECIMAL"):
        return f"CAST({column} AS DOUBLE)"
    text = f"CAST({column} AS VARCHAR)"
    bad = f"CASE WHEN trim({text}) <> '' THEN CAST('-infinity' AS DOUBLE) END"
    return f"coalesce(try_cast({text} AS DOUBLE), {bad})"


def time_sql(table: Table, position: int, form: str | None) -> dict[str, str]:
    """Return SQL for a column's times: `number` (DOUBLE, unit by its size) or `stamp` (microseconds)."""
    column, kind = table.identifiers[position], table.types[position]
    if kind.startswith(("TIMESTAMP", "DATE")):
        return {"stamp": f"epoch_us(CAST({column} AS TIMESTAMPTZ))"}
    if form is None and (kind in _NUMBERS or kind.startswith("DECIMAL")):
        return {"number": f"CAST({column} AS DOUBLE)"}
    text = f"CAST({column} AS VARCHAR)"
    bad = f"CASE WHEN trim({text}) <> '' THEN {BAD_TIME} END"
    if form is not None:
        parsed = f"epoch_us(try_strptime(trim({text}), {literal(form)}))"
        return {"stamp": f"coalesce({parsed}, {bad})"}
    number = f"try_cast({text} AS DOUBLE)"
    stamp = f"coalesce(epoch_us(try_cast({text} AS TIMESTAMPTZ)), {bad})"
    return {"number": number, "stamp": f"CASE WHEN {number} IS NULL THEN {stamp} END"}


def times(batch: pa.RecordBatch, units: Counter[str]) -> np.ndarray:
    """Return times in microseconds since 1970 (UTC), int64, `MISSING_TIME` and `BAD_TIME` where there are none.

    A number is seconds, milliseconds, microseconds or nanoseconds by its size: below 1e11, 1e14, 1e17, or above.
    `units` counts how many were taken for what; `DATES` are what is no number.
    """
    result = np.full(len(batch), MISSING_TIME)
    names = batch.schema.names
    if "stamp" in names:
        stamps = batch.column(names.index("stamp"))
        given = stamps.is_valid().to_numpy(zero_copy_only=False)
        np.copyto(result, stamps.fill_null(0).to_numpy(zero_copy_only=False), where=given)
        units[DATES] += int(np.count_nonzero(given & (result != BAD_TIME)))
    if "number" in names:
        numbers = batch.column(names.index("number")).fill_null(np.nan).to_numpy(zero_copy_only=False)
        bad = np.abs(numbers) > 9.2e21
        size = np.where(bad, np.nan, np.abs(numbers))
        low = -1.0
        for unit, high, scale in _SCALES:
            chosen = (size > low) & (size < high) if low < 0 else (size >= low) & (size < high)
            if count := int(np.count_nonzero(chosen)):
                units[unit] += count
                result[chosen] = np.round(numbers[chosen] * scale).astype(np.int64)
            low = high
        result[bad] = BAD_TIME
    return result


def weights(batch: pa.RecordBatch) -> np.ndarray:
    """Return weights as float32: NaN where there is none, infinite where it is no number or too large for one."""
    column = batch.column(batch.schema.names.index("weight"))
    with np.errstate(over="ignore"):
        return np.asarray(column.fill_null(np.nan).to_numpy(zero_copy_only=False)).astype(np.float32)
