"""Ctrl-C, heard once: who presses it twice wants the command to end, not what it saves and clears up to break off."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from types import FrameType

_AGAIN = 5.0  # seconds


def hear_once() -> None:
    """Have each Ctrl-C raise KeyboardInterrupt for the rest of the process, but for those within 5 s of the one before.

    Where Ctrl-C is ignored (`nohup`, a script's background job), or taken by others, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    heard = -math.inf

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        now = time.monotonic()
        if now - heard > _AGAIN:
            heard = now
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Let no Ctrl-C break off what is done meanwhile."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
