"""How much memory there is, so that what cannot fit is refused before hours are spent on it; and how many cores."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from embedkit.errors import EmbedkitError

_M_ARENA_MAX = -8  # of glibc's malloc.h
_FIRST_FILES = "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")
_SECOND_FILES = "memory.max", "memory.current", ("active_file", "inactive_file")

_TO_BEGIN = {resource.RLIMIT_DATA: 240 << 20, resource.RLIMIT_AS: 640 << 20}
"""Bytes that NumPy, SciPy, Arrow, DuckDB and compiled kernels take when they are loaded."""
_FLAGS = {resource.RLIMIT_DATA: "-d", resource.RLIMIT_AS: "-v"}


def available_bytes() -> int | None:
    """Return how many bytes this process can still take: the least of machine, control groups and limits; or None."""
    limits = [limit for limit in (of_machine(), of_process()) if limit is not None]
    limits += of_cgroups()
    return max(0, min(limits)) if limits else None


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def smaller(size: int, otherwise: str) -> str:
    """Return the advice for vectors that do not fit: the size that would, if any, or another remedy."""
    return f"a --vector-size of {size:,} would fit, or {otherwise}" if size > 0 else otherwise


def give_back() -> None:
    """Hand freed memory back to the system, which the C library would keep for itself (glibc; elsewhere nothing)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def one_heap() -> None:
    """Let all threads of this process share one heap (glibc; elsewhere nothing); to be called before there are any.

    What a thread of its own heap has freed at its top is not handed back by `give_back`: 13 MB after reading a text.
    Where the process is limited, Arrow is to use that heap too, as its own reserves a gigabyte that the limit counts.
    """
    if of_process() is not None:
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # read when Arrow is imported
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


def of_cgroups(process: Path = Path("/proc/self")) -> list[int]:
    """Return how many bytes each control group with a limit leaves: the process's own and those it is nested in.

    Both versions of control groups are looked at. Pages of files that a group could drop count as free.

    Parameters
    ----------
    process
        The process's folder of /proc, whose `cgroup` and `mountinfo` are read.
    """
    found = (_left(group, files) for group, files in _groups(process))
    return [left for left in found if left is not None]


_Files = tuple[str, str, tuple[str, str]]


def _groups(process: Path) -> Iterator[tuple[Path, _Files]]:
    """Yield the folders of the control groups that a process is in, the innermost first, and which files tell what."""
    try:
        lines = (process / "cgroup").read_text().splitlines()
        mounts = (process / "mountinfo").read_text().splitlines()
    except OSError:
        return
    own = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            own["cgroup" if controllers else "cgroup2"] = path
    for mount in mounts:
        at, _, of_system = mount.partition(" - ")
        root, point = (_unescaped(field) for field in at.split(" ")[3:5])
        kind, _, options = of_system.split(" ", 2)
        if kind in own and (kind == "cgroup2" or "memory" in options.split(",")):
            folder = Path(point)
            inside = Path(os.path.normpath(f"{point}/{_below(own[kind], root)}"))
            # From within a container the group may lie outside of what is mounted: then what is there is its own.
            for group in (inside, *inside.parents) if inside.is_dir() and inside.is_relative_to(folder) else (folder,):
                if group.is_relative_to(folder):
                    yield group, _SECOND_FILES if kind == "cgroup2" else _FIRST_FILES


def _below(path: str, root: str) -> str:
    """Return a group's path below the one that is mounted."""
    return path.removeprefix(root) if root != "/" and path.startswith(root) else path


def _unescaped(field: str) -> str:
    """Return a field of mountinfo, in which blanks and backslashes are octal numbers."""
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _left(group: Path, files: _Files) -> int | None:
    """Return what a group's limit leaves; None where it has none."""
    limit, used = (_read_number(group / name) for name in files[:2])
    if limit is None or used is None:
        return None
    try:
        told = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        told = {}
    return limit - used + min(used, sum(int(told.get(name, 0)) for name in files[2]))


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def of_machine(told: Path = Path("/proc/meminfo")) -> int | None:
    """Return how many bytes the machine has free, room to swap to included, which is slow but no end."""
    try:
        lines = told.read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # macOS: all there is, as a bound
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    free = [int(fields[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree") if name in fields]
    return sum(free) if "MemAvailable" in fields else None


def of_process() -> int | None:
    """Return what RLIMIT_DATA and RLIMIT_AS leave."""
    return min(_left_by_limits().values(), default=None)


def check_beginning() -> None:
    """Refuse to begin to learn where a limit of the process has no room for the libraries that this takes.

    Some of them end the process, or hang, where they get no memory while they are loaded.

    Raises
    ------
    EmbedkitError
        If there is less than what was measured on Linux.
    """
    for kind, left in _left_by_limits().items():
        if left < _TO_BEGIN[kind]:
            needed = readable(_TO_BEGIN[kind])
            raise EmbedkitError(
                f"a limit of this process (ulimit {_FLAGS[kind]}) leaves {readable(left)} of memory, and embedkit "
                f"needs {needed} to begin with; raise it."
            )


def _left_by_limits() -> dict[int, int]:
    """Return how many bytes each limit of the process leaves."""
    try:
        used = Path("/proc/self/statm").read_text().split()
    except OSError:
        return {}
    page = resource.getpagesize()
    return {
        kind: max(0, limit - int(used[field]) * page)
        for kind, field in ((resource.RLIMIT_DATA, 5), (resource.RLIMIT_AS, 0))
        if (limit := resource.getrlimit(kind)[0]) != resource.RLIM_INFINITY
    }
