"""Arrays in NumPy's format: their header, read with suspicion, and what lies behind it, memory-mapped."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np

from embedkit.errors import ModelError

_NO_HEADER = (ValueError, TypeError, EOFError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError)
_LARGEST = 1 << 60  # bytes; NumPy refuses larger arrays even where one of their lengths is zero


@dataclass(frozen=True)
class Header:
    """What the first bytes of an array in NumPy's format tell, and how many they are."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype
    length: int
    entry: str = ""
    """The file of the archive that it is in, if it is in one."""

    @property
    def size(self) -> int:
        """How many bytes header and numbers take together."""
        return self.length + math.prod(self.shape) * self.dtype.itemsize


def map_npy(path: Path, check: Callable[[tuple[int, ...], np.dtype, str], None] | None = None) -> np.ndarray:
    """Return the array of a `.npy` file as a read-only memory map; `check` may refuse its shape and type before.

    Raises
    ------
    ModelError
        If it is none, is cut short, or holds Python objects.
    """
    with path.open("rb") as file:
        header = read_header(file, str(path), path.stat().st_size)
    if check is not None:
        check(header.shape, header.dtype, str(path))
    if not math.prod(header.shape) * header.dtype.itemsize:
        return np.empty(header.shape, header.dtype)  # which cannot be mapped
    order: Literal["F", "C"] = "F" if header.by_columns else "C"
    return np.memmap(path, header.dtype, "r", header.length, header.shape, order)


def read_header(file: IO[bytes], what: str, size: int) -> Header:
    """Read the header of an array of which, with its numbers, there are `size` bytes."""
    first = file.read(6)
    if first[:1] == b"\x80":
        raise ModelError(
            f"{what} is a pickle, which could run any code, and is not read: save its numbers with numpy.save."
        )
    try:
        version = np.lib.format.read_magic(io.BytesIO(first + file.read(2)))
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote, and of damaged ones
            shape, by_columns, dtype = read(file)  # type: ignore[arg-type]
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError(f"shape {shape}")
        if math.prod(max(1, length) for length in shape) * max(1, dtype.itemsize) > _LARGEST or len(shape) > 32:
            raise ValueError(f"shape {shape}")
    except _NO_HEADER as error:
        raise ModelError(f"{what} is no array of NumPy's, or its header is damaged: save it again.") from error
    header = Header(shape, by_columns, dtype, file.tell())
    if dtype.hasobject:
        raise ModelError(
            f"{what} holds pickled Python objects, which could run any code, and is not read: "
            "save numbers as float32, tokens as numpy.array(tokens, dtype=str)."
        )
    if header.size > size:
        raise ModelError(f"{what} is cut short: {size:,} bytes instead of {header.size:,}. Fetch or save it again.")
    return header
