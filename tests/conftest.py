"""What all tests share: compiled kernels that are never out of date, no clock on examples, `needs`."""

import hashlib
import importlib.util
import os
import shutil
import signal
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parent.parent


def _fingerprint():
    """Return a digest of all kernels: numba looks for changes in a kernel's own file only, not in those it calls."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted([*ROOT.glob("embedkit/**/kernels*.py"), *ROOT.glob("plugins/**/kernels*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".pytest_cache" / f"numba-{_fingerprint()}"))

# A shell ignores Ctrl-C for what it runs in the background, and processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline would measure the machine, and compiling.
hypothesis.settings.register_profile("embedkit", deadline=None)
hypothesis.settings.load_profile("embedkit")


def needs(*modules, programs=()):
    """Skip this module's tests where an optional package or program is missing; fail there with EMBEDKIT_ALL_TESTS=1.

    Continuous integration sets that variable, so that a test that it was meant to run is never left out in silence.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    missing += [name for name in programs if shutil.which(name) is None]
    if missing and os.environ.get("EMBEDKIT_ALL_TESTS") == "1":
        pytest.fail(f"not installed: {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}", allow_module_level=True)


@pytest.fixture(scope="session")
def postgres():
    """Give a PostgreSQL server for all tests of this run; see `postgres_server`."""
    from postgres_server import running

    with running() as server:
        yield server
