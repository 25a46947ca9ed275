"""Files behind URLs (`s3://`, `gs://`, `file://`) through Arrow's filesystems, and what a file's folders tell of it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from embedkit import SourceError

HIDDEN = (".", "_")
"""What the names of files and folders begin with that are no data: `_SUCCESS`, `_temporary`, `.crc`."""

_MISSING = "__HIVE_DEFAULT_PARTITION__"
_PATIENCE = "20"  # seconds to try again for; Google's client library would go on for fifteen minutes
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE); for a public bucket write "
    "s3://anonymous@BUCKET/PATH",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS; for a public bucket write gs://anonymous@BUCKET/PATH",
}
_DENIED = ("ACCESS_DENIED", "credential", "InvalidAccessKeyId", "SignatureDoesNotMatch", "HTTP status 403",
           "PERMISSION_DENIED", "UNAUTHENTICATED", "AuthenticationException")  # fmt: skip
_DOWN = ("NETWORK_CONNECTION", "curlCode", "UNAVAILABLE", "Could not connect", "Couldn't resolve")


@dataclass(frozen=True)
class Found:
    """A file in a store: its path there, what messages call it, and its path below the folder that was asked for."""

    store: Any
    path: str
    name: str
    below: tuple[str, ...]


def is_url(path: str) -> bool:
    """Tell whether a path is a URL."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) is not None


def partition(folders: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """Return the names and values in folders called `name=value`, as the text they are; None for a missing one."""
    pairs = (unquote(folder).partition("=") for folder in folders[:-1] if re.match(r"[^=]+=", folder))
    return tuple((name, None if value == _MISSING else value) for name, _, value in pairs)


def no_file(endings: Sequence[str]) -> str:
    """Return what is to be said of a folder without files to read."""
    return f"holds no file to read: they end in {', '.join(endings)} (or these and .gz)."


def refuse_log(folder: str, folders: Sequence[str]) -> None:
    """Raise `SourceError` for a table of Delta: its log, not its files alone, tells which rows are current."""
    if "_delta_log" in folders:
        raise SourceError(
            f"{folder} is a Delta table, whose log says which of its files count; open it with deltalake and give "
            "its Arrow table from Python."
        )


def find(url: str, wanted: Callable[[str], bool]) -> list[Found]:
    """Return the files that a URL names: one, those below a folder, or those that match its `*` and `[...]`.

    Parameters
    ----------
    wanted
        Tells by its name whether a file below a folder is to be read.

    Raises
    ------
    SourceError
        If the store is unknown, cannot be reached or refuses, or there is no such file.
    """
    import pyarrow as pa
    from pyarrow import fs

    shown = _shown(url)
    store, path = _open(url, shown)
    magic = re.search(r"[*\[]", path)
    try:
        if magic:
            return _matching(store, path, shown)
        info = store.get_file_info(path)
        if info.is_file:
            return [Found(store, path, path.rpartition("/")[2], tuple(path.split("/")))]
        files = _below(store, path, shown)
    except (pa.ArrowException, OSError) as error:
        raise refused(shown, error) from None
    if not files and info.type != fs.FileType.Directory:
        raise SourceError(f"{shown} does not exist; check the path.")
    found = [file for file in files if wanted(file.path)]
    if not found:
        raise SourceError(f"folder {shown} holds no file to read.")
    return found


def refused(name: str, error: BaseException) -> SourceError:
    """Return the error for a store that refuses or does not answer, in one line that names no credentials."""
    text = " ".join(str(error).split())
    scheme = name.partition("://")[0] if "://" in name else ""
    if any(sign in text for sign in _DENIED):
        remedy = _CREDENTIALS.get({"gcs": "gs"}.get(scheme, scheme), "give the credentials that its store asks for")
        return SourceError(f"{name} may not be read with the credentials there are; {remedy}.")
    if any(sign in text for sign in _DOWN):
        return SourceError(f"{name} cannot be reached; check the network, the region and the endpoint.")
    return SourceError(f"{name} cannot be read: {text[:200].rstrip('.')}.")


def _shown(url: str) -> str:
    """Return a URL without what may be secret: user, password and settings."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _open(url: str, shown: str) -> tuple[Any, str]:
    """Return the Arrow filesystem that a URL names, and the path there."""
    import pyarrow as pa
    from pyarrow import fs

    parts = urlsplit(url)
    settings = dict(parse_qsl(parts.query))
    try:
        if parts.scheme == "s3" and parts.username == "anonymous":
            return fs.S3FileSystem(anonymous=True, **settings), unquote(f"{parts.hostname}{parts.path}")
        if parts.scheme in ("gs", "gcs"):
            settings.setdefault("retry_limit_seconds", _PATIENCE)
        path = quote(parts.path, safe="/%=+,:@&$!*'();~")
        return fs.FileSystem.from_uri(urlunsplit((*parts[:2], path, urlencode(settings), "")))  # type: ignore[no-any-return]
    except (pa.ArrowInvalid, TypeError) as error:
        if "nrecognized filesystem type" in str(error):
            known = "s3://, gs://, abfs://, hdfs:// and file://"
            raise SourceError(f"{shown} lies in no store that is known here; these are: {known}.") from None
        raise SourceError(f"{shown} is no URL that can be opened; check its parts and settings.") from None
    except (pa.ArrowException, OSError) as error:
        raise refused(shown, error) from None


def _below(store: Any, path: str, shown: str) -> list[Found]:
    """Return the files below a folder in order of their paths, but hidden ones."""
    from pyarrow import fs

    found = []
    for info in store.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True)):
        below = tuple(info.path[len(path.rstrip("/")) + 1 :].split("/"))
        refuse_log(shown, below[:-1])
        if info.is_file and not any(part.startswith(HIDDEN) for part in below):
            found.append(Found(store, info.path, "/".join(below), below))
    return sorted(found, key=lambda file: file.path)


def _matching(store: Any, pattern: str, shown: str) -> list[Found]:
    """Return the files whose path matches a pattern, segment by segment."""
    segments = pattern.split("/")
    fixed = next(i for i, segment in enumerate(segments) if re.search(r"[*\[]", segment))
    found = []
    for file in _below(store, "/".join(segments[:fixed]), shown):
        parts = file.path.split("/")
        if len(parts) == len(segments) and all(map(fnmatch.fnmatchcase, parts, segments)):
            found.append(file)
    if not found:
        raise SourceError(f"no file matches {shown}; check the pattern.")
    return found
