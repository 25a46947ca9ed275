"""Locks on open files: they tell other processes, of other containers and machines too, that somebody is at work."""

from __future__ import annotations

import errno

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


def lock(descriptor: int) -> bool | None:
    """Try to lock an open file until it is closed; False where it is locked already, None where there are no locks.

    The lock is the open file's, and not the process's: another opening of the same file in this process finds it held,
    and a forked process that closes its descriptor takes nothing away. Who is killed holds nothing.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True
