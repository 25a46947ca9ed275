"""How often tokens occur near each other, counted out of core.

The corpus is taken in stretches. The places of a stretch are sorted by their tokens, so that each token's row of counts
is summed up in one go, in an array as long as the vocabulary, and written out in order: nothing has to be sorted or
looked up. Where there are several stretches, each gives a run of rows on disk and the runs' rows are added up at the
end. Counts are whole multiples of 2⁻²⁴ until then, so that workers, stretches and memory change no bit of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from threading import local
from typing import Any, Literal, Protocol

import numpy as np

from embedkit.contracts import History
from embedkit.corpus import kernels_cooccurrence as kernels
from embedkit.corpus.columns import Column
from embedkit.corpus.corpus import Corpus
from embedkit.corpus.workdir import WorkFolder
from embedkit.errors import EmbedkitError
from embedkit.memory import available_bytes, check_fits

Weighting = Literal["harmonic", "linear", "flat"]

_UNIT = 2.0**-24  # of counts, while they are summed
_BYTES_A_PLACE = 8
_LARGEST_STRETCH = 1 << 28
_SMALLEST_STRETCH = 1 << 20
_ENTRIES_A_PART = 1 << 18
_VISITS_A_PART = 1 << 24
_PARTS_AT_ONCE = 16
_MOST_VISITS = 10**14


class Crew(Protocol):
    """Does parts of a job, several at a time, and returns what came of each in their order."""

    def do(self, work: Callable[[slice], Any], parts: Sequence[slice]) -> list[Any]:
        """Return what `work` makes of each part."""


@dataclass(frozen=True)
class Cooccurrences:
    """A symmetric matrix of counts in compressed rows, memory-mapped.

    Attributes
    ----------
    indptr
        int64 (n_tokens + 1): row t is at indptr[t]..indptr[t + 1] of `indices` and `counts`.
    indices
        int32, rising within a row.
    counts
        float32, weighted by distance; above 0.
    """

    indptr: np.ndarray
    indices: np.ndarray
    counts: np.ndarray
    _folder: WorkFolder | None = None

    @property
    def n_tokens(self) -> int:
        """How many rows, and columns, there are."""
        return len(self.indptr) - 1

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def totals(self) -> np.ndarray:
        """The sum of each row, which is that of each column: float64 (n_tokens)."""
        sums = np.zeros(self.n_tokens)
        for rows in _even(np.diff(self.indptr), 1 << 20):
            part = slice(self.indptr[rows.start], self.indptr[rows.stop])
            owners = np.repeat(np.arange(rows.stop - rows.start), np.diff(self.indptr[rows.start : rows.stop + 1]))
            sums[rows] = np.bincount(owners, self.counts[part], rows.stop - rows.start)
        return sums

    def as_history(self) -> History:
        """Return the matrix as compressed rows with weights; nothing is copied."""
        return History(self.indptr, self.indices, self.counts)


def amounts_of(window: int | Literal["sentence"], weighting: Weighting) -> np.ndarray:
    """Return what a neighbour at each distance d counts: float64, from d = 0 (never met) to the window.

    harmonic: 1 / d (Pennington et al. 2014). linear: (window - d + 1) / window, what word2vec's windows of random sizes
    give on average. flat: 1. In a window 'sentence' every pair counts 1, as no order is meant.
    """
    if window == "sentence" or weighting == "flat":
        return np.array([0.0, 1.0])
    distances = np.arange(1, window + 1)
    near = 1 / distances if weighting == "harmonic" else (window - distances + 1) / window
    return np.concatenate(([0.0], near))


def count_cooccurrences(
    corpus: Corpus,
    window: int | Literal["sentence"],
    weighting: Weighting,
    crew: Crew,
    *,
    work_dir: Path | None = None,
    stretch: int | None = None,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Cooccurrences:
    """Count how often each two tokens occur within a window of each other, in one sentence; both orders are one.

    Parameters
    ----------
    window
        Tokens on each side, or 'sentence' for all of it.
    weighting
        See `amounts_of`.
    crew
        What shares the work out.
    work_dir
        Where to put the folder of the memory-mapped files, which is removed with the result.
    stretch
        How many tokens of the corpus to take at a time, 8 bytes each; from the memory there is where None.
    told
        Called with how many tokens were gone through and how many there are.

    Raises
    ------
    EmbedkitError
        If nothing occurs together, whole sentences are too long, or there is too little memory or disk.
    """
    lengths = np.diff(corpus.offsets)
    if int(lengths.max()) < 2:
        raise EmbedkitError("every sentence has a single token, so nothing occurs together; check how they are split.")
    _check_work(lengths, window)
    needed = 16 * len(corpus.tokens) + _BYTES_A_PLACE * min(corpus.n_tokens, _SMALLEST_STRETCH)
    check_fits(needed, f"counting {len(corpus.tokens):,} tokens", "fewer tokens by a higher --min-count would fit")
    folder = WorkFolder(work_dir)
    stretch = stretch or _stretch(needed)
    counting = _Counting(corpus, window, np.rint(amounts_of(window, weighting) / _UNIT).astype(np.int64), crew, told)
    firsts = range(0, corpus.n_tokens, stretch)
    if len(firsts) == 1:
        rows = _Rows(folder.path / "counted", np.float32)
        counting.stretch(0, corpus.n_tokens, rows)
        indptr = rows.indptr
    else:
        runs = _Rows(folder.path / "run", np.int64)
        ends = []
        for first in firsts:
            counting.stretch(first, min(first + stretch, corpus.n_tokens), runs)
            ends.append(runs.indptr)
        rows = _Rows(folder.path / "counted", np.float32)
        counting.merge(np.array(ends), *runs.finish(), rows)
        runs.remove()
        indptr = rows.indptr
    return Cooccurrences(indptr, *rows.finish(), folder)


class _Rows:
    """Rows of counts, written end to end to two files."""

    def __init__(self, path: Path, dtype: type) -> None:
        self._paths = path.with_suffix(".indices"), path.with_suffix(".values")
        self._columns = Column(self._paths[0], np.int32), Column(self._paths[1], dtype)
        self.dtype = dtype
        self.indptr = np.zeros(1, np.int64)

    def begin(self) -> list[np.ndarray]:
        """Return a list to put the lengths of the rows in."""
        return [np.array([self._columns[0].length])]

    def append(self, indices: np.ndarray, values: np.ndarray) -> None:
        for column, numbers in zip(self._columns, (indices, values), strict=True):
            column.append(numbers)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        indices, values = (column.finish() for column in self._columns)
        return indices, values

    def remove(self) -> None:
        for path in self._paths:
            path.unlink()


class _Counting:
    """Rows of counts, made in parts that a crew shares and written in order."""

    def __init__(
        self,
        corpus: Corpus,
        window: int | Literal["sentence"],
        amounts: np.ndarray,
        crew: Crew,
        told: Callable[[int, int], None],
    ) -> None:
        self._ids, self._offsets = np.asarray(corpus.ids), np.asarray(corpus.offsets)
        self._n = len(corpus.tokens)
        self._window = corpus.n_tokens if window == "sentence" else window
        self._amounts, self._crew, self._told = amounts, crew, told
        self._rooms = local()

    def stretch(self, first: int, last: int, rows: _Rows) -> None:
        """Count around positions first..last."""
        uses = np.zeros(self._n, np.int64)
        for start in range(first, last, _SMALLEST_STRETCH):
            uses += np.bincount(self._ids[start : min(start + _SMALLEST_STRETCH, last)], minlength=self._n)
        starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(uses)))
        sentence = int(np.searchsorted(self._offsets, first, side="right")) - 1
        places, sentences = np.empty((2, last - first), np.int32)
        kernels.list_places(self._ids, first, last, self._offsets, sentence, starts[:-1].copy(), places, sentences)
        reach = min(2 * self._window, int(np.diff(self._offsets).max()) - 1)
        unit = _UNIT if rows.dtype is np.float32 else 1.0

        def work(part: slice) -> tuple[np.ndarray, ...]:
            room = int(np.minimum(uses[part] * reach, self._n).sum())
            out = self._out(part, room, rows.dtype)
            kernels.count_rows(
                self._ids, self._offsets, first, sentence, starts, places, sentences, part.start, part.stop,
                self._window, self._amounts, *self._room(), unit, *out,
            )  # fmt: skip
            return _cut(out)

        parts = _even(np.minimum(uses * reach, self._n) + uses * reach * _ENTRIES_A_PART // _VISITS_A_PART)
        self._write(work, parts, rows, lambda part: first + int(starts[part.stop]))

    def merge(self, indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, rows: _Rows) -> None:
        """Add up the rows of several runs."""
        sizes = np.diff(indptr, axis=1).sum(axis=0)

        def work(part: slice) -> tuple[np.ndarray, ...]:
            out = self._out(part, int(np.minimum(sizes[part], self._n).sum()), rows.dtype)
            kernels.merge_rows(indptr, indices, values, part.start, part.stop, *self._room(), _UNIT, *out)
            return _cut(out)

        self._write(work, _even(sizes), rows, lambda part: len(self._ids))

    def _write(
        self, work: Callable[[slice], Any], parts: list[slice], rows: _Rows, reached: Callable[[slice], int]
    ) -> None:
        lengths = rows.begin()
        for start in range(0, len(parts), _PARTS_AT_ONCE):
            some = parts[start : start + _PARTS_AT_ONCE]
            for of_rows, indices, values in self._crew.do(work, some):
                lengths.append(of_rows)
                rows.append(indices, values)
            self._told(reached(some[-1]), len(self._ids))
        rows.indptr = np.cumsum(np.concatenate(lengths))

    def _room(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return this thread's arrays to sum in."""
        if not hasattr(self._rooms, "arrays"):
            words = -(-self._n // 64)
            self._rooms.arrays = (
                np.zeros(self._n, np.int64),
                *(np.zeros(n, np.uint64) for n in (words, -(-words // 64))),
            )
        arrays: tuple[np.ndarray, np.ndarray, np.ndarray] = self._rooms.arrays
        return arrays

    def _out(self, part: slice, room: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.empty(part.stop - part.start, np.int64), np.empty(room, np.int32), np.empty(room, dtype)


def _cut(out: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return copies of what was written, so that the room it was written in goes."""
    lengths, indices, values = out
    n = int(lengths.sum())
    return lengths, indices[:n].copy(), values[:n].copy()


def _even(costs: np.ndarray, at_most: int = _ENTRIES_A_PART) -> list[slice]:
    """Return slices of rows that cost about `at_most` together, or are single rows."""
    ends = np.cumsum(costs)
    cuts = np.searchsorted(ends, np.arange(at_most, int(ends[-1]), at_most), side="left") + 1
    bounds = np.unique(np.concatenate(([0], cuts, [len(costs)]))).tolist()
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def _stretch(needed: int) -> int:
    """Return how many tokens to take at a time: a quarter of what memory is left, 2 GiB at most."""
    available = available_bytes()
    left = _LARGEST_STRETCH * _BYTES_A_PLACE if available is None else (available - needed) // 4
    return int(np.clip(left // _BYTES_A_PLACE, _SMALLEST_STRETCH, _LARGEST_STRETCH))


def _check_work(lengths: np.ndarray, window: int | Literal["sentence"]) -> None:
    """Refuse whole sentences that would take years: a sentence of n tokens has n (n - 1) neighbours."""
    if window != "sentence":
        return
    visits = float(np.dot(lengths.astype(np.float64), lengths - 1))
    if visits > _MOST_VISITS:
        raise EmbedkitError(
            f"with the window 'sentence' {visits:.2g} neighbours would be counted, the longest sentence having "
            f"{int(lengths.max()):,} tokens; give a --window of some tokens."
        )
