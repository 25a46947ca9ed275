"""Checks of what embeddings are made of; each error tells which part is wrong and what it should be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from embedkit.contracts import History
from embedkit.errors import EmbedkitError
from embedkit.names import Names


def as_names(given: Names | Iterable[str], what: str) -> Names:
    """Return `given` as Names; strings are checked to be distinct, Names are taken at their word."""
    if isinstance(given, Names):
        return given
    if isinstance(given, str):
        raise EmbedkitError(f"{what} must be a list of strings, not one string: {given!r}.")
    strings = list(given)
    names = Names.from_strings(strings)
    if len(set(strings)) < len(strings):
        raise EmbedkitError(f"{what} must be distinct; {names.first_duplicate()!r} stands twice.")
    return names


def as_labels(given: Names | Iterable[str] | None, n: int) -> Names | None:
    """Return labels as Names, one a token."""
    if given is None:
        return None
    names = given if isinstance(given, Names) else Names.from_strings(given)
    return _one_each(names, "labels", n, "tokens")


def as_matrix(given: Any, what: str, n: int | None = None, of: str = "tokens", width: int | None = None) -> np.ndarray:
    """Return a read-only C-contiguous float32 matrix of `n` rows and `width` columns (None: any)."""
    array = np.asarray(given)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise EmbedkitError(f"{what} must be a matrix of numbers, not {array.dtype} of shape {array.shape}.")
    if array.shape[1] == 0:
        raise EmbedkitError(f"{what} must have at least one column.")
    if width is not None and array.shape[1] != width:
        raise EmbedkitError(f"{what} have {array.shape[1]} columns, but vectors have {width}; they must agree.")
    if n is not None:
        _one_each(array, what, n, of)
    return _read_only(np.ascontiguousarray(array, np.float32))


def as_optional_matrix(given: Any, what: str, n: int, of: str, width: int) -> np.ndarray | None:
    """Return None for None, else as `as_matrix`."""
    return None if given is None else as_matrix(given, what, n, of, width)


def as_array(given: Any, what: str, dtype: Any, n: int, of: str = "tokens") -> np.ndarray:
    """Return a read-only array of one value for each of `n`."""
    array = np.asarray(given)
    if array.ndim != 1 or array.dtype.kind not in ("fiu" if np.dtype(dtype).kind == "f" else "iu"):
        raise EmbedkitError(f"{what} must be a {np.dtype(dtype)} array, not {array.dtype} of shape {array.shape}.")
    _one_each(array, what, n, of)
    return _read_only(np.ascontiguousarray(array, dtype))


def as_histories(given: History | None, n_keys: int, n_tokens: int) -> History | None:
    """Return histories, one a key, with their arrays in the types of `History`; ids are checked."""
    if given is None:
        return None
    n = len(given.indices)
    indptr = as_array(given.indptr, "histories.indptr", np.int64, n_keys + 1, "keys and one more")
    indices = as_array(given.indices, "histories.indices", np.int32, n, "entries")
    problem = history_problem(indptr, indices, n_tokens)
    if problem:
        raise EmbedkitError(f"histories {problem}.")
    weights, times = given.weights, given.times
    return History(
        indptr,
        indices,
        None if weights is None else as_array(weights, "histories.weights", np.float32, n, "entries"),
        None if times is None else as_array(times, "histories.times", np.int64, n, "entries"),
    )


def history_problem(indptr: np.ndarray, indices: np.ndarray, n_tokens: int) -> str | None:
    """Return what is wrong with compressed rows of token ids, or None."""
    if len(indptr) == 0 or indptr[0] != 0 or indptr[-1] != len(indices):
        return "do not begin at 0 and end at the number of their entries"
    if (indptr[1:] < indptr[:-1]).any():
        return "have rows that end before they begin"
    if len(indices) and (indices.min() < 0 or indices.max() >= n_tokens):
        return f"hold a token id that is not among the {n_tokens:,} tokens"
    return None


def as_config(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of the configuration; every value must be fit for JSON."""
    config = dict(given or {})
    for name, value in config.items():
        try:
            json.dumps({name: value})
        except (TypeError, ValueError) as error:
            raise EmbedkitError(f"config {name!r} cannot be written as JSON: {error}.") from error
    return config


def as_arrays(given: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """Return the further arrays, C-contiguous and read-only, each of a numeric type that a file can hold."""
    arrays = {}
    for name, value in (given or {}).items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise EmbedkitError(f"array {name!r} must hold numbers, not {array.dtype}.")
        arrays[name] = _read_only(np.asarray(array, array.dtype.newbyteorder("="), order="C"))
    return arrays


def _one_each(given: Any, what: str, n: int, of: str) -> Any:
    if len(given) != n:
        raise EmbedkitError(f"there are {len(given):,} {what} for {n:,} {of}; give one each.")
    return given


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
