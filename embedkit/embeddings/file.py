"""Embeddings in one safetensors file: written whole or not at all, memory-mapped when read."""

from __future__ import annotations

import codecs
import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.contracts import History
from embedkit.embeddings import index as indexing
from embedkit.embeddings.embeddings import Embeddings
from embedkit.embeddings.replacing import check_writable as check_writable
from embedkit.embeddings.replacing import replacing
from embedkit.embeddings.safetensors import (
    BLOCK,
    CHECKSUM,
    Header,
    blocks,
    checksum,
    map_tensors,
    read_header,
    write_tensors,
)
from embedkit.errors import EmbedkitError, ModelError
from embedkit.names import Names

FORMAT_VERSION = 1

_METADATA = "embedkit"
_HUGE = 1e15  # what no vector comes near to, and whose square float32 can still hold
_HALVES = re.compile("[\ud800-\udfff]")
_TYPES = {"vectors": "f4", "context_vectors": "f4", "key_vectors": "f4", "counts": "i8"}
_HISTORY_TYPES = {"indptr": "i8", "indices": "i4", "weights": "f4", "times": "i8"}
_GROUPS = {*_TYPES, "tokens", "labels", "keys", "histories", "arrays"}


@dataclass(frozen=True)
class FileInfo:
    """What a model file tells of itself.

    Attributes
    ----------
    format_version, version, created
        Of the format; of the embedkit that wrote the file; when (ISO 8601, UTC).
    checksum
        BLAKE2b (128 bits) of the whole file, taken with zeros in the checksum's place.
    size
        Bytes.
    """

    format_version: int
    version: str
    created: str
    checksum: str
    size: int


def save(embeddings: Embeddings, path: str | os.PathLike[str]) -> None:
    """Write `embeddings` to one file, block by block; `Embeddings.save` is this.

    Raises
    ------
    ModelError
        If the file cannot be written; what was there before is whole then.
    """
    with replacing(Path(path)) as file:
        write_tensors(file, _tensors(embeddings), {_METADATA: _describe(embeddings)})


def _describe(embeddings: Embeddings) -> str:
    """Return all that is no array, as JSON."""
    import embedkit

    described = {
        "format_version": FORMAT_VERSION,
        "version": embedkit.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "query": embeddings.query,
        "losses": embeddings.losses,
        "config": dict(embeddings.config),
    }
    text = json.dumps(described, ensure_ascii=False)
    # Halves of characters, which a config may have from elsewhere, have no bytes but those of their escapes.
    return text if text.isascii() or not _HALVES.search(text) else json.dumps(described)


def _tensors(embeddings: Embeddings) -> dict[str, np.ndarray]:
    """Return everything that is an array under its name in the file."""
    history = embeddings.histories
    given: dict[str, np.ndarray | None] = {
        "vectors": embeddings.vectors,
        "context_vectors": embeddings.context_vectors,
        "key_vectors": embeddings.key_vectors,
        "counts": embeddings.counts,
    }
    for name, names in (("tokens", embeddings.tokens), ("labels", embeddings.labels), ("keys", embeddings.keys)):
        if names is not None:
            given |= {f"{name}.utf8": names.utf8, f"{name}.offsets": names.offsets, f"{name}.order": names.order}
    if history is not None:
        given |= {f"histories.{part}": getattr(history, part) for part in _HISTORY_TYPES}
    given |= {f"arrays.{name}": array for name, array in embeddings.arrays.items()}
    return {name: array for name, array in given.items() if array is not None}


def load(path: str | os.PathLike[str], *, index: bool | None = None) -> Embeddings:
    """Read embeddings from a file; the arrays stay in it and are read as they are needed.

    Header, sizes, names and ids are checked; the vectors' checksum and finiteness by `verify` alone.

    Parameters
    ----------
    index
        Whether to answer through the index beside the model: True refuses a model without one that fits, False does
        not look for it; None takes it for catalogues of `index.WORTH` tokens and more, and warns of one that is not
        the model's.

    Raises
    ------
    ModelError
        If the file is missing, of another format, of a newer version, truncated or damaged.
    """
    embeddings = _load(Path(path))
    if index is False or (index is None and not indexing.may_pay(embeddings, path)):
        return embeddings
    try:
        return embeddings.with_index(indexing.open_index(path, embeddings, 0 if index else indexing.PATIENCE))
    except ModelError as error:
        if index:
            raise
        warnings.warn(f"answers are exact, not through an index: {error}", stacklevel=2)
        return embeddings


def _load(path: Path) -> Embeddings:
    header = read_header(path)
    described = _read_description(path, header)
    try:
        tensors = map_tensors(path, header)
        return Embeddings(**_parts(tensors), **_settings(described))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {(error.strerror or str(error)).rstrip('.')}.") from error
    except (EmbedkitError, KeyError, TypeError, ValueError) as error:
        reason = f"{error.args[0]!r} is missing" if type(error) is KeyError else error
        raise ModelError(f"{path} is damaged: {reason} Train or copy it again.") from error


def info(path: str | os.PathLike[str]) -> FileInfo:
    """Return what a model file tells of itself; its arrays are not read."""
    path = Path(path)
    header = read_header(path)
    described = _read_description(path, header)
    return FileInfo(
        FORMAT_VERSION,
        str(described.get("version", "")),
        str(described.get("created", "")),
        header.metadata.get(CHECKSUM, ""),
        path.stat().st_size,
    )


def _read_description(path: Path, header: Header) -> dict[str, Any]:
    """Return the metadata's JSON, of this format version or an older one."""
    if _METADATA not in header.metadata:
        raise ModelError(f"{path} is a safetensors file, but embedkit did not write it.")
    try:
        described = json.loads(header.metadata[_METADATA])
        version = described["format_version"]
        if type(version) is not int or version < 1:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: its configuration cannot be read. Train or copy it again.") from error
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{path} is of format {version}; this embedkit reads up to {FORMAT_VERSION}. Bring embedkit up to date."
        )
    return dict(described)


def _settings(described: Mapping[str, Any]) -> dict[str, Any]:
    query, losses, config = described["query"], described["losses"], described["config"]
    if not (isinstance(query, str) and isinstance(losses, list) and isinstance(config, dict)):
        raise ValueError("its configuration is not what it should be.")
    return {"query": query, "losses": losses, "config": config}


def _parts(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the arguments of `Embeddings` that are made of tensors."""
    groups = {name.partition(".")[0] for name in tensors}
    if groups - _GROUPS:
        raise ValueError(f"it holds {min(groups - _GROUPS)!r}, which is no part of a model.")
    parts: dict[str, Any] = {name: _names(tensors, name) for name in ("tokens", *sorted(groups & {"labels", "keys"}))}
    for name in sorted(groups & _TYPES.keys() | {"vectors"}):
        parts[name] = _typed(tensors, name, _TYPES[name])
    if "histories" in groups:
        given = {
            part: _typed(tensors, f"histories.{part}", dtype)
            for part, dtype in _HISTORY_TYPES.items()
            if part in ("indptr", "indices") or f"histories.{part}" in tensors
        }
        parts["histories"] = History(**given)
    prefix = "arrays."
    parts["arrays"] = {name[len(prefix) :]: array for name, array in tensors.items() if name.startswith(prefix)}
    return parts


def _typed(tensors: Mapping[str, np.ndarray], name: str, dtype: str) -> np.ndarray:
    """Return a tensor, which must be of this type."""
    if tensors[name].dtype != np.dtype(dtype):
        raise ValueError(f"{name} are {tensors[name].dtype} and not {np.dtype(dtype)}.")
    return tensors[name]


def _names(tensors: Mapping[str, np.ndarray], what: str) -> Names:
    """Return names of three tensors, checked: places in order, valid UTF-8, an order that is a permutation."""
    utf8, offsets, order = (
        _typed(tensors, f"{what}.{part}", dtype) for part, dtype in (("utf8", "u1"), ("offsets", "i8"), ("order", "i4"))
    )
    if not utf8.ndim == offsets.ndim == order.ndim == 1:
        raise ValueError(f"its {what} have more than one dimension.")
    n = len(offsets) - 1
    if n < 0 or offsets[0] != 0 or offsets[-1] != len(utf8) or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(f"the places of its {what} are not in order.")
    if len(order) != n or not _is_permutation(order):
        raise ValueError(f"the order of its {what} is none.")
    inner = offsets[:-1][offsets[:-1] < len(utf8)]
    if not _is_utf8(utf8) or (utf8[inner] & 0xC0 == 0x80).any():
        raise ValueError(f"its {what} are not valid UTF-8.")
    return Names(utf8, offsets, order)


def _is_permutation(order: np.ndarray) -> bool:
    if len(order) and (order.min() < 0 or order.max() >= len(order)):
        return False
    met = np.zeros(len(order), np.bool_)
    met[order] = True
    return bool(met.all())


def _is_utf8(utf8: np.ndarray) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in blocks(utf8):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def verify(path: str | os.PathLike[str]) -> FileInfo:
    """Check all of a file: what `load` checks, its checksum, that names are distinct and every number finite.

    Raises
    ------
    ModelError
        For the first thing that is wrong.
    """
    path = Path(path)
    embeddings, told = _load(path), info(path)
    if checksum(path) != told.checksum:
        raise ModelError(f"{path} is damaged: its checksum is not the one it was written with. Copy it again.")
    for what, names in (("token", embeddings.tokens), ("key", embeddings.keys)):
        twice = None if names is None else names.first_duplicate()
        if twice is not None:
            raise ModelError(f"{path} is damaged: the {what} {twice!r} stands twice. Train it again.")
    for name, array in _tensors(embeddings).items():
        row = _first_beyond(array, np.inf) if array.dtype.kind == "f" and array.ndim else -1
        if row >= 0:
            raise ModelError(f"{path} holds numbers that are not finite (row {row} of {name}). Train it again.")
    if embeddings.counts is not None and len(embeddings.counts) and embeddings.counts.min() < 0:
        raise ModelError(f"{path} is damaged: it has counts below 0. Train it again.")
    return told


def check_learnable(embeddings: Embeddings) -> None:
    """Refuse vectors from which nothing can be learned, as their squares are beyond float32, or they are no numbers.

    Raises
    ------
    ModelError
        Naming the first.
    """
    for name in ("vectors", "context_vectors", "key_vectors"):
        array = getattr(embeddings, name)
        row = -1 if array is None else _first_beyond(array, _HUGE)
        if row >= 0:
            raise ModelError(
                f"the model holds numbers that are huge or not finite (row {row} of {name}), from which nothing can be "
                "learned. Train it again."
            )


def _first_beyond(array: np.ndarray, bound: float) -> int:
    """Return the first row that holds NaN or a number as far from 0 as `bound`, or -1."""
    width = math.prod(array.shape[1:])
    rows = array.reshape(len(array), width)
    height = max(1, BLOCK // (4 * max(1, width)))
    for start in range(0, len(rows), height):
        within = (np.abs(rows[start : start + height]) < bound).all(axis=1)
        if not within.all():
            return start + int(np.argmin(within))
    return -1
