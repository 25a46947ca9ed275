"""What is to be read, and what the readers of all formats give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embedkit.embeddings.importing.rows import Rows, blocks_of
from embedkit.errors import ModelError
from embedkit.names import Names

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """A file of vectors and where in it, or beside it, things are.

    Attributes
    ----------
    path
        The file.
    keys
        A file of the rows' tokens, or None where the vectors' own file holds them.
    token_column, vector_columns
        Columns (of a `.npz` arrays, of safetensors tensors) by name; None and () where they are to be found.
    say
        Receives a line about what was converted or left aside.
    """

    path: Path
    keys: Path | None
    token_column: str | None
    vector_columns: tuple[str, ...]
    say: Say

    def without_columns(self) -> None:
        """Refuse names of columns, for formats that have none."""
        if (self.token_column is not None and self.keys is None) or self.vector_columns:
            raise ModelError(f"{self.path} has no columns to name: leave out --token-column and --vector-column.")

    def own_tokens(self) -> None:
        """Refuse a file of keys, for formats that hold the tokens themselves."""
        if self.keys is not None:
            raise ModelError(f"{self.path} holds its tokens itself: leave out --keys.")

    def vector_name(self) -> str | None:
        """Return the one name that was given for the vectors, or None."""
        if len(self.vector_columns) > 1:
            raise ModelError(f"{self.path} holds vectors in one piece: give one --vector-column, not several.")
        return self.vector_columns[0] if self.vector_columns else None


def as_matrix(array: np.ndarray, what: str, say: Say) -> np.ndarray:
    """Return a float32 matrix of `array`, which stays where it is (in its file) if it is one already.

    Parameters
    ----------
    array
        n × d numbers of any real type, perhaps memory-mapped.
    what
        What messages call it.
    """
    check_matrix(array.shape, array.dtype, what)
    if array.dtype == np.dtype("<f4") and array.flags.c_contiguous and array.flags.aligned:
        return array
    tell_conversion(array.dtype, what, say)
    with Rows() as rows:
        for block in blocks_of(array):
            rows.append(block)
        return rows.matrix()


def check_matrix(shape: tuple[int, ...], dtype: np.dtype, what: str) -> None:
    """Raise `ModelError` unless it is a matrix of real numbers with a row at least."""
    if dtype.kind not in "fiu":
        raise ModelError(f"{what} holds {_kind(dtype)}, not numbers; vectors are floating-point or whole numbers.")
    if len(shape) != 2:
        raise ModelError(f"{what} must be a matrix, a row for each vector; its shape is {shape}.")
    if 0 in shape:
        raise ModelError(f"{what} is empty: its shape is {shape}.")


def tell_conversion(dtype: np.dtype, what: str, say: Say) -> None:
    """Say that numbers of another type become float32."""
    if dtype.newbyteorder("=") != np.float32:
        say(f"{what} holds {dtype.name}; its numbers are kept as float32.")


def check_agreement(tokens: Names, n_rows: int, keys: str, vectors: str) -> None:
    """Raise `ModelError` unless there is a token for each row."""
    if len(tokens) != n_rows:
        more = " Is its first line a header?" if len(tokens) == n_rows + 1 else ""
        raise ModelError(
            f"{keys} has {len(tokens):,} keys and {vectors} has {n_rows:,} vectors; they must agree row by row.{more}"
        )


def _kind(dtype: np.dtype) -> str:
    return {"O": "Python objects", "U": "strings", "S": "bytes", "b": "truth values", "c": "complex numbers"}.get(
        dtype.kind, str(dtype)
    )
