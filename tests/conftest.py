"""What all tests share: compiled kernels that are never out of date, and no clock on examples."""

import hashlib
import os
from pathlib import Path

import hypothesis

ROOT = Path(__file__).parent.parent


def _fingerprint():
    """Return a digest of all kernels: numba looks for changes in a kernel's own file only, not in those it calls."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted([*ROOT.glob("embedkit/**/kernels*.py"), *ROOT.glob("plugins/**/kernels*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".pytest_cache" / f"numba-{_fingerprint()}"))

# A deadline would measure the machine, and compiling.
hypothesis.settings.register_profile("embedkit", deadline=None)
hypothesis.settings.load_profile("embedkit")
