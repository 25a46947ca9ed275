"""Cells in tiers by length: who looks for great dot products looks at the long vectors first, and often there only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np

from embedkit.errors import EmbedkitError
from embedkit.scoring.cells import FEWEST, Cells, Progress

Measure = Literal["dot", "cosine"]
"""What is sought: the greatest dot products, or the greatest cosines."""

_HEAD = 1 / 8  # of the rows are in the first tier
_WORTH = 0.8  # a second tier begins below this share of the length that one row in a hundred has
_BLOCK = 1 << 14


class Tiers:
    """What finds the best rows of a matrix without looking at most of them.

    No dot product is greater than the product of both lengths, so the second tier needs no look where the answers
    found in the first are greater than that (a bound that LEMP, Teflioudi et al. 2015, prunes by as well).

    Attributes
    ----------
    cells
        A part of the rows each.
    longest
        float64, the length of the longest row of each.
    """

    def __init__(self, cells: Sequence[Cells], longest: np.ndarray) -> None:
        self.cells = tuple(cells)
        self.longest = longest

    @classmethod
    def build(cls, vectors: np.ndarray, measure: Measure, *, seed: int = 1, progress: Progress | None = None) -> Self:
        """Put the rows of a matrix (float32, n × d) into tiers and cells.

        Raises
        ------
        EmbedkitError
            If there are fewer than `FEWEST` rows, a number is not finite, or faiss is not installed.
        """
        lengths = _lengths(vectors)
        if measure == "cosine":
            cells = Cells.build(vectors, np.arange(len(vectors)), seed=seed, progress=progress)
            return cls([cells], np.array([np.inf]))
        order = np.argsort(-lengths, kind="stable")
        parts = [np.sort(part) for part in np.split(order, _borders(lengths[order]))]
        longest = np.array([lengths[part].max(initial=0) for part in parts])
        built = [Cells.build(vectors, part, lengths=lengths, seed=seed, progress=progress) for part in parts]
        return cls(built, longest)

    def __len__(self) -> int:
        return sum(map(len, self.cells))


def _borders(descending: np.ndarray) -> list[int]:
    """Return where the second tier begins, if there is to be one."""
    n = len(descending)
    head = int(n * _HEAD)
    return [head] if head >= FEWEST and descending[head] < _WORTH * descending[n // 100] else []


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths of rows, float64 (n); they must be finite."""
    lengths = np.empty(len(vectors))
    for start in range(0, len(vectors), _BLOCK):
        block = np.asarray(vectors[start : start + _BLOCK])
        lengths[start : start + len(block)] = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
    if not np.isfinite(lengths).all():
        raise EmbedkitError(
            "the vectors hold NaN or infinite numbers, which have no neighbours; look for them with "
            "`embedkit info --verify`, and train again with a lower alpha."
        )
    return lengths
