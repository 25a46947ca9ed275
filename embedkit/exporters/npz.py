"""NumPy's archive of arrays: `tokens`, `vectors`, and `labels` and `counts` where there are any. No pickle in it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.contracts import Exporter

if TYPE_CHECKING:
    import numpy as np

    from embedkit.embeddings import Embeddings
    from embedkit.names import Names

_BLOCK = 1 << 23  # bytes
_NAMES = 1 << 14


class Npz(Exporter):
    """NumPy's .npz: arrays `tokens`, `vectors`, `labels`, `counts`; numpy.load reads it without pickles."""

    name = "npz"
    endings = (".npz",)
    keeps = frozenset({"labels", "counts"})

    def write(self, embeddings: Embeddings, target: str, options: Any) -> None:
        """Write the file; names are compressed, for NumPy gives each as many bytes as the longest has.

        Raises
        ------
        EmbedkitError
            If a token ends with a NUL, which NumPy's strings lose.
        ModelError
            If the file cannot be written; what was there before is whole then.
        """
        from embedkit.embeddings.replacing import replacing
        from embedkit.exporters import tokens

        for names in (embeddings.tokens, embeddings.labels):
            if names is not None:
                tokens.refuse(names, r"\x00\z", "ends with a NUL, which NumPy's strings lose", "export to parquet")
        with replacing(Path(target)) as file, zipfile.ZipFile(file, "w") as archive:
            self._write_matrix(archive, embeddings.vectors)
            _write_names(archive, "tokens", embeddings.tokens)
            if embeddings.labels is not None:
                _write_names(archive, "labels", embeddings.labels)
            if embeddings.counts is not None:
                _write(archive, "counts", "<i8", embeddings.counts.shape, iter([embeddings.counts]))

    def _write_matrix(self, archive: zipfile.ZipFile, vectors: np.ndarray) -> None:
        n, width = vectors.shape
        height = max(1, _BLOCK // (4 * width))

        def blocks() -> Iterator[np.ndarray]:
            for start in range(0, n, height):
                yield vectors[start : start + height]
                self.run.progress(min(start + height, n), n, unit="rows")

        _write(archive, "vectors", "<f4", vectors.shape, blocks())


def _write_names(archive: zipfile.ZipFile, name: str, names: Names) -> None:
    """Write strings as an array in which each has room for the longest."""
    import numpy as np
    import pyarrow.compute as pc

    longest = max(1, pc.max(pc.utf8_length(names.to_arrow())).as_py() or 0)
    dtype = f"<U{longest}"
    height = max(1, min(_NAMES, _BLOCK // (4 * longest)))
    blocks = (np.array(names[start : start + height], dtype) for start in range(0, len(names), height))
    _write(archive, name, dtype, (len(names),), blocks, zipfile.ZIP_DEFLATED)


def _write(
    archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...], blocks: Iterator[np.ndarray],
    method: int = zipfile.ZIP_STORED,
) -> None:  # fmt: skip
    """Write an array of which there is one block at a time."""
    import numpy as np

    entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = method
    entry.external_attr = 0o644 << 16
    with archive.open(entry, "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})  # type: ignore[arg-type]
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype).data.cast("B"))
