"""Rows of a matrix in cells by direction, coded in four bits a number: the best are sought in a few cells only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Self

import numpy as np

from embedkit.errors import EmbedkitError, missing_extra
from embedkit.memory import of_process, readable

FEWEST = 1000
"""Rows from which there can be cells."""

_CELLS = 4  # times the square root of the number of rows
_ROUNDS = 10
_LEARNED_FROM = 40  # rows a cell, drawn for finding the cells
_FOR_PRODUCTS, _FOR_COSINES = 40, 32  # cells that a query looks into; docs/nearest.md has what more and fewer win
_CHUNK = 1 << 14
_TO_IMPORT = 300_000_000  # that its libraries reserve, most of it for threads
_TO_BEGIN = 30 << 20  # faiss itself, and a block
_LIKENESSES = 1 << 22  # of rows to centres at a time: 16 MiB

Progress = Callable[[str, int, int], None]
"""Is told what is being done, and how much of how much of it is."""


class Cells:
    """An inverted file of product-quantized vectors (Jégou et al. 2011), scanned in registers (André et al. 2015).

    Cells are found by k-means over directions, from rows drawn in proportion to their length: long ones are the answers
    to most queries by dot product, and few. The reduction of dot products to distances by one more dimension (Bachrach
    et al. 2014) was measured and loses: one very long vector makes all others look alike to it.

    What is found is about right, in no right order and without scores: rank it again by the vectors themselves.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(
        cls,
        vectors: np.ndarray,
        ids: np.ndarray,
        *,
        lengths: np.ndarray | None = None,
        seed: int = 1,
        progress: Progress | None = None,
    ) -> Self:
        """Put some rows of a matrix into cells.

        Parameters
        ----------
        vectors
            float32 (n × d).
        ids
            int64 (m), which rows, at least `FEWEST`; what they are found by.
        lengths
            float64 (n), of the rows; None where cosines are sought: rows are brought to length 1 then.
        seed
            For the rows that cells are learned from.

        Raises
        ------
        EmbedkitError
            If there are too few rows, or faiss is not installed.
        """
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        faiss = imported()
        n, width = len(ids), vectors.shape[1]
        if n < FEWEST:
            raise EmbedkitError(f"{n:,} vectors are too few for an index, and are searched at once without one.")
        tell = progress or (lambda what, done, total: None)
        take = _Taker(vectors, unit=lengths is None)
        n_cells = round(_CELLS * n**0.5)
        places = _drawn(np.ones(n) if lengths is None else lengths[ids], min(n, _LEARNED_FROM * n_cells), seed)
        sample = take(ids[places])
        centres = _directions(sample, n_cells, lambda done: tell("finding cells", done, _ROUNDS * len(sample)))
        coarse = faiss.IndexFlatIP(width)
        coarse.add(centres)
        index = faiss.IndexIVFPQFastScan(coarse, width, n_cells, width, 4, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = min(_FOR_COSINES if lengths is None else _FOR_PRODUCTS, n_cells)
        # Thousands of small loops: threads would wait for each other, for a minute where other work is going on.
        with threadpool_limits(1):
            index.train(sample)
        for start in range(0, n, _CHUNK):
            part = ids[start : start + _CHUNK]
            index.add_with_ids(take(part), part.astype(np.int64))
            tell("filling cells", start + len(part), n)
        return cls(index)

    @classmethod
    def from_image(cls, image: np.ndarray, n: int, width: int) -> Self:
        """Return the cells whose bytes (uint8) these are.

        The bytes must be those that `image` gave, as a checksum tells: faiss does not guard itself against others.

        Raises
        ------
        EmbedkitError
            If they are no cells of `n` vectors of that width, or faiss is not installed.
        """
        faiss = imported()
        try:
            index = faiss.deserialize_index(np.ascontiguousarray(image))
        except RuntimeError as error:
            raise EmbedkitError("faiss cannot read it; another version may have written it.") from error
        if not isinstance(index, faiss.IndexIVFPQFastScan) or (index.ntotal, index.d) != (n, width):
            raise EmbedkitError(f"it is not one of {n:,} × {width} vectors.")
        return cls(index)

    @property
    def image(self) -> np.ndarray:
        """All of it as bytes: uint8."""
        return np.asarray(imported().serialize_index(self._index))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return int(self._index.d)

    def search(self, queries: np.ndarray, k: int, effort: int = 1) -> np.ndarray:
        """Return the ids of about the best `k` by dot product for each query.

        Parameters
        ----------
        queries
            float32 (n_queries × d).
        effort
            How many times as many cells as usual are looked into.

        Returns
        -------
        ndarray
            int64 (n_queries × k), -1 where fewer were found.
        """
        more = {}
        if effort > 1:
            n_cells = min(self._index.nprobe * effort, self._index.nlist)
            more["params"] = imported().SearchParametersIVF(nprobe=n_cells)
        _, ids = self._index.search(np.ascontiguousarray(queries, np.float32), k, **more)
        return np.asarray(ids)


def imported() -> Any:
    """Return the module faiss.

    Raises
    ------
    EmbedkitError
        If it is not installed, or a limit of this process leaves too little memory for it.
    """
    left = of_process() if "faiss" not in sys.modules and find_spec("faiss") else None
    if left is not None and left < _TO_IMPORT:  # it would end the process by a signal
        raise EmbedkitError(
            f"faiss needs {readable(_TO_IMPORT)} of memory to begin with and the limit of this process (ulimit) leaves "
            f"{readable(left)}; raise it, or go without an index (--exact)."
        )
    try:
        import faiss
    except ImportError as error:
        raise missing_extra("faiss", "index", "an index of nearest neighbours") from error
    return faiss


def bytes_to_build(n: int, width: int, measures: int) -> int:
    """Return about how much memory it takes to put `n` vectors into cells, and to have their bytes, by each measure.

    Cells are learned from a sample, its directions and those in order of cells. Codes grow by doubling.
    """
    sample = min(n, _LEARNED_FROM * round(_CELLS * n**0.5))
    codes = n * (width // 2 + 8)
    return _TO_BEGIN + 12 * sample * width + (3 * measures * codes) // 2 + 24 * n


class _Taker:
    """Takes rows of a matrix, as they are or of length 1."""

    def __init__(self, vectors: np.ndarray, unit: bool) -> None:
        self._vectors, self._unit = vectors, unit

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(self._vectors[ids], np.float32)
        return _units(rows) if self._unit else rows


def _drawn(lengths: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Draw n different rows with chances in proportion to their lengths (Gumbel's trick), in ascending order."""
    with np.errstate(divide="ignore"):
        chances = np.log(lengths) + np.random.default_rng(seed).gumbel(size=len(lengths))
    return np.sort(np.argpartition(-chances, n - 1)[:n])


def _directions(sample: np.ndarray, n_cells: int, progress: Callable[[int], None]) -> np.ndarray:
    """Return the directions that rows gather around, by spherical k-means: float32 (n_cells × d), of length 1.

    A cell that loses all its rows begins anew at the row that the others fit least.
    """
    units = _units(sample)
    centres = units[np.linspace(0, len(units) - 1, n_cells).astype(np.intp)]
    cell, fit = np.empty(len(units), np.intp), np.empty(len(units), np.float32)
    at_once = max(1, _LIKENESSES // n_cells)
    for turn in range(_ROUNDS):
        for start in range(0, len(units), at_once):
            rows = slice(start, start + at_once)
            likeness = units[rows] @ centres.T
            cell[rows] = likeness.argmax(axis=1)
            fit[rows] = np.take_along_axis(likeness, cell[rows, None], axis=1)[:, 0]
            progress(turn * len(units) + min(start + at_once, len(units)))
        order = np.argsort(cell, kind="stable")
        counts = np.bincount(cell, minlength=n_cells)
        filled = np.flatnonzero(counts)
        centres[filled] = np.add.reduceat(units[order], (np.cumsum(counts) - counts)[filled], axis=0)
        empty = np.flatnonzero(counts == 0)
        centres[empty] = units[np.argsort(fit, kind="stable")[: len(empty)]]
        centres = _units(centres)
    return centres


def _units(vectors: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return np.ascontiguousarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
