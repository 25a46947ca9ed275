"""How much memory there is, so that what cannot fit is refused before hours are spent on it."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from pathlib import Path

from embedkit.errors import EmbedkitError

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


_M_ARENA_MAX = -8  # of glibc's malloc.h


def available_bytes() -> int | None:
    """Return how many bytes this process can still take: the least of machine, control group and limits; or None."""
    limits = [limit for limit in (_of_machine(), *map(_of_cgroup, _CGROUPS), _of_process()) if limit is not None]
    return max(0, min(limits)) if limits else None


def check_fits(needed: int, what: str, remedy: str) -> None:
    """Refuse work that needs more bytes than there are.

    Parameters
    ----------
    needed
        Bytes.
    what
        What needs them: `vectors of 1,000,000 tokens × 300`.
    remedy
        What would fit, said as an advice: `a --vector-size of 120 would fit`.
    """
    available = available_bytes()
    if available is not None and needed > available:
        raise EmbedkitError(
            f"{what} would need {readable(needed)} of memory and {readable(available)} are free; {remedy}."
        )


def give_back() -> None:
    """Hand freed memory back to the system, which the C library would keep for itself (glibc; elsewhere nothing)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def one_heap() -> None:
    """Let all threads of this process share one heap (glibc; elsewhere nothing); to be called before there are any.

    What a thread of its own heap has freed at its top is not handed back by `give_back`: 13 MB after reading a text.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def readable(n_bytes: float) -> str:
    """Return a number of bytes as people say it: `3.2 GB`."""
    power = 0
    while n_bytes >= 1000 and power < 4:
        n_bytes /= 1000
        power += 1
    number = f"{n_bytes:.3g}" if n_bytes < 1000 else f"{n_bytes:,.0f}"
    return f"{number} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def _read_number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    free = fields.get("MemAvailable")
    return int(free.split()[0]) * 1024 if free else None


def _of_cgroup(files: tuple[str, str]) -> int | None:
    limit, used = map(_read_number, files)
    return None if limit is None or used is None else limit - used


def _of_process() -> int | None:
    """Return what RLIMIT_DATA and RLIMIT_AS leave."""
    try:
        used = Path("/proc/self/statm").read_text().split()
    except OSError:
        return None
    page = resource.getpagesize()
    left = [
        limit - int(used[field]) * page
        for kind, field in ((resource.RLIMIT_DATA, 5), (resource.RLIMIT_AS, 0))
        if (limit := resource.getrlimit(kind)[0]) != resource.RLIM_INFINITY
    ]
    return min(left, default=None)
