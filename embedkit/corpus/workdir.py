"""Folders for temporary files: private, removed when done with, and by the next run where a killed one left them."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from embedkit.errors import EmbedkitError
from embedkit.memory import readable

_PREFIX = "embedkit-"


class WorkFolder:
    """A new 0700 folder below `parent` (the system's temporary folder where None).

    It is removed by `remove()`, when the object is no longer referred to, or when the interpreter ends.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        try:
            # Not its parents too: a misspelt path is to be told of, not made.
            parent.mkdir(exist_ok=True)
            _remove_leftovers(parent)
            self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
        except OSError as error:
            raise EmbedkitError(
                f"cannot make a folder for temporary files in {parent}: {error.strerror}; name another with --work-dir."
            ) from error
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def check_room(folder: Path, needed: int, what: str, flag: str = "--work-dir") -> None:
    """Refuse to write more bytes than the disk has room for.

    Parameters
    ----------
    needed
        Bytes.
    what
        What they are: `the model m.safetensors`.
    flag
        What names another place.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # who writes tells what is wrong
        return
    if needed > free:
        raise EmbedkitError(
            f"{what} would need {readable(needed)} in {folder} and {readable(free)} are free; make room or name "
            f"another place with {flag}."
        )


def _remove_leftovers(parent: Path) -> None:
    """Remove our own folders whose process is gone."""
    for folder in parent.glob(f"{_PREFIX}[0-9]*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            ours = folder.stat().st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink()
        except OSError:
            continue
        if ours and pid.isdigit() and not _is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
