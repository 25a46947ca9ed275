"""The safetensors format, read and written: a header of JSON, then the bytes of the tensors.

8 bytes hold the header's length (little-endian), the header maps names to dtype, shape and place, and the
tensors lie behind it without gaps. See the format's description at https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from embedkit.errors import ModelError

MAX_HEADER = 4_000_000  # bytes; as JSON, what Python makes of it may take twenty times as much
CHECKSUM = "embedkit.checksum"  # its name among the metadata
BLOCK = 1 << 24  # bytes hashed, written or decoded at a time
ALIGNMENT = 64  # of the first tensor, so that a vector register's loads do not straddle cache lines

BFLOAT16 = np.dtype([("upper_half", "<u2")])
"""Stands for a type that NumPy does not have: the upper half of a float32. No model of embedkit has it."""

_DTYPES: dict[str, Any] = {
    "F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4",
    "F16": "<f2", "I16": "<i2", "U16": "<u2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1", "BF16": BFLOAT16,
}  # fmt: skip
_NO_CHECKSUM = "0" * 32
_LARGEST = 1 << 57  # numbers
_NAMES: dict[Any, str] = {np.dtype(code): name for name, code in _DTYPES.items()}


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies: its type and shape, and the bytes `begin` to `end` after the header."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file holds: its metadata, its tensors and where their bytes begin."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    data: int


def lay_out(tensors: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Return places for tensors without gaps, those of the widest types first so that all are aligned."""
    layout, begin = {}, 0
    for name, array in sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize):
        layout[name] = Tensor(array.dtype, array.shape, begin, begin + array.nbytes)
        begin += array.nbytes
    return layout


def encode_header(layout: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return the first bytes of a file, padded so that the tensors behind them are aligned."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    for name, tensor in layout.items():
        place = [tensor.begin, tensor.end]
        entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": tensor.shape, "data_offsets": place}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    if len(text) > MAX_HEADER:
        raise ModelError(f"the model's configuration is too large for its file: {len(text):,} bytes.")
    return len(text).to_bytes(8, "little") + text


def begins_like_model(path: Path) -> bool:
    """Return whether a file begins as this format does; the rest of it may be damaged."""
    with path.open("rb") as file:
        first = file.read(9)
    return first[8:] == b"{" and 2 <= int.from_bytes(first[:8], "little") <= MAX_HEADER


def read_header(path: Path, what: str = "model", remedy: str = "Train or copy it again.") -> Header:
    """Read and check the header of a file, against the file's size too.

    Parameters
    ----------
    what, remedy
        What messages call the file, and what they say is to be done about one that is damaged.

    Raises
    ------
    ModelError
        If the file is missing, no file, empty, of another format, truncated or damaged.
    """
    text, size = _read_text(path, what, remedy)
    try:
        entries = json.loads(text, object_pairs_hook=_distinct)
        if not isinstance(entries, dict):
            raise ValueError("its header is no table of tensors")
        metadata = entries.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("its metadata are no table of strings")
        tensors = {name: _tensor(name, entry) for name, entry in entries.items()}
        data = 8 + len(text)
        end = _check_places(tensors, data)
    except (ValueError, RecursionError) as error:
        reason = "its header is no JSON" if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else error
        raise ModelError(f"{path} is damaged or no {what} of embedkit: {reason}. {remedy}") from error
    if data + end != size:
        trouble = "truncated" if size < data + end else "damaged (there is more than it tells of)"
        raise ModelError(f"{path} is {trouble}: {size:,} bytes instead of {data + end:,}. {remedy}")
    return Header(metadata, tensors, data)


def _read_text(path: Path, what: str, remedy: str) -> tuple[bytes, int]:
    """Return the header's bytes and the file's size."""
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name the {what} file in it.")
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for whoever writes to it
            raise ModelError(f"{path} is no regular file; copy the {what} into one, as it is not read in one go.")
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            first = file.read(8)
            length = int.from_bytes(first, "little")
            if size == 0:
                raise ModelError(f"{path} is empty. {remedy}")
            if size < 8 or length > MAX_HEADER or length < 2:
                raise ModelError(f"{path} is no {what} of embedkit: it does not begin like a safetensors file.")
            text = file.read(length)
    except FileNotFoundError:
        raise ModelError(f"there is no model {path}; name one that `embedkit train` wrote, or train it.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not text.startswith(b"{"):
        raise ModelError(f"{path} is no {what} of embedkit: it does not begin like a safetensors file.")
    if len(text) < length:
        raise ModelError(f"{path} is truncated: {size:,} bytes do not hold its header. {remedy}")
    return text, size


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("its header names something twice")
    return table


def _tensor(name: str, entry: Any) -> Tensor:
    """Return one entry of the header, checked."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name!r} is not described as it should be")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"tensor {name!r} is of the unknown type {dtype!r}")
    if not (_counts(shape) and _counts(place) and len(place) == 2):
        raise ValueError(f"the shape or place of tensor {name!r} is no list of whole numbers")
    itemsize = np.dtype(_DTYPES[dtype]).itemsize
    room = math.prod(max(1, length) for length in shape)  # NumPy refuses what would be too large but for a zero
    if place[1] - place[0] != math.prod(shape) * itemsize or len(shape) > 8 or room > _LARGEST:
        raise ValueError(f"the size of tensor {name!r} does not fit its shape")
    return Tensor(np.dtype(_DTYPES[dtype]), tuple(shape), place[0], place[1])


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 1 << 62 for v in values)


def _check_places(tensors: Mapping[str, Tensor], data: int) -> int:
    """Check that the tensors lie one behind the other, each aligned; return where the last ends."""
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != end:
            raise ValueError(f"tensor {name!r} does not begin where the one before it ends")
        if (data + tensor.begin) % tensor.dtype.itemsize:
            raise ValueError(f"tensor {name!r} is not aligned to its type")
        end = tensor.end
    return end


def map_tensors(path: Path, header: Header) -> dict[str, np.ndarray]:
    """Return the tensors as read-only views of the memory-mapped file."""
    whole = np.asarray(np.memmap(path, np.uint8, mode="r"))[header.data :]
    return {
        name: whole[tensor.begin : tensor.end].view(tensor.dtype).reshape(tensor.shape)
        for name, tensor in header.tensors.items()
    }


def write_tensors(file: BinaryIO, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write a whole file, block by block, and a checksum of it among its metadata.

    The checksum is BLAKE2b (128 bits) of the whole file with zeros in the checksum's place.
    """
    little = {name: np.dtype(array.dtype).newbyteorder("<") for name, array in tensors.items()}
    tensors = {name: np.asarray(tensors[name], dtype, order="C") for name, dtype in little.items()}
    layout = lay_out(tensors)
    header = encode_header(layout, {**metadata, CHECKSUM: _NO_CHECKSUM})
    digest = hashlib.blake2b(header, digest_size=16)
    file.write(header)
    for name in layout:
        for block in blocks(tensors[name]):
            digest.update(block)
            file.write(block)
    file.seek(0)
    file.write(encode_header(layout, {**metadata, CHECKSUM: digest.hexdigest()}))


def blocks(array: np.ndarray) -> Iterator[memoryview]:
    """Yield the bytes of an array, some at a time."""
    data = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(data), BLOCK):
        yield data[start : start + BLOCK]


def checksum(path: Path) -> str:
    """Return the checksum of a file as it was when its own was not yet known."""
    with path.open("rb") as file:
        first = file.read(8)
        text = file.read(int.from_bytes(first, "little"))
        # A quote inside of a JSON string is escaped, so this can be found nowhere but in its place.
        mark = f'"{CHECKSUM}":"'.encode()
        place = text.find(mark) + len(mark)
        text = text[:place] + _NO_CHECKSUM.encode() + text[place + len(_NO_CHECKSUM) :]
        digest = hashlib.blake2b(first + text, digest_size=16)
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
