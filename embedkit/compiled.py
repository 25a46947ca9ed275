"""The one way in which embedkit compiles a kernel."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import numba


def _make_cache_writable() -> None:
    """Send compiled code to a private temporary folder where neither the package nor the home can hold it."""
    package = os.path.dirname(os.path.abspath(__file__))
    home = os.path.expanduser("~")
    if "NUMBA_CACHE_DIR" in os.environ or os.access(package, os.W_OK) or os.access(home, os.W_OK):
        return
    numba.config.CACHE_DIR = os.path.join(tempfile.gettempdir(), f"embedkit-numba-{os.getuid()}")


_make_cache_writable()


def _state_of_kernels() -> tuple[tuple[str, float, int], ...]:
    """Return the time and size of all files of kernels in the package."""
    found = []
    for folder, _, names in os.walk(os.path.dirname(os.path.abspath(__file__))):
        for name in names:
            if name.startswith("kernels") and name.endswith(".py"):
                about = os.stat(os.path.join(folder, name))
                found.append((name, about.st_mtime, about.st_size))
    return tuple(sorted(found))


_KERNELS = _state_of_kernels()

# Not all of fastmath: `nnan` and `ninf` would let the compiler assume that no NaN exists and drop the checks for it.
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}


def kernel(function: Callable | None = None, **options: Any) -> Any:
    """Compile a function over arrays on its first call, keep the code on disk, and release the GIL while it runs."""
    settings = {"fastmath": FASTMATH, "error_model": "numpy", "nogil": True, "cache": True, **options}
    if function is None:
        return lambda function: _dated(numba.njit(**settings)(function))
    return _dated(numba.njit(**settings)(function))


def _dated(made: Any) -> Any:
    """Have code on disk thrown away when any file of kernels changes: numba looks at the function's own file alone."""
    file: Any = getattr(getattr(made, "_cache", None), "_cache_file", None)
    if hasattr(file, "_source_stamp"):
        file._source_stamp = (file._source_stamp, _KERNELS)
    return made
