"""Parts of the input, to be read apart: files, row groups of Parquet, and stretches of files of lines."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from embedkit import SourceError
from embedkit_sessions import objects
from embedkit_sessions.inputs import File, Inputs, text_encoding

_BLOCK = 1 << 20


class Limited(io.RawIOBase):
    """Bytes start..stop of a file."""

    def __init__(self, path: Path, start: int, stop: int) -> None:
        self._stream = open(path, "rb")  # noqa: SIM115 - closed with this
        self._stream.seek(start)
        self._left = stop - start

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, all that are left where it is below 0."""
        got = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(got)
        return got

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()


def divide(inputs: Inputs, n: int, layout: str, encoding: str | None) -> list[Inputs]:
    """Return at most n inputs of about as many bytes each, none of them empty, in the order of the input.

    Raises
    ------
    SourceError
        If there is but one part, with what would make more.
    """
    if inputs.table is not None:
        raise SourceError("a table in memory cannot be read in parts; write it to Parquet, or train without --engine.")
    pieces: list[tuple[int, File]] = []
    total = sum(_size(file) for file in inputs.files)
    for file in inputs.files:
        at_most = max(1, round(n * _size(file) / max(1, total)) + 1) if n > 1 else 1
        pieces += _pieces(file, n if len(inputs.files) == 1 else at_most, layout, encoding)
    parts: list[list[File]] = [[] for _ in range(n)]
    before, whole = 0, max(1, sum(size for size, _ in pieces))
    for size, file in pieces:
        parts[min(n - 1, (2 * before + size) * n // (2 * whole))].append(file)
        before += size
    filled = [Inputs(joined(files)) for files in parts if files]
    if len(filled) < 2:
        file = inputs.files[0]
        raise SourceError(
            f"{file.name} cannot be read in parts; give several files, Parquet with several row groups, or --layout "
            "lines, or train without --engine."
        )
    return filled


def _pieces(file: File, n: int, layout: str, encoding: str | None) -> list[tuple[int, File]]:
    """Return up to n pieces of a file and their sizes in bytes; the file itself where it has none."""
    if file.kind == "parquet" and not file.packed:
        return _row_groups(file)
    plain = layout == "lines" and not file.packed and file.store is None
    if not plain or text_encoding(file, encoding) not in ("utf-8", "ascii"):
        return [(_size(file), file)]
    size = _size(file)
    cuts = sorted({0, size, *(_line_end(file.path, size * i // n, size) for i in range(1, n))})
    return [(stop - start, replace(file, span=(start, stop))) for start, stop in pairwise(cuts)]


def _row_groups(file: File) -> list[tuple[int, File]]:
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(str(file.path), filesystem=file.store) as opened:
            sizes = [opened.metadata.row_group(i).total_byte_size for i in range(opened.num_row_groups)]
    except (OSError, ValueError) as error:
        raise objects.refused(file.name, error) from None
    return [(size, replace(file, groups=(group,))) for group, size in enumerate(sizes)]


def _size(file: File) -> int:
    if file.store is not None:
        return int(file.store.get_file_info(str(file.path)).size or 0)
    return file.path.stat().st_size


def _line_end(path: Path, at: int, size: int) -> int:
    """Return the first place from `at` on where a line begins."""
    with open(path, "rb") as stream:
        stream.seek(max(0, at - 1))
        place = stream.tell()
        while block := stream.read(_BLOCK):
            if (found := block.find(b"\n")) >= 0:
                return place + found + 1
            place += len(block)
    return size


def joined(files: Sequence[File]) -> list[File]:
    """Return files with the row groups of the same one brought together again."""
    made: list[File] = []
    for file in files:
        if made and file.groups and made[-1].groups and made[-1].path == file.path:
            made[-1] = replace(file, groups=made[-1].groups + file.groups)
        else:
            made.append(file)
    return made


def chosen_groups(file: File) -> Any:
    """Return a Parquet file's chosen row groups as an Arrow dataset."""
    from pyarrow.dataset import FileSystemDataset, dataset

    whole = dataset(str(file.path), filesystem=file.store, format="parquet")
    fragment = next(whole.get_fragments())
    return FileSystemDataset(
        [fragment.subset(row_group_ids=list(file.groups or ()))], whole.schema, whole.format, whole.filesystem
    )
