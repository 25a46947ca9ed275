"""The leading right singular vectors of a sparse matrix, by subspace iteration.

Halko, Martinsson and Tropp 2011 (arXiv 0909.4061, section 4.5): a random block is multiplied by NᵀN again and again
and made orthonormal in between; the best singular vectors within its span come out last (Rayleigh-Ritz). Memory
is a few times n_columns × width, whatever the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from embedkit.contracts import History
from embedkit.trainers.factors import kernels_sparse
from embedkit.trainers.machinery.crew import Crew, slices

_SLAB = 32  # columns that go through the sparse matrix at a time: two cache lines of each row
_ENTRIES_A_CALL = 1 << 21
_TILE = 256
_ROWS = 4096
_FLOOR = 1e-7  # of the greatest eigenvalue: what float32 cannot tell from nothing


class Product(Protocol):
    """A matrix N that is known by its products alone, such as one in partitions."""

    def gram_product(self, block: np.ndarray) -> np.ndarray:
        """Return NᵀN block: float32 (n_columns × width)."""


Matrix = History | Product


@dataclass(frozen=True)
class Subspace:
    """Directions in the space of columns, and what NᵀN makes of them.

    Attributes
    ----------
    matrix
        N in compressed rows, or what knows its products.
    basis
        float32 (n_columns × width), orthonormal columns.
    product
        float32 of that shape: NᵀN basis.
    """

    matrix: Matrix
    basis: np.ndarray
    product: np.ndarray

    @classmethod
    def of(cls, matrix: Matrix, n_columns: int, width: int, seed: int, crew: Crew) -> Subspace:
        """Return the span of what NᵀN makes of random directions."""
        block = random_block(n_columns, width, seed)
        return cls.spanned_by(matrix, gram_product(matrix, block, crew), crew)

    @classmethod
    def spanned_by(cls, matrix: Matrix, block: np.ndarray, crew: Crew) -> Subspace:
        """Return the span of a block's columns."""
        basis = orthonormal(orthonormal(block, crew), crew)
        return cls(matrix, basis, gram_product(matrix, basis, crew))

    def sharpened(self, crew: Crew) -> Subspace:
        """Return the span of the product: each singular direction grown by its squared singular value."""
        return Subspace.spanned_by(self.matrix, self.product, crew)

    def variance(self) -> float:
        """Return the sum of squares of N within the subspace."""
        rows = slices(len(self.basis), _ROWS)
        return sum(float(np.einsum("ij,ij->", self.basis[r], self.product[r], dtype=np.float64)) for r in rows)

    def singular_vectors(self, rank: int, crew: Crew) -> tuple[np.ndarray, np.ndarray]:
        """Return the best approximations within: singular values (rank) and vectors (n_columns × rank), float32."""
        squares, turn = np.linalg.eigh(_inner(self.basis, self.product, crew))
        vectors = _product(self.basis, turn[:, ::-1][:, :rank].astype(np.float32), crew)
        return np.sqrt(np.maximum(squares[::-1][:rank], 0)).astype(np.float32), vectors


def random_block(n_columns: int, width: int, seed: int) -> np.ndarray:
    """Return random directions: float32 (n_columns × width)."""
    return np.random.default_rng(seed).standard_normal((n_columns, width), np.float32)


def n_parts(n_columns: int, width: int, iterations: int) -> int:
    """Return of how many parts a crew's work on a subspace consists: a first product, iterations, singular vectors."""
    products, inner, turns = (len(slices(*by)) for by in ((width, _SLAB), (width, _TILE), (n_columns, _ROWS)))
    return (iterations + 1) * products + (2 * iterations + 1) * (inner + turns)


def gram_product(matrix: Matrix, block: np.ndarray, crew: Crew) -> np.ndarray:
    """Return NᵀN block: float32 (n_columns × width)."""
    if not isinstance(matrix, History):
        return matrix.gram_product(block)
    calls = max(1, -(-len(matrix.indices) // _ENTRIES_A_CALL))
    inner = np.searchsorted(matrix.indptr, np.linspace(0, len(matrix.indices), calls + 1)[1:-1])
    cuts = [0, *inner.tolist(), len(matrix)]
    made = np.empty_like(block)

    def work(columns: slice) -> None:
        right = np.ascontiguousarray(block[:, columns])
        out = np.zeros_like(right)
        for first, last in pairwise(cuts):
            kernels_sparse.add_gram_product(matrix.indptr, matrix.indices, matrix.weights, first, last, right, out)
        made[:, columns] = out

    crew.do(work, slices(block.shape[1], _SLAB))
    return made


def orthonormal(block: np.ndarray, crew: Crew) -> np.ndarray:
    """Return an orthonormal basis of the span of a block's columns, by the eigenvectors of their inner products.

    Stathopoulos and Wu 2002 (SIAM Journal on Scientific Computing 23, 2165-2182: SVQB). Columns that depend on each
    other come out shorter, where a Cholesky factor would fail. One pass leaves an error of float32's precision
    times the squared condition number; a second leaves none.
    """
    inner = _inner(block, block, crew)
    scale = 1 / np.sqrt(np.maximum(np.diag(inner), np.finfo(np.float32).tiny))
    values, turn = np.linalg.eigh(inner * scale * scale[:, None])
    turn *= scale[:, None] / np.sqrt(np.maximum(values, _FLOOR * values[-1]))
    return _product(block, turn[:, ::-1].astype(np.float32), crew)


def _inner(left: np.ndarray, right: np.ndarray, crew: Crew) -> np.ndarray:
    """Return leftᵀ right, known to be symmetric, in float64: upper tiles are computed, the lower ones mirror them."""
    width = left.shape[1]
    upper = np.zeros((width, width))

    def work(columns: slice) -> None:
        upper[: columns.stop, columns] = left[:, : columns.stop].T @ right[:, columns]

    crew.do(work, slices(width, _TILE))
    above = np.triu(upper)
    return above + np.triu(above, 1).T


def _product(block: np.ndarray, turn: np.ndarray, crew: Crew) -> np.ndarray:
    made = np.empty((len(block), turn.shape[1]), np.float32)
    turn = np.ascontiguousarray(turn)
    crew.do(lambda rows: np.matmul(block[rows], turn, out=made[rows]), slices(len(block), _ROWS))
    return made
