"""NumPy's files: `.npy`, memory-mapped where it can be, and `.npz`, read as a stream. Pickles are refused unread."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from embedkit.embeddings.importing.keys import as_strings, plain_choice, read_keys
from embedkit.embeddings.importing.npy import Header, map_npy, read_header
from embedkit.embeddings.importing.request import (
    Request,
    as_matrix,
    check_agreement,
    check_matrix,
    tell_conversion,
)
from embedkit.embeddings.importing.rows import Rows, block_height
from embedkit.errors import ModelError, did_you_mean
from embedkit.memory import check_fits
from embedkit.names import Names

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)


def read_npy(request: Request) -> tuple[Names, np.ndarray]:
    """Read a matrix from a `.npy` file and its tokens from another."""
    path = request.path
    request.without_columns()
    if request.keys is None:
        raise ModelError(f"{path} holds vectors without names: name their tokens, a line a row, with --keys FILE.")
    mapped = map_npy(path, check_matrix)
    tokens = read_keys(request.keys, request.token_column)
    check_agreement(tokens, len(mapped), str(request.keys), str(path))
    return tokens, as_matrix(mapped, str(path), request.say)


def read_npz(request: Request) -> tuple[Names, np.ndarray]:
    """Read a matrix from a `.npz` file, and its tokens from there or from another file."""
    path = request.path
    try:
        with zipfile.ZipFile(path) as archive:
            headers = _headers(archive, path)
            name = _choose_vectors(headers, request)
            tokens, keys = _npz_tokens(archive, headers, name, request)
            check_agreement(tokens, headers[name].shape[0], keys, f"array {name!r} of {path}")
            return tokens, _npz_matrix(archive, name, headers[name], request)
    except _DAMAGED as error:
        raise ModelError(f"{path} is damaged or no .npz file ({error}); fetch or save it again.") from error


def _headers(archive: zipfile.ZipFile, path: Path) -> dict[str, Header]:
    """Return the headers of all arrays that are no Python objects, by name."""
    headers = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name in headers:
            raise ModelError(f"{path} has two arrays named {name!r}; save it again with distinct names.")
        with archive.open(entry) as file:
            header = _header_of_any(file, f"array {name!r} of {path}", entry.file_size)
        headers[name] = replace(header, entry=entry.filename)
    return headers


def _header_of_any(file: IO[bytes], what: str, size: int) -> Header:
    try:
        return read_header(file, what, size)
    except ModelError as error:
        if "pickle" not in str(error):
            raise
        return Header((0,), False, np.dtype(object), 0)  # refused if it is asked for


def _choose_vectors(headers: dict[str, Header], request: Request) -> str:
    name = request.vector_name()
    found = [n for n, header in headers.items() if len(header.shape) == 2 and header.dtype.kind in "fiu"]
    if name is None and len(found) == 1:
        name = found[0]
    if name is None:
        which = f"several matrices ({', '.join(found)})" if found else "no matrix of numbers"
        raise ModelError(f"{request.path} holds {which}: name the array of vectors with --vector-column.")
    what = _known(headers, name, request.path)
    check_matrix(headers[name].shape, headers[name].dtype, what)
    return name


def _npz_tokens(
    archive: zipfile.ZipFile, headers: dict[str, Header], vectors: str, request: Request
) -> tuple[Names, str]:
    """Return the tokens, and what messages call where they are from."""
    if request.keys is not None:
        return read_keys(request.keys, request.token_column), str(request.keys)
    name, path = request.token_column, request.path
    found = [n for n, header in headers.items() if header.dtype.kind in "UO" and n != vectors]
    if name is None:
        name = plain_choice(found)
    if name is None:
        raise ModelError(
            f"{path} has {'several arrays' if found else 'no array'} of strings to be the tokens: "
            "name one with --token-column, or a file with --keys."
        )
    what = _known(headers, name, path)
    if headers[name].dtype.hasobject:
        raise ModelError(
            f"{what} holds pickled Python objects, which could run any code, and is not read: save the tokens as "
            "numpy.array(tokens, dtype=str), or give them with --keys FILE."
        )
    check_fits(headers[name].size, f"the tokens in {what}", "give them with --keys FILE instead")
    with archive.open(headers[name].entry) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a header that Python 2 wrote, or that is damaged so far that it looks so
        return as_strings(np.lib.format.read_array(file, allow_pickle=False), what), what


def _known(headers: dict[str, Header], name: str, path: Path) -> str:
    if name not in headers:
        near = did_you_mean(name, headers) or f" It has: {', '.join(headers)}."
        raise ModelError(f"{path} has no array {name!r}.{near}")
    return f"array {name!r} of {path}"


def _npz_matrix(archive: zipfile.ZipFile, name: str, header: Header, request: Request) -> np.ndarray:
    """Read a matrix of an archive as float32, block by block unless it lies by columns."""
    what = f"array {name!r} of {request.path}"
    tell_conversion(header.dtype, what, request.say)
    n, width = header.shape
    height = block_height(width * header.dtype.itemsize)
    if header.by_columns:
        check_fits(2 * header.size, what, "save it by rows, as numpy.ascontiguousarray gives it")
        height = n
    with archive.open(header.entry) as file, Rows() as rows:
        file.read(header.length)
        for start in range(0, n, height):
            count = min(height, n - start)
            raw = file.read(count * width * header.dtype.itemsize)
            rows.append(np.frombuffer(raw, header.dtype).reshape(count, width, order="F" if header.by_columns else "C"))
        return rows.matrix()
