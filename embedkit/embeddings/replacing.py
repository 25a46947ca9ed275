"""Writing a file beside the one it replaces, so that nothing partly written replaces something whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from embedkit.errors import ModelError


@contextlib.contextmanager
def replacing(path: Path, mark: str = "") -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends without an error, and is removed else.

    The file and its folder are synced to the disk, so that a power cut leaves the old file or the new one.

    Parameters
    ----------
    mark
        What `remove_left` finds the new file by, should the process be killed before it takes its place.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    _check_place(path, target)
    beside = target.parent / f".embedkit-{mark}{secrets.token_hex(6)}.tmp"
    try:
        try:
            with open(beside, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
            _sync_folder(target.parent)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _cannot(path, error) from error


def remove_left(folder: Path, mark: str) -> None:
    """Remove what killed processes left half-written under this mark in a folder where no other is at work."""
    for path in folder.glob(f".embedkit-{mark}*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that a model can be written to `path`, before anything is trained for it.

    Raises
    ------
    ModelError
        If it is a folder, its folder does not exist, or nothing can be written there.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    _check_place(path, target)
    probe = target.parent / f".embedkit-{secrets.token_hex(6)}.tmp"
    try:
        # Asking for permissions misleads: a superuser has them all, a read-only disk refuses nonetheless.
        with open(probe, "xb"):
            pass
        probe.unlink()
    except OSError as error:
        raise _cannot(path, error) from error


def _check_place(path: Path, target: Path) -> None:
    try:
        if target.is_dir():
            raise ModelError(f"{path} is a folder; name a file in it.")
        if target.exists() and not target.is_file():
            raise ModelError(f"{path} is no ordinary file; name another to write to.")
        if not target.parent.is_dir():
            raise ModelError(f"{path} cannot be written: there is no folder {target.parent}; make it first.")
        if len(os.fsencode(target.name)) > 255:
            raise ModelError(f"the name of {path} is too long for a file; choose a shorter one.")
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> ModelError:
    return ModelError(f"{path} cannot be written: {error.strerror or error}. Free or choose another place.")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
