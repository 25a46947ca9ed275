"""The index of a model: what finds the best tokens without looking at all, in memory or in a file beside the model."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.embeddings.replacing import replacing
from embedkit.embeddings.safetensors import (
    CHECKSUM,
    Header,
    begins_like_model,
    checksum,
    map_tensors,
    read_header,
    write_tensors,
)
from embedkit.errors import EmbedkitError, ModelError
from embedkit.memory import check_fits
from embedkit.scoring import Measure, Tiers
from embedkit.scoring.cells import FEWEST, Cells, Progress, bytes_to_build, imported

if TYPE_CHECKING:
    from embedkit.embeddings.embeddings import Embeddings

FORMAT_VERSION = 1
WORTH = 200_000
"""Tokens from which an index that lies beside a model is used without being asked for; see docs/nearest.md."""

PATIENCE = 16
"""Queries that are answered exactly in about the time that reading an index takes: it is not read for fewer."""

_METADATA = "embedkit.index"


class Index:
    """What finds the best tokens without looking at all of them; opened when first asked.

    Parameters
    ----------
    tiers
        For `dot`, by which `recommend` ranks, and `cosine`, by which `most_similar` does, or for one of them.
    file
        Where the others are read from when they are first asked for.
    patience
        How many queries are answered without it before a file is read.
    """

    def __init__(self, tiers: Mapping[Measure, Tiers], file: IndexFile | None = None, patience: int = 0) -> None:
        self._tiers = dict(tiers)
        self._file = file
        self._patience, self._unasked = patience, patience > 0

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What it finds the best by."""
        return tuple(self._tiers) if self._file is None else self._file.measures

    def tiers(self, measure: Measure, n_queries: int = 1) -> Tiers | None:
        """Return what finds the best by a measure; None where the index is not for it, or not yet worth reading.

        A file that nobody asked for (`patience`) and that cannot be read by now, as when the model was trained anew,
        is warned of, and then gone without.

        Raises
        ------
        ModelError
            If it is read from a file now and that is damaged.
        """
        if measure in self._tiers or self._file is None or measure not in self._file.measures:
            return self._tiers.get(measure)
        if not self._unasked:
            return self.read(measure)
        self._patience -= n_queries
        if self._patience >= 0:
            return None
        try:
            return self.read(measure)
        except ModelError as error:
            warnings.warn(f"answers are exact, not through an index: {error}", stacklevel=2)
            self._file = None
            return None

    def read(self, measure: Measure) -> Tiers:
        """Return what finds the best by one of its measures, from the file if it is not in memory yet.

        Raises
        ------
        ModelError
            If it is read from a file now and that is damaged.
        """
        if measure not in self._tiers and self._file is not None:
            self._tiers[measure] = self._file.read(measure)
        return self._tiers[measure]

    def check_made_of(self, n_tokens: int) -> None:
        """Refuse a model of another size; a file's own was compared when it was opened."""
        for tiers in self._tiers.values():
            if len(tiers) != n_tokens:
                raise EmbedkitError(f"the index is of {len(tiers):,} tokens and there are {n_tokens:,}; make it again.")

    def __repr__(self) -> str:
        return f"Index({', '.join(self.measures)})"


class IndexFile:
    """An index in its file, whose header is checked already.

    Parameters
    ----------
    path
        The file.
    header
        Of the file.
    described
        What the header tells in embedkit's own words.
    """

    def __init__(self, path: Path, header: Header, described: Mapping[str, Any]) -> None:
        self.path, self._header, self._described = path, header, described
        self._checked = False

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What it finds the best by."""
        return tuple(self._described["measures"])

    def read(self, measure: Measure) -> Tiers:
        """Return what finds the best by a measure; before the first, the file's checksum is compared.

        Raises
        ------
        ModelError
            If the file is gone or damaged, in what it tells of itself or in its contents.
        """
        parts = self._described["measures"][measure]["parts"]
        try:
            if not self._checked and checksum(self.path) != self._header.metadata.get(CHECKSUM):
                raise EmbedkitError("its checksum is not the one it was written with.")
            self._checked = True
            images = map_tensors(self.path, self._header)
            size = self._described["vector_size"]
            cells = [Cells.from_image(images[part["tensor"]], part["rows"], size) for part in parts]
            bounds = [np.inf if part["longest"] is None else float(part["longest"]) for part in parts]
        except (EmbedkitError, KeyError, TypeError, ValueError, OSError) as error:
            raise ModelError(f"{self.path} cannot be used: {error} {_REMEDY}") from error
        return Tiers(cells, np.array(bounds))


_REMEDY = "Make it again with `embedkit index`, or go without (--exact)."


def path_of(model: str | os.PathLike[str]) -> Path:
    """Return where the index of a model lies."""
    return Path(f"{os.fspath(model)}.index")


def may_be_index(path: Path) -> bool:
    """Return whether a file is an index, or so damaged that nobody can tell: not one that may be worth keeping."""
    try:
        return _METADATA in read_header(path).metadata
    except ModelError:
        return begins_like_model(path)


def may_pay(embeddings: Embeddings, model: str | os.PathLike[str]) -> bool:
    """Return whether there is an index beside a model that is large enough to gain by it."""
    return len(embeddings) >= WORTH and path_of(model).exists()


def build(
    embeddings: Embeddings, measures: Sequence[Measure] = ("dot", "cosine"), progress: Progress | None = None
) -> Index:
    """Make an index; `Embeddings.indexed` is this.

    Raises
    ------
    EmbedkitError
        If the model is too small for one, holds numbers that are not finite, or faiss is not installed.
    """
    imported()
    if len(embeddings) < FEWEST:
        raise EmbedkitError(
            f"an index needs at least {FEWEST:,} tokens; this model has {len(embeddings):,}, which are searched at "
            "once without one."
        )
    check_fits(
        bytes_to_build(len(embeddings), embeddings.vector_size, len(measures)),
        f"an index of {len(embeddings):,} tokens × {embeddings.vector_size:,}",
        "one for recommend alone or for similar alone needs less, and one of fewer tokens",
    )
    matrices: dict[Measure, np.ndarray] = {"dot": embeddings.targets, "cosine": embeddings.vectors}
    return Index({measure: Tiers.build(matrices[measure], measure, progress=progress) for measure in measures})


def save(index: Index, model: str | os.PathLike[str]) -> Path:
    """Write an index beside the model in that file, which it is tied to by the model's checksum; return where.

    Raises
    ------
    ModelError
        If it cannot be written; what was there before is whole then.
    """
    from embedkit.embeddings.file import info

    told = info(model)
    tensors: dict[str, np.ndarray] = {}
    measures: dict[str, Any] = {}
    width = 0
    for measure in index.measures:
        tiers = index.read(measure)
        parts = []
        for place, (cells, longest) in enumerate(zip(tiers.cells, tiers.longest.tolist(), strict=True)):
            name, image = f"{measure}.{place}", cells.image
            tensors[name], width = image, cells.width
            bound = longest if np.isfinite(longest) else None  # JSON has no word for infinity
            parts.append({"tensor": name, "rows": len(cells), "longest": bound})
        measures[measure] = {"parts": parts}
    described = {
        "format_version": FORMAT_VERSION,
        "model": told.checksum,
        "vector_size": width,
        "measures": measures,
        "faiss": imported().__version__,
    }
    path = path_of(model)
    with replacing(path) as file:
        write_tensors(file, tensors, {_METADATA: json.dumps(described)})
    return path


def open_index(model: str | os.PathLike[str], embeddings: Embeddings, patience: int = 0) -> Index:
    """Return the index that lies beside a model; its contents are read and checked when they are first needed.

    Parameters
    ----------
    patience
        How many queries are to be answered exactly before, as reading takes longer than answering a few.

    Raises
    ------
    ModelError
        If there is none, it is truncated or damaged, or is that of another model; or faiss is not installed.
    """
    from embedkit.embeddings.file import info

    path = path_of(model)
    if not path.exists():
        raise ModelError(f"there is no index {path}; make one with `embedkit index --model {os.fspath(model)}`.")
    try:
        header = read_header(path)
        described = json.loads(header.metadata.get(_METADATA, "null"))
        problem = _problem(described, header, embeddings, info(model).checksum)
    except (ModelError, ValueError, RecursionError) as error:
        # What the model's reader says of a file would lead here to training again.
        problem = f"is truncated or damaged ({str(error).removeprefix(f'{path} ').partition('. ')[0].rstrip('.')})"
        raise ModelError(f"{path} {problem}. {_REMEDY}") from error
    if problem:
        raise ModelError(f"{path} {problem}. {_REMEDY}")
    try:
        imported()
    except EmbedkitError as error:
        raise ModelError(f"{path} is not used: {error}") from error
    return Index({}, IndexFile(path, header, described), patience)


def _problem(described: Any, header: Header, embeddings: Embeddings, checksum: str) -> str | None:
    """Return what is wrong with what an index tells of itself."""
    try:
        if described["format_version"] != FORMAT_VERSION:
            return "was written by another version of embedkit"
        if described["model"] != checksum:
            return "belongs to another model than the one beside it"
        shapes = {
            measure: sum(part["rows"] for part in told["parts"]) for measure, told in described["measures"].items()
        }
        tensors = {part["tensor"] for told in described["measures"].values() for part in told["parts"]}
        whole = (
            described["vector_size"] == embeddings.vector_size
            and set(shapes) <= {"dot", "cosine"}
            and set(shapes.values()) == {len(embeddings)}
            and tensors == set(header.tensors)
        )
    except (KeyError, TypeError, AttributeError):
        return "is no index of embedkit, or is damaged"
    return None if whole else "does not fit the model beside it"
