"""Writing a file beside the one it replaces, so that nothing partly written replaces something whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from embedkit.errors import ModelError
from embedkit.locks import lock

try:
    import fcntl
except ImportError:  # where there are no such locks, as on Windows, an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

_TRIES = 20


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends without an error, and is removed else.

    The file and its folder are synced to the disk, so that a power cut leaves the old file or the new one. It belongs
    to whom the old one belongs to, as far as the system lets it, and whoever may read that may read this. It is locked
    while it is written; what a killed process left half-written for the same `path` holds no lock, and is removed.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    target = _checked_place(path)
    _remove_left(target)
    beside: Path | None = None
    try:
        try:
            file, beside = _open_beside(target)
            with file:
                _as_private_as(target, file)
                yield file
                file.flush()
                os.fsync(file.fileno())
                if fcntl is not None:  # before the lock is gone
                    os.replace(beside, target)
            if fcntl is None:
                os.replace(beside, target)
            _sync_folder(target.parent)
        except BaseException:
            if beside is not None:
                beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _cannot(path, error) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that a file can be written to `path`, before anything is trained for it.

    Raises
    ------
    ModelError
        If it is a folder, its folder does not exist, or nothing can be written there.
    """
    path = Path(path)
    target = _checked_place(path)
    _remove_left(target)
    try:
        # Asking for permissions misleads: a superuser has them all, a read-only disk refuses nonetheless.
        file, probe = _open_beside(target)
        with file:
            probe.unlink(missing_ok=fcntl is None)
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot(path, error) from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock on a folder or a file for as long as the block lasts; False where another process, or thread, has it.

    It is also False where the file was replaced, or removed, just before it was locked. Where the file system has no
    locks, it counts as held. A process that is killed holds none.
    """
    if fcntl is None:
        yield True
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield lock(descriptor) is not False and _is_still_there(descriptor, path)
    finally:
        os.close(descriptor)


def _is_still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _open_beside(target: Path) -> tuple[BinaryIO, Path]:
    """Open a new file in the target's folder, locked, and return it and where it is."""
    for tries_left in reversed(range(_TRIES)):
        beside = target.parent / f"{_mark(target)}{secrets.token_hex(6)}.tmp"
        file = open(beside, "xb")  # noqa: SIM115 - the caller closes it
        try:
            taken = lock(file.fileno()) is False
            if fcntl is None or (os.fstat(file.fileno()).st_nlink and not (taken and tries_left)):
                return file, beside
        except BaseException:
            file.close()
            beside.unlink(missing_ok=True)
            raise
        file.close()  # someone took it for left, between its beginning and its lock, and has removed it or is about to
        beside.unlink(missing_ok=True)
    raise OSError(errno.EBUSY, "others remove what is being written")


def _as_private_as(target: Path, file: BinaryIO) -> None:
    """Give a new file, while it is empty, the owner, the group and the permissions of the one that it replaces."""
    if os.name != "posix" or not target.exists():
        return
    before, now = target.stat(), os.fstat(file.fileno())
    mode = stat.S_IMODE(before.st_mode) & 0o777
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        try:
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
        except OSError:  # only a superuser can give a file away; its group may be one of ours
            try:
                os.fchown(file.fileno(), -1, before.st_gid)
            except OSError:
                mode &= 0o707  # what a group could read is not for another one
    with contextlib.suppress(OSError):  # where the file system has no permissions
        os.fchmod(file.fileno(), mode)


def _mark(target: Path) -> str:
    """Return what the names of all files begin with that are to take the place of this one."""
    return f".embedkit-{hashlib.blake2b(os.fsencode(target.name), digest_size=4).hexdigest()}-"


def _remove_left(target: Path) -> None:
    """Remove what killed processes left half-written for this target; what is being written now is locked."""
    with contextlib.suppress(OSError):  # folders that can be written to but not listed
        for path in target.parent.glob(f"{_mark(target)}*.tmp"):
            with contextlib.suppress(OSError):
                _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    if fcntl is None:
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and lock(descriptor):
            path.unlink()
    finally:
        os.close(descriptor)


def _checked_place(path: Path) -> Path:
    """Return where a file is written that is to be seen at `path`, which may be a link."""
    try:
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise ModelError(f"{path} is a folder; name a file in it.")
        if target.exists() and not target.is_file():
            raise ModelError(f"{path} is no ordinary file; name another to write to.")
        if not target.parent.is_dir():
            raise ModelError(f"{path} cannot be written: there is no folder {target.parent}; make it first.")
        if len(os.fsencode(target.name)) > 255:
            raise ModelError(f"the name of {path} is too long for a file; choose a shorter one.")
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from error
    return target


def _cannot(path: Path, error: OSError | ValueError) -> ModelError:
    reason = getattr(error, "strerror", None) or error
    return ModelError(f"{path} cannot be written: {reason}. Free or choose another place.")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
