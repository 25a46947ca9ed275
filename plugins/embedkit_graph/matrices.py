"""Edges from adjacency matrices: MatrixMarket, MATLAB, SciPy and NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedkit import OptionError, SourceError, did_you_mean
from embedkit_graph.edges import EdgeCollector, checked_weights
from embedkit_graph.files import File
from embedkit_graph.graph import Edges
from embedkit_graph.lines import LineReader
from embedkit_graph.mat import MatFile

_FIELDS = ("real", "integer", "pattern")
_SYMMETRIES = ("general", "symmetric")
_NUMERIC = ("double", "single", "logical", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_ADVICE = "an adjacency matrix is square; list the edges of a graph of two kinds of nodes as pairs of distinct names"


def read_mtx(file: File, collector: EdgeCollector, notes: list[str], *, weighted: bool | None, directed: bool) -> int:
    """Take a MatrixMarket file's entries as edges between row and column numbers, as they stand in the file.

    The size that its header announces is checked against what comes, never allocated.

    Returns
    -------
    int
        How many of its rows were announced.

    Raises
    ------
    SourceError
        If it is no square coordinate matrix of real numbers, or holds other than what it announces.
    """
    field, symmetric, skip, size, announced = _mtx_header(file)
    if field == "pattern" and weighted:
        raise SourceError(f"{file.name} is a pattern without values; leave --weighted out.")
    take_weights = field != "pattern" and weighted is not False
    notes.append(
        f"{file.name}: a {field} matrix, {'symmetric' if symmetric else 'general'}; nodes are row numbers from 1"
    )
    entries = 0
    for cells in LineReader(file, "utf-8", None, 2 if field == "pattern" else 3, skip).batches():
        rows, columns = (_numbers_within(file.name, cell, size) for cell in cells[:2])
        entries += len(rows)
        weights = cells[2] if take_weights else None
        collector.add(file.name, rows, columns, weights)
        if symmetric and directed:
            off = pc.not_equal(rows, columns)
            back = None if weights is None else weights.filter(off)
            collector.add(file.name, columns.filter(off), rows.filter(off), back)
    if entries != announced:
        raise SourceError(f"{file.name} announces {announced:,} entries and holds {entries:,}; it is damaged.")
    return size


def _mtx_header(file: File) -> tuple[str, bool, int, int, int]:
    """Return field, symmetry, lines before the entries, rows, entries."""
    lines = file.head().decode("latin-1").splitlines()
    words = lines[0].lower().split()
    if len(words) != 5 or words[0] != "%%matrixmarket" or words[1] != "matrix":
        raise SourceError(
            f"{file.name} does not begin with %%MatrixMarket matrix ...; as a list of edges name it .txt."
        )
    _, _, form, field, symmetry = words
    if form != "coordinate" or field not in _FIELDS or symmetry not in _SYMMETRIES:
        raise SourceError(
            f"{file.name} is {form} {field} {symmetry}; embedkit reads coordinate matrices that are "
            f"{', '.join(_FIELDS)} and {' or '.join(_SYMMETRIES)}."
        )
    at = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("%")), None)
    sizes = lines[at].split() if at is not None else []
    if at is None or len(sizes) != 3 or not all(size.isascii() and size.isdigit() for size in sizes):
        raise SourceError(f"{file.name} has no line of rows, columns and entries behind its header; it is damaged.")
    rows, columns, entries = (int(size) for size in sizes)
    _check_square(file.name, rows, columns)
    return field, symmetry == "symmetric", at + 1, rows, entries


def _check_square(name: str, rows: int, columns: int) -> None:
    if rows != columns:
        raise SourceError(f"{name} is a matrix of {rows:,} × {columns:,}; {_ADVICE}.")


def _numbers_within(name: str, cells: pa.Array, size: int) -> pa.Array:
    try:
        numbers = cells.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise SourceError(f"{name}: an entry's row or column is no whole number; it is damaged.") from error
    wrong = (numbers < 1) | (numbers > size)
    if wrong.any():
        raise SourceError(f"{name} has an entry in row or column {numbers[wrong][0]:,} of {size:,}; it is damaged.")
    return cells


def read_mat(file: File, variable: str | None, weighted: bool | None, notes: list[str], folder: Path) -> Edges:
    """Return the edges of a variable of a MATLAB file (up to version 7), nodes numbered from 0 as SciPy does.

    Raises
    ------
    SourceError
        If it is damaged, of version 7.3, or has no square matrix to take.
    """
    with MatFile(file.path, file.name, folder) as mat:
        chosen = _choose_variable(file, mat.variables, variable)
        matrix = mat.matrix(chosen)
    notes.append(f"{file.name}: variable {chosen!r}; nodes are row numbers from 0")
    return matrix_edges(matrix, f"{file.name}, {chosen!r}", weighted)


def _choose_variable(file: File, found: list[tuple[str, tuple[int, ...], str]], wanted: str | None) -> str:
    names = [name for name, _, _ in found]
    if wanted is not None:
        if wanted not in names:
            near = did_you_mean(wanted, names)
            raise SourceError(f"{file.name} has no variable {wanted!r}; it has: {', '.join(names) or 'none'}.{near}")
        shape, kind = next((shape, kind) for name, shape, kind in found if name == wanted)
        if kind != "sparse" and (kind not in _NUMERIC or _bytes(shape) > 1032 * file.path.stat().st_size):
            raise SourceError(
                f"{file.name}: variable {wanted!r} is no matrix of numbers, or announces more than it holds."
            )
        return wanted
    sparse = [(name, shape) for name, shape, kind in found if kind == "sparse"]
    square = [name for name, shape in sparse if len(shape) == 2 and shape[0] == shape[1]]
    if len(square) == 1:
        return square[0]
    if square:
        raise SourceError(
            f"{file.name} has several sparse square matrices: {', '.join(square)}. Name one with --variable."
        )
    if sparse:
        name, shape = sparse[0]
        _check_square(f"{file.name}, {name!r}", *shape)
    raise SourceError(
        f"{file.name} has no sparse square matrix; it has: {', '.join(names) or 'nothing'}. Name one with --variable."
    )


def _bytes(shape: tuple[int, ...]) -> int:
    """Return the least that a full matrix takes; compression makes at most 1,032 bytes of one."""
    total = 1
    for size in shape:
        total *= int(size)
    return total


def matrix_edges(matrix: Any, name: str, weighted: bool | None) -> Edges:
    """Return a matrix's entries other than zero as edges between rows and columns, numbered from 0.

    Parameters
    ----------
    matrix
        SciPy sparse, or a two-dimensional array.
    weighted
        Whether its values are weights; where None, if they are not all alike.

    Raises
    ------
    SourceError
        If it is not square, or a value is negative or no finite number.
    """
    from scipy.sparse import coo_array, issparse

    if not issparse(matrix) and (getattr(matrix, "ndim", 0) != 2 or matrix.dtype.kind not in "buif"):
        raise SourceError(f"{name} is no matrix of numbers, but {getattr(matrix, 'dtype', type(matrix).__name__)}.")
    if matrix.dtype.kind == "c":
        raise SourceError(f"{name} holds complex numbers; an edge has one weight above zero.")
    _check_square(name, *matrix.shape)
    if matrix.shape[0] > np.iinfo(np.int32).max:
        raise OptionError("input", f"has {matrix.shape[0]:,} rows; at most 2,147,483,647 nodes can be numbered.")
    entries = coo_array(matrix)
    data = np.asarray(entries.data)
    weights = checked_weights(name, pa.array(data.astype(np.float64)))
    kept = weights > 0
    names = pa.array(np.arange(matrix.shape[0])).cast(pa.large_string())
    weights = weights[kept]
    alike = not len(weights) or bool((weights == weights[0]).all())
    rows, columns = (np.asarray(axis)[kept].astype(np.int32) for axis in entries.coords)
    return Edges(names, rows, columns, None if weighted is False or alike else weights)
