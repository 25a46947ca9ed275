"""From what `input` names to files that can be opened: folders, globs, standard input, compression, encoding."""

from __future__ import annotations

import bz2
import codecs
import glob
import gzip
import io
import itertools
import lzma
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from embedkit import OptionError, SourceError, did_you_mean
from embedkit_sessions import objects

TEXT = (".csv", ".tsv", ".dat", ".txt", ".data", ".inter")
JSON = (".jsonl", ".ndjson", ".json")
PACKED = (".gz", ".bz2", ".xz", ".zst")
HEAD = 1 << 16
_BLOCK = 1 << 22
_NUMBERS = itertools.count()
_MAGIC = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}


@dataclass(frozen=True)
class File:
    """A file to read.

    Attributes
    ----------
    path
        Where it lies, in its store if it has one.
    name
        What messages call it.
    kind
        `text`, `json` or `parquet`.
    packed
        Its compression, as an ending (`.gz`), or an empty string.
    store
        The Arrow filesystem it lies in; None for this machine's files.
    partition
        Names and values that its folders tell of all its rows (`country=kr`), None for a value that is missing.
    span
        The bytes to read of it (start, stop), or None for all.
    groups
        The row groups to read of a Parquet file, or None for all.
    """

    path: Path
    name: str
    kind: str
    packed: str
    store: Any = None
    partition: tuple[tuple[str, str | None], ...] = ()
    span: tuple[int, int] | None = None
    groups: tuple[int, ...] | None = None

    def open(self) -> IO[bytes]:
        """Open it for reading, unpacked."""
        if self.span is not None:
            from embedkit_sessions.dividing import Limited

            return Limited(self.path, *self.span)  # type: ignore[return-value]
        if self.packed == ".zst":
            return self._native("zstd")
        openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
        if self.packed:
            return openers[self.packed](self.path if self.store is None else self._native(None), "rb")  # type: ignore[no-any-return]
        return open(self.path, "rb") if self.store is None else self._native(None)

    def _native(self, compression: str | None) -> IO[bytes]:
        """Open it through Arrow."""
        if self.store is not None:
            return self.store.open_input_stream(str(self.path), compression=compression)  # type: ignore[no-any-return]
        import pyarrow as pa

        return pa.input_stream(str(self.path), compression=compression)  # type: ignore[no-any-return]

    def open_text(self) -> IO[str]:
        """Open it for reading as UTF-8, unpacked, line ends as they are."""
        stream: Any = self.open()
        return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")

    def blocks(self, size: int = _BLOCK) -> Iterator[bytes]:
        """Yield its bytes, unpacked, in blocks of at most `size`."""
        try:
            with self.open() as stream:
                while block := stream.read(size):
                    yield block
        except (EOFError, lzma.LZMAError, OSError) as error:
            if self.store is not None:
                raise objects.refused(self.name, error) from None
            raise SourceError(f"{self.name} cannot be read: {_reason(error)}.") from error

    def head(self) -> bytes:
        """Return its first bytes, unpacked; refuse an empty file."""
        head = next(self.blocks(HEAD), b"")
        if not head.strip():
            raise SourceError(f"{self.name} is empty.")
        return head


@dataclass
class Inputs:
    """What there is to read: files, or one table (see `frames.opened`). Spooled standard input goes when this goes."""

    files: list[File] = field(default_factory=list)
    table: Any = None


def find_inputs(given: Any, layout: str, work_dir: Path | None = None) -> Inputs:
    """Return what `given` names: paths, globs, folders, URLs of object stores, `-`, or something that holds a table.

    Parameters
    ----------
    layout
        `table` or `lines`, which tells what files of a folder to take.
    work_dir
        A temporary folder of this process, beside which standard input is kept.

    Raises
    ------
    SourceError
        If a path does not exist, cannot be read, or holds nothing that can be.
    """
    if given is None or (isinstance(given, tuple | list) and not given):
        raise SourceError("there is nothing to read: name a file with --input.")
    if not isinstance(given, str | os.PathLike | tuple | list):
        from embedkit_sessions.frames import opened

        return Inputs(table=opened(given))
    inputs = Inputs()
    for path in [given] if isinstance(given, str | os.PathLike) else given:
        if isinstance(path, str | os.PathLike):
            inputs.files.extend([_spool(inputs, work_dir)] if path == "-" else _find(os.fspath(path), layout))
        elif len(given) == 1:  # type: ignore[arg-type]
            return find_inputs(path, layout, work_dir)
        else:
            raise SourceError(f"input takes paths or one table; got {type(path).__name__} among several.")
    return inputs


def _find(path: str, layout: str) -> list[File]:
    endings = TEXT if layout == "lines" else (*TEXT, *JSON, ".parquet")
    if objects.is_url(path):
        return [
            _file(Path(found.path), found.name, found.store, objects.partition(found.below))
            for found in objects.find(path, lambda name: _ending(Path(name)) in endings)
        ]
    expanded = Path(path).expanduser()
    if expanded.is_dir():
        found = [p for p in _below(expanded) if _ending(p) in endings]
        if not found:
            raise SourceError(f"folder {path} {objects.no_file(endings)}")
        below = [p.relative_to(expanded) for p in found]
        return [_file(p, str(b), partition=objects.partition(b.parts)) for p, b in zip(found, below, strict=True)]
    if expanded.exists():
        return [_file(expanded, expanded.name)]
    if not glob.has_magic(path):
        raise SourceError(f"{path} does not exist; check the path.{_near(expanded)}")
    matches = sorted(p for p in glob.glob(str(expanded), recursive=True) if Path(p).is_file())
    if not matches:
        raise SourceError(f"no file matches {path}; check the pattern.")
    return [_file(Path(p), Path(p).name, partition=objects.partition(Path(p).parts)) for p in matches]


def _below(folder: Path) -> list[Path]:
    """Return the files in a folder and those below it, in order of their paths, but hidden ones."""
    found = []
    for parent, folders, names in os.walk(folder):
        objects.refuse_log(str(folder), folders)
        folders[:] = [name for name in folders if not name.startswith(objects.HIDDEN)]
        found += [Path(parent, name) for name in names if not name.startswith(objects.HIDDEN)]
    return sorted(path for path in found if path.is_file())


def _near(path: Path) -> str:
    try:
        return did_you_mean(path.name, os.listdir(path.parent))
    except OSError:
        return ""


def _ending(path: Path) -> str:
    """Return a file's ending without that of its compression."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in PACKED else suffix


def _file(path: Path, name: str, store: Any = None, partition: tuple[tuple[str, str | None], ...] = ()) -> File:
    """Tell a file's kind by its ending, and by its first bytes where the ending tells nothing."""
    if store is None and not path.is_file():
        raise SourceError(f"{name} is no regular file.")
    magic = next(File(path, name, "text", "", store).blocks(8), b"")
    packed = next((ending for start, ending in _MAGIC.items() if magic.startswith(start)), "")
    if not packed and path.suffix.lower() in PACKED and magic:
        raise SourceError(f"{name} is not compressed as its ending says; rename it or pack it anew.")
    ending = _ending(path)
    file = File(path, name, "text", packed, store, partition)
    if ending == ".parquet" or magic.startswith(b"PAR1"):
        return replace(file, kind="parquet")
    if ending in JSON or (ending not in TEXT and file.head().lstrip()[:1] in (b"{", b"[")):
        return replace(file, kind="json")
    return file


def _spool(owner: Inputs, work_dir: Path | None) -> File:
    """Write standard input to a file of our own, removed with `owner`: it can be read only once.

    It outlives the work folder of one reading, so it lies beside it, under a name that the next run knows to clean up.
    """
    beside = None if work_dir is None else work_dir.parent
    folder = tempfile.mkdtemp(prefix=f"embedkit-{os.getpid()}-stdin-", dir=beside)
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "stdin")
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, _BLOCK)
    if not path.stat().st_size:
        raise SourceError("standard input is empty.")
    return _file(path, "standard input")


def text_encoding(file: File, given: str | None) -> str:
    """Return the encoding of a text file: the one given, UTF-16 where its first bytes look so, else UTF-8.

    Raises
    ------
    SourceError
        If the file is binary.
    OptionError
        If Python knows no encoding of the name given.
    """
    if given is not None:
        try:
            return codecs.lookup(given).name
        except LookupError as error:
            raise OptionError(
                "encoding", f"{given!r} is not known; use a name such as utf-8, cp949, latin-1."
            ) from error
    head = file.head()
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" not in head:
        return "utf-8"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if min(even, odd) == 0 and max(even, odd) > len(head) // 5:
        return "utf-16-le" if odd else "utf-16-be"
    raise SourceError(f"{file.name} is binary, not text; unpack or convert it, or name its --encoding.")


def transcoded(file: File, encoding: str, folder: Path) -> File:
    """Return the file as plain UTF-8, written into `folder` block by block."""
    target = folder / f"{next(_NUMBERS)}.plain"
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with open(target, "wb") as out:
        for block in _ended(file.blocks()):
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line += bytes(error.object[: error.start]).decode(encoding, "replace").count("\n")
                raise wrong_encoding(file.name, line, encoding) from error
            line += text.count("\n")
            out.write(text.encode())
    return File(target, file.name, file.kind, "", partition=file.partition)


def _ended(blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield from blocks
    yield b""


def wrong_encoding(name: str, line: int, encoding: str) -> SourceError:
    """Return the error for text that is not in the encoding it is read in."""
    return SourceError(
        f"{name}, line {line}: the text is not {encoding}; name its --encoding, such as cp949 or latin-1."
    )


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).rstrip(".")
