"""From what the user gave as input to open streams, whatever they are compressed with."""

from __future__ import annotations

import bz2
import glob
import gzip
import io
import lzma
import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import embedkit

SUFFIXES = (".txt", ".text", ".md", ".rst", ".log", ".csv", ".tsv")
"""What files in a folder are read for; so are those without an ending, and all of them compressed."""


def _open_zst(path: str) -> Any:
    # Arrow, which is there anyway, tells a truncated stream from a whole one and reads several frames in a row.
    import pyarrow as pa

    return pa.input_stream(path, compression="zstd")


_OPENERS: dict[str, Callable[[str], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zst,
}
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


@dataclass(frozen=True)
class TextFile:
    """Something to read text from.

    Attributes
    ----------
    name
        What messages call it.
    open
        Returns a stream of bytes (or of str) at its beginning.
    on_disk
        Whether it is a regular file of its own, which a thread may read while the caller does something else: it is
        never waited for, as a pipe or a terminal is, whose reader no Ctrl-C ends.
    """

    name: str
    open: Callable[[], Any]
    on_disk: bool = True

    @classmethod
    def at(cls, path: str, name: str | None = None) -> TextFile:
        """Return the file at a path, unpacked as its ending says."""
        opener = _OPENERS.get(os.path.splitext(path)[1].lower())
        return cls(
            name or path,
            (lambda: opener(path)) if opener else (lambda: io.open(path, "rb")),  # noqa: UP020
            on_disk=os.path.isfile(path) or not os.path.exists(path),  # which opening it tells better
        )

    def chunks(self, size: int) -> Iterator[Any]:
        """Yield its bytes (or str) in pieces of `size`, the last one shorter.

        Raises
        ------
        embedkit.SourceError
            If it cannot be read, or its compressed data are damaged or cut short.
        """
        try:
            stream = self.open()
            try:
                while chunk := _fill(stream, size):
                    yield chunk
            finally:
                if self.on_disk:
                    stream.close()
        except _DAMAGED as error:
            raise embedkit.SourceError(self._damaged(error)) from error
        except UnicodeDecodeError as error:
            raise embedkit.SourceError(f"{self.name} is not {error.encoding}: open it in binary mode.") from error
        except OSError as error:
            # Codecs raise an OSError without a number.
            told = f"{self.name} cannot be read: {error.strerror}." if error.errno else self._damaged(error)
            raise embedkit.SourceError(told) from error

    def _damaged(self, error: Exception) -> str:
        return f"{self.name} is damaged or cut short ({str(error).rstrip('.')}); fetch or pack it again."


def _fill(stream: Any, size: int) -> Any:
    """Read until there are `size` bytes or no more; pipes and decoders give them in driblets."""
    parts: list[Any] = []
    missing = size
    while missing > 0 and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    if len(parts) <= 1:
        return parts[0] if parts else b""
    return ("" if isinstance(parts[0], str) else b"").join(parts)


def find_files(given: Any, dropped: Counter[str], starts: dict[int, int | None]) -> list[TextFile]:
    """Return what there is to read, in the order given; a folder's and a glob's files in order of their names.

    Parameters
    ----------
    given
        A path, a glob, `-`, an open file, or several of them.
    dropped
        Receives how many files of folders are left out.
    starts
        Remembers between passes where each open file stood at first.

    Raises
    ------
    embedkit.SourceError
        For what is not there, and for a folder or a glob without a file to read.
    """
    several = isinstance(given, Iterable) and not isinstance(given, str | bytes) and not hasattr(given, "read")
    found: list[TextFile] = []
    for one in given if several else (given,):
        if hasattr(one, "read"):
            found.append(_open_file(one, starts))
        elif isinstance(one, str | os.PathLike):
            found.extend(_from_path(os.fspath(one), dropped, starts))
        else:
            raise embedkit.SourceError(f"input is {one!r}; give a path or an open file.")
    if not found:
        raise embedkit.SourceError("there is nothing to read: say what with --input.")
    return found


def _open_file(stream: Any, starts: dict[int, int | None], name: str | None = None) -> TextFile:
    name = name or str(getattr(stream, "name", "") or "the open file")
    if id(stream) not in starts:
        starts[id(stream)] = stream.tell() if _seekable(stream) else None
        return TextFile(name, lambda: stream, on_disk=False)
    start = starts[id(stream)]
    if start is None:
        raise embedkit.SourceError(f"{name} can be read only once: save it as a file to read it again.")
    stream.seek(start)
    return TextFile(name, lambda: stream, on_disk=False)


def _seekable(stream: Any) -> bool:
    try:
        return bool(stream.seekable())
    except AttributeError:
        return False


def _from_path(path: str, dropped: Counter[str], starts: dict[int, int | None]) -> list[TextFile]:
    if path == "-":
        return [_open_file(getattr(sys.stdin, "buffer", sys.stdin), starts, "standard input")]
    if os.path.isdir(path):
        return [TextFile.at(p) for p in _text_files(path, dropped)]
    if os.path.lexists(path):
        return [TextFile.at(path)]
    if glob.has_magic(path):
        matches = sorted(p for p in glob.glob(path, recursive=True) if not os.path.isdir(p))
        if not matches:
            raise embedkit.SourceError(f"no file matches {path!r}.")
        return [TextFile.at(p) for p in matches]
    if "\n" in path or len(os.path.basename(path)) > 255:
        raise embedkit.SourceError("input is text, not a path: wrap it in io.StringIO(text).")
    raise embedkit.SourceError(f"there is no file {path!r}.{_near(path)}")


def _near(path: str) -> str:
    folder, name = os.path.split(path)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return f" There is no folder {folder!r} either."
    return embedkit.did_you_mean(name, names)


def is_packed(path: str) -> bool:
    """Tell whether a file is compressed, by its ending."""
    return os.path.splitext(path)[1].lower() in _OPENERS


def _text_files(folder: str, dropped: Counter[str]) -> list[str]:
    """Return the files below a folder that look like text, hidden ones aside."""
    found: list[str] = []
    others = links = 0
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        links += sum(os.path.islink(os.path.join(parent, f)) for f in folders)
        paths = [os.path.join(parent, name) for name in sorted(names) if not name.startswith(".")]
        text = [path for path in paths if _looks_like_text(path)]
        others += len(paths) - len(text)
        found.extend(text)
    if not found:
        kinds = ", ".join(SUFFIXES)
        raise embedkit.SourceError(
            f"folder {folder!r} has no text files ({kinds} or without an ending); "
            f"name others with a glob, such as '{os.path.join(folder, '**', '*.html')}'."
        )
    if others:
        dropped["files in folders whose ending is not that of text"] += others
    if links:
        dropped["links to folders inside folders"] += links
    return found


def _refuse_folder(error: OSError) -> None:
    raise embedkit.SourceError(f"folder {error.filename!r} cannot be read: {error.strerror}.")


def _looks_like_text(path: str) -> bool:
    stem, suffix = os.path.splitext(os.path.basename(path).lower())
    if suffix in _OPENERS:
        suffix = os.path.splitext(stem)[1]
    return suffix in ("", *SUFFIXES) and os.path.isfile(path)
