"""Ctrl-C, heard once: who presses it twice wants the command to end, not what it saves and clears up to break off."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_AGAIN = 5.0  # seconds
_heard = -math.inf


def hear_once() -> None:
    """Have each Ctrl-C raise KeyboardInterrupt for the rest of the process, but for those within 5 s of the one before.

    Where Ctrl-C is ignored (`nohup`, a script's background job), or taken by others, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _heard
    now = time.monotonic()
    if now - _heard > _AGAIN:
        _heard = now
        raise KeyboardInterrupt


class Saving:
    """Tells whether a file was replaced since `begin`: Ctrl-C may come when that is done, and before it is told."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: tuple[int, ...] | None = None
        self._begun = False

    def begin(self) -> None:
        """Take down what is there."""
        self._before, self._begun = self._state(), True

    @property
    def done(self) -> bool:
        """Whether another file is there."""
        return self._begun and self._state() != self._before

    def _state(self) -> tuple[int, ...] | None:
        try:
            about = self._path.stat()
        except OSError:
            return None
        return about.st_dev, about.st_ino, about.st_mtime_ns


def was_heard() -> bool:
    """Tell whether there was a Ctrl-C: compiled code of others may make another error of it."""
    return math.isfinite(_heard)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Let no Ctrl-C break off what is done meanwhile."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
