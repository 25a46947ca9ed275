"""MATLAB files, read by SciPy in a process of its own: there are damaged ones that end the process that reads them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from embedkit import SourceError

_SECONDS, _SECONDS_A_BYTE = 60.0, 1e-6  # that reading may take; 15 to 60 MB a second were measured
_CHILD = """
import json, sys
import numpy as np
from scipy.io import loadmat, whosmat
from scipy.sparse import issparse
try:
    found = whosmat(sys.argv[1])
except NotImplementedError:
    sys.exit(3)
print(json.dumps([[name, [int(n) for n in shape], kind] for name, shape, kind in found]), flush=True)
chosen = sys.stdin.readline().rstrip("\\n")
if chosen:
    matrix = loadmat(sys.argv[1], variable_names=[chosen])[chosen]
    if issparse(matrix):
        matrix.check_format(full_check=True)
        entries = matrix.tocoo()
        arrays = {"data": entries.data, "row": entries.row, "col": entries.col, "shape": np.array(matrix.shape)}
    else:
        arrays = {"full": matrix}
    try:
        np.savez(sys.argv[2], **arrays)
    except OSError:
        sys.exit(4)
"""


class MatFile:
    """A MATLAB file up to version 7, open in another process.

    Attributes
    ----------
    variables
        Name, shape and kind of each.

    Raises
    ------
    SourceError
        If it is damaged, or of version 7.3.
    """

    def __init__(self, path: Path, name: str, folder: Path) -> None:
        self._name = name
        self._folder = tempfile.TemporaryDirectory(prefix="graph-mat-", dir=folder)
        self._taken = Path(self._folder.name, "taken.npz")
        self._process = subprocess.Popen(
            [sys.executable or "python3", "-P", "-c", _CHILD, str(path), str(self._taken)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
            errors="surrogateescape",
        )  # fmt: skip
        # What loops for ever on a damaged file is ended, and told of like what dies of it.
        self._patience = threading.Timer(_SECONDS + path.stat().st_size * _SECONDS_A_BYTE, self._process.kill)
        self._patience.daemon = True
        self._patience.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self.close()
            if self._process.returncode == 3:
                raise SourceError(f"{name} is of MATLAB 7.3 (HDF5); save it with '-v7', or as .mtx.")
            raise self._damaged()
        told = json.loads(line)
        self.variables: list[tuple[str, tuple[int, ...], str]] = [(n, tuple(shape), kind) for n, shape, kind in told]

    def __enter__(self) -> MatFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def matrix(self, variable: str) -> Any:
        """Return a variable, SciPy's sparse matrix or an array.

        Raises
        ------
        SourceError
            If it is damaged, or holds something else.
        """
        from scipy.sparse import coo_array

        self._process.communicate(f"{variable}\n")
        if self._process.returncode == 4:
            raise SourceError(f"there is no room to unpack {self._name}; make some, or name another --work-dir.")
        if self._process.returncode:
            raise self._damaged()
        try:
            with np.load(self._taken, allow_pickle=False) as taken:
                if "full" in taken:
                    return taken["full"]
                return coo_array((taken["data"], (taken["row"], taken["col"])), shape=tuple(taken["shape"].tolist()))
        except (ValueError, OSError) as error:  # objects, such as cells and structures
            raise self._damaged() from error

    def close(self) -> None:
        """End the other process, whatever it does."""
        self._patience.cancel()
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()
        self._folder.cleanup()

    def _damaged(self) -> SourceError:
        return SourceError(f"{self._name} cannot be read as a MATLAB file: it is damaged or none.")
