"""What trainers that learn in steps need to grow a model: where its vectors go, and what holds them back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.memory import check_fits
from embedkit.names import Names

_ROWS = 1 << 14


@dataclass(frozen=True)
class Known:
    """Those of some names that were there before.

    Attributes
    ----------
    now, before
        int64 (n): their places among the names, and where they stood.
    """

    now: np.ndarray
    before: np.ndarray

    @classmethod
    def of(cls, names: Names, before: Names | None) -> Known:
        """Find names among those of before; None has none."""
        found = np.full(len(names), -1) if before is None else before.find_all(names)
        now = np.flatnonzero(found >= 0)
        return cls(now, found[now])

    @classmethod
    def tokens(cls, corpus: Corpus, run: Run) -> Known:
        """Find the tokens of a corpus that a run's start has; none where it has no start."""
        return cls.of(corpus.tokens, None if run.start is None else run.start.tokens)

    def put(self, table: np.ndarray, vectors: np.ndarray) -> None:
        """Set the first columns of the known rows of a table to the vectors of before."""
        for start in range(0, len(self.now), _ROWS):
            part = slice(start, start + _ROWS)
            table[self.now[part], : vectors.shape[1]] = vectors[self.before[part]]


def shares(known: Known, corpus: Corpus, run: Run) -> np.ndarray:
    """Return what share of its way each known token may go in an epoch of steps: float32 (n).

    It is the drift times the share of the token's occurrences that are new (one is added to both: noise may push
    those off that do not occur). So a vector is something like a mean over all that was learned: the better a token is
    known, the less a few sentences say of it.
    """
    assert run.start is not None
    assert run.start.counts is not None
    before, now = run.start.counts[known.before], corpus.counts[known.now]
    return (run.drift * (1 - before / (now + 1))).astype(np.float32)


class Tether:
    """Holds rows of a table back: of each epoch's way they go a share alone.

    A share of 0 puts them back to the very bits that they had.

    Parameters
    ----------
    table
        float32 (n × width), or of one dimension, which somebody changes.
    rows
        int64, those that are held back.
    share
        From 0 to 1, of all of them or one each; 1 for all holds nothing.
    """

    def __init__(self, table: np.ndarray, rows: np.ndarray, share: float | np.ndarray) -> None:
        free = np.all(np.asarray(share) >= 1)
        self._table, self._rows = table, rows[:0] if free else rows
        of_rows = np.broadcast_to(np.asarray(share, np.float32), len(rows))[: len(self._rows)]
        self._shares = of_rows.reshape(-1, *[1] * (table.ndim - 1))
        n, width = len(self._rows), int(np.prod(table.shape[1:]))
        check_fits(
            4 * n * width,
            f"where {n:,} vectors × {width:,} of the model were",
            "train anew, or take fewer tokens by a higher --min-count",
        )
        self.anchor = table[self._rows]

    def pull(self) -> None:
        """Go back so far, when an epoch is over."""
        for start in range(0, len(self._rows), _ROWS):
            part = slice(start, start + _ROWS)
            anchor, rows, share = self.anchor[part], self._rows[part], self._shares[part]
            anchor += np.where(share > 0, share * (self._table[rows] - anchor), 0)
            self._table[rows] = anchor


def anchors(tethers: Iterable[Tether]) -> dict[str, np.ndarray]:
    """Return what a state must hold of tethers, to be changed in its place; nothing where nothing is held back."""
    return {f"anchor{number}": tether.anchor for number, tether in enumerate(tethers) if len(tether.anchor)}
