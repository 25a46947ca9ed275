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

# Not all of fastmath: `nnan` and `ninf` would let the compiler assume that no NaN exists and drop the checks for it.
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}


def kernel(function: Callable | None = None, **options: Any) -> Any:
    """Compile a function over arrays on its first call, keep the code on disk, and release the GIL while it runs."""
    settings = {"fastmath": FASTMATH, "error_model": "numpy", "nogil": True, "cache": True, **options}
    return numba.njit(**settings) if function is None else numba.njit(**settings)(function)
