"""Folders for temporary files: private, removed when done with, and by the next run where a killed one left them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import tempfile
import weakref
from pathlib import Path

from embedkit.errors import EmbedkitError
from embedkit.locks import lock
from embedkit.memory import readable

_PREFIX = "embedkit-"
_NAME = re.compile(_PREFIX + r"(\d+)-(?:([0-9a-f]{8})-)?.+")  # the process, where its number holds, and anything
_LOCK = "lock"


class WorkFolder:
    """A new 0700 folder below `parent` (the system's temporary folder where None).

    It is removed by `remove()`, when the object is no longer referred to, or when the interpreter ends; by the process
    that made it alone, and not by one forked from it. A locked file in it tells everyone else that it is in use.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        try:
            # Not its parents too: a misspelt path is to be told of, not made.
            parent.mkdir(exist_ok=True)
            _remove_leftovers(parent)
            self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-{_here()}-", dir=parent))
            held = _locked_file(self.path)
        except OSError as error:
            raise EmbedkitError(
                f"cannot make a folder for temporary files in {parent}: {error.strerror}; name another with --work-dir."
            ) from error
        self.remove = weakref.finalize(self, _remove, self.path, held, os.getpid())


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


def _locked_file(folder: Path) -> int:
    """Make the file that is locked while a folder is in use; return its descriptor."""
    new = folder / f"{_LOCK}.new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        lock(descriptor)
        os.rename(new, folder / _LOCK)  # now that it is locked: nobody finds it unlocked
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove(folder: Path, held: int, maker: int) -> None:
    os.close(held)  # first, as NFS keeps a file that is open, and so its folder; a forked process lets go of its own
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    """Remove our own folders that nobody works in.

    The parent may be shared with other containers and machines, whose processes' numbers say nothing here.
    """
    at_work, of_plugins = set(), []
    for folder in parent.glob(f"{_PREFIX}[0-9]*-*"):
        name = _NAME.fullmatch(folder.name)
        if name is None or not _is_ours(folder):
            continue
        if name[2] is None:
            of_plugins.append((folder, int(name[1])))
        elif _is_left(folder, int(name[1]), name[2]):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            at_work.add(int(name[1]))
    for folder, pid in of_plugins:  # they have no lock; whose they are has a folder with one
        if pid not in at_work and not _is_running(pid):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink()
    except OSError:
        return False


def _is_left(folder: Path, pid: int, place: str) -> bool:
    """Tell whether nobody works in a folder: by its lock, and where there are no locks by a process of this place."""
    state = None
    with contextlib.suppress(OSError):  # just begun, or on its way out
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            state = lock(descriptor)
        finally:
            os.close(descriptor)
    return place == _here() and not _is_running(pid) if state is None else state


def _here() -> str:
    """Return eight digits of where processes are numbered: this machine since its start, this container."""
    told = [platform.node()]
    with contextlib.suppress(OSError):  # Linux has them
        told += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return hashlib.blake2b("\n".join(told).encode(), digest_size=4).hexdigest()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
