"""Files of keys: the tokens that belong to the rows of a matrix."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.errors import ModelError
from embedkit.names import Names

_BLOCK = 1 << 18  # bytes
_LAST_CODE = 0x10FFFF  # of Unicode
_CALLED_SO = {"token", "tokens", "key", "keys"}


def read_keys(path: Path, column: str | None = None) -> Names:
    """Read tokens from a file: a JSON list or object, a column of CSV, TSV or Parquet, a `.npy` of strings, else lines.

    Parameters
    ----------
    column
        Which column of a table; needed where it has several columns of text.

    Raises
    ------
    ModelError
        If the file cannot be read or holds something else.
    """
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv", ".parquet", ".pq"):
        from embedkit.embeddings.importing.tables import read_token_column

        return read_token_column(path, column)
    if column is not None:
        raise ModelError(f"{path} has no columns: leave out --token-column.")
    if ending == ".json":
        return _of_json(path)
    if ending == ".npy":
        return _of_npy(path)
    return _of_lines(path)


def plain_choice(names: Sequence[str]) -> str | None:
    """Return the column that holds the tokens: the only one, or the only one that is called so; or None."""
    called_so = [name for name in names if name in _CALLED_SO] if len(names) > 1 else list(names)
    return called_so[0] if len(called_so) == 1 else None


def as_strings(array: np.ndarray, what: str) -> Names:
    """Return a one-dimensional array of strings or whole numbers as names."""
    if array.ndim != 1 or array.dtype.kind not in "Uiu":
        raise ModelError(f"{what} must be a list of strings, not {array.dtype} of shape {array.shape}.")
    if array.dtype.kind == "U" and array.dtype.itemsize:
        codes = np.ascontiguousarray(array).view(array.dtype.byteorder.replace("|", "=") + "u4")
        if codes.size and (codes.max() > _LAST_CODE or ((codes >= 0xD800) & (codes < 0xE000)).any()):
            raise ModelError(f"{what} holds what is no character; it is damaged: save it again.")
    return Names.from_strings(array.astype(str).tolist())


def _of_lines(path: Path) -> Names:
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise ModelError(f"{path} line {line:,} is not UTF-8; save it as UTF-8.") from error
    if data and not data.endswith(b"\n"):
        data += b"\n"
    raw = np.frombuffer(data, np.uint8)
    offsets = np.zeros(1 + data.count(b"\n"), np.int64)
    done = 0
    for start in range(0, len(raw), _BLOCK):
        breaks = start + np.flatnonzero(raw[start : start + _BLOCK] == ord("\n"))
        # Behind k line breaks that are left out, everything lies k bytes before where it lay.
        offsets[done + 1 : done + 1 + len(breaks)] = breaks - np.arange(done, done + len(breaks))
        done += len(breaks)
    return Names(raw[raw != ord("\n")], offsets)


def _of_json(path: Path) -> Names:
    try:
        text = path.read_bytes()
        # A list of lists is not what it should be, and takes thirty times its size once it is parsed.
        given = None if re.match(rb"[^\[{]{0,99}[\[{]\s*[\[{]", text) else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no JSON: {error}.") from error
    if isinstance(given, dict):
        given = _in_order(given, path)
    if not isinstance(given, list) or not all(type(key) in (str, int) for key in given):
        raise ModelError(f'{path} must hold a list of strings, or an object of rows by key: {{"cat": 0, "dog": 1}}.')
    return Names.from_strings(map(str, given))


def _in_order(rows: dict[str, Any], path: Path) -> list[str]:
    """Return the keys of an object whose values are the numbers of their rows, in that order."""
    try:
        ordered = sorted(rows, key=rows.__getitem__)
        if [rows[key] for key in ordered] == list(range(len(rows))):
            return ordered
    except TypeError:
        pass
    raise ModelError(f"the values in {path} must number the rows from 0 to {len(rows) - 1:,}, each once.")


def _of_npy(path: Path) -> Names:
    from embedkit.embeddings.importing.npy import map_npy

    with path.open("rb") as file:
        if file.read(2) == b"PK":
            raise ModelError(f"{path} is an archive (.npz), not one array: save its tokens alone with numpy.save.")
    return as_strings(map_npy(path), str(path))
