"""The files that `input` names: found, told apart, unpacked and decoded."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import glob
import gzip
import lzma
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from embedkit import OptionError, SourceError, did_you_mean

HEAD = 1 << 16
_BLOCK = 1 << 22
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, b"\x28\xb5\x2f\xfd": None}
_BROKEN = (EOFError, lzma.LZMAError, OSError)
# Told by their beginning before their ending, which for HDF5 (MATLAB 7.3) is the only sign.
_KINDS = {b"PAR1": "parquet", b"%%MatrixMarket": "mtx", b"MATLAB": "mat", b"\x89HDF": "mat"}


@dataclass(frozen=True)
class File:
    """A file to read: where it lies, what messages call it, and what it is (`text`, `parquet`, `mtx` or `mat`)."""

    path: Path
    name: str
    kind: str

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it for reading, unpacked; what is wrong with the packing is told in one line."""
        try:
            with open(self.path, "rb") as raw:
                opener: Any = next((o for start, o in _PACKED.items() if raw.peek(8).startswith(start)), open)
            with _open_zstd(self.path) if opener is None else opener(self.path, "rb") as stream:
                yield stream
        except _BROKEN as error:
            raise SourceError(f"{self.name} cannot be read: {_reason(error)}.") from error

    def head(self) -> bytes:
        """Return its first bytes, unpacked; refuse an empty file."""
        with self.open() as stream:
            head = stream.read(HEAD)
        if not head.strip():
            raise SourceError(f"{self.name} is empty; give a list of edges.")
        return head

    def text_encoding(self, given: str | None) -> str:
        """Return what its text is encoded in: as given, else as a byte-order mark tells, else UTF-8.

        Raises
        ------
        SourceError
            If it is binary.
        OptionError
            If there is no such encoding.
        """
        head = self.head()
        if given is not None:
            try:
                return codecs.lookup(given).name
            except LookupError:
                raise OptionError("encoding", f"is no encoding that Python knows: {given!r}.") from None
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if b"\0" in head:
            raise SourceError(f"{self.name} is binary, no list of edges; convert it, or name its --encoding.")
        return "utf-8"

    @contextlib.contextmanager
    def open_utf8(self, encoding: str) -> Iterator[Any]:
        """Open it for reading as bytes of UTF-8."""
        with self.open() as stream:
            if encoding in ("utf-8", "ascii"):
                yield stream
                return
            import pyarrow as pa

            yield pa.transcoding_input_stream(pa.PythonFile(stream, mode="r"), encoding, "utf-8")

    def blocks(self, encoding: str) -> Iterator[bytes]:
        """Yield its text as UTF-8, in blocks."""
        with self.open_utf8(encoding) as stream:
            try:
                while block := stream.read(_BLOCK):
                    yield block
            except UnicodeDecodeError as error:
                raise SourceError(f"{self.name} is not in {encoding}; name its --encoding, such as cp949.") from error


def _open_zstd(path: Path) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(path), compression="zstd")


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0].rstrip(".") or type(error).__name__


def find_files(given: Any, folder: Path) -> list[File]:
    """Return the files that paths, globs and `-` name.

    Parameters
    ----------
    folder
        Where standard input is kept, since more than one look is taken at it.

    Raises
    ------
    SourceError
        If one does not exist, or cannot be read.
    """
    return [file for path in given for file in ([_standard_input(folder)] if path == "-" else _find(os.fspath(path)))]


def _find(path: str) -> list[File]:
    expanded = Path(path).expanduser()
    if expanded.is_dir():
        raise SourceError(f"{path} is a folder; name its files, or a pattern such as {Path(path) / '*.csv'}.")
    if expanded.exists():
        return [_file(expanded)]
    if glob.has_magic(path):
        matches = sorted(Path(found) for found in glob.glob(str(expanded), recursive=True) if Path(found).is_file())
        if not matches:
            raise SourceError(f"no file matches {path}; check the pattern.")
        return [_file(match) for match in matches]
    near = did_you_mean(expanded.name, os.listdir(expanded.parent)) if expanded.parent.is_dir() else ""
    raise SourceError(f"{path} does not exist; check the path.{near}")


def _file(path: Path) -> File:
    if not path.is_file():
        raise SourceError(f"{path.name} is no regular file.")
    text = File(path, path.name, "text")
    with text.open() as stream:
        start = stream.read(16)
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    by_ending = next((kind for kind in ("parquet", "mtx", "mat") if f".{kind}" in endings), "text")
    return File(path, path.name, next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), by_ending))


def _standard_input(folder: Path) -> File:
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as kept:
        while block := sys.stdin.buffer.read(_BLOCK):
            kept.write(block)
    return File(Path(kept.name), "standard input", "text")
