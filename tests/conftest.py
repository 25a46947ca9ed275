"""What all tests share: compiled kernels that are never out of date."""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _fingerprint():
    """Return a digest of all kernels: numba looks for changes in a kernel's own file only, not in those it calls."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted([*ROOT.glob("embedkit/**/kernels*.py"), *ROOT.glob("plugins/**/kernels*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".pytest_cache" / f"numba-{_fingerprint()}"))
