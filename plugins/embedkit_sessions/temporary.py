"""Temporary files on a disk that may be full."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import embedkit

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextlib.contextmanager
def full_disk_told(work_dir: Path | None) -> Iterator[None]:
    """Tell in one line that a temporary file has no room.

    Raises
    ------
    embedkit.SourceError
        If one has none.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = tempfile.gettempdir() if work_dir is None else work_dir.parent
        raise embedkit.SourceError(
            f"cannot write temporary files in {where}: {error.strerror}; make room or name another folder with "
            "--work-dir."
        ) from error


def reserve(file: BinaryIO, size: int) -> None:
    """Make a new file so large; it has room on the disk then, without which writing to its map ends the process."""
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)
