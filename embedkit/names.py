"""A sequence of strings in two arrays, with look-up: as it lies in a file, so a million names open in no time."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np

from embedkit.errors import EmbedkitError

if TYPE_CHECKING:
    import pyarrow as pa

_NEIGHBOURHOOD = 2000
_FREQUENT = 5000
_CHUNK = 1 << 14


class Names(Sequence[str]):
    """Strings, end to end in UTF-8.

    Parameters
    ----------
    utf8
        uint8, the bytes of all names.
    offsets
        int64, one more than there are names: name i is `utf8[offsets[i]:offsets[i + 1]]`.
    order
        int32, the positions that sort the names by their bytes; worked out when first needed where None.
    """

    def __init__(self, utf8: np.ndarray, offsets: np.ndarray, order: np.ndarray | None = None) -> None:
        self.utf8 = utf8
        self.offsets = offsets
        if order is not None:
            self.__dict__["order"] = order

    @classmethod
    def from_strings(cls, strings: Iterable[str]) -> Names:
        """Make names of strings.

        Raises
        ------
        EmbedkitError
            If one is no string, or cannot be written as UTF-8 (it holds a lone surrogate).
        """
        try:
            encoded = [s.encode() for s in strings]
        except UnicodeEncodeError as error:
            raise EmbedkitError(f"{error.object!r} is no valid Unicode text; mend or drop it.") from error
        except AttributeError as error:
            raise EmbedkitError(f"names must be strings: {error}; convert them with str().") from error
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    @classmethod
    def from_arrow(cls, array: pa.Array) -> Names:
        """Make names of an Arrow array of strings without nulls, without copying `large_string`."""
        import pyarrow as pa

        if array.type != pa.large_string():
            array = array.cast(pa.large_string())
        _, offsets_buffer, data = array.buffers()
        if len(array) == 0:
            return cls(np.empty(0, np.uint8), np.zeros(1, np.int64))
        offsets = np.frombuffer(offsets_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
        utf8 = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        return cls(utf8[offsets[0] : offsets[-1]], offsets - offsets[0])

    def to_arrow(self) -> pa.Array:
        """Return the names as an Arrow array of `large_string` over the same memory."""
        import pyarrow as pa

        offsets, utf8 = (pa.py_buffer(np.ascontiguousarray(a)) for a in (self.offsets, self.utf8))
        return pa.Array.from_buffers(pa.large_string(), len(self), [None, offsets, utf8])

    @cached_property
    def order(self) -> np.ndarray:
        """int32 positions that sort the names by their bytes."""
        import pyarrow.compute as pc

        # By its buffer here and below: to_numpy, as pa.array, imports pandas, 30 MB and a third of a second.
        positions = pc.sort_indices(self.to_arrow())
        return np.frombuffer(positions.buffers()[1], np.uint64, len(positions)).astype(np.int32)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice | np.ndarray | list[int]) -> list[str]: ...
    def __getitem__(self, position: int | slice | np.ndarray | list[int]) -> str | list[str]:
        """Return one name for an int, a list of names for a slice or an array of positions."""
        if isinstance(position, slice):
            return [self._at(i) for i in range(*position.indices(len(self)))]
        if isinstance(position, np.ndarray | list):
            return [self._at(int(i)) for i in position]
        i = int(position)
        if not -len(self) <= i < len(self):
            raise IndexError(f"position {i} of {len(self)} names")
        return self._at(i % len(self))

    def __iter__(self) -> Iterator[str]:
        blob = self.utf8.tobytes()
        ends = self.offsets.tolist()
        for start, end in itertools.pairwise(ends):
            yield blob[start:end].decode()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) >= 0

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:5]))
        return f"Names({len(self)}: {shown}{', ...' if len(self) > 5 else ''})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Names):
            return NotImplemented
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.utf8, other.utf8)

    __hash__ = None  # type: ignore[assignment]

    def _bytes(self, i: int) -> bytes:
        return self.utf8[self.offsets[i] : self.offsets[i + 1]].tobytes()

    def _at(self, i: int) -> str:
        return self._bytes(i).decode()

    def take(self, positions: np.ndarray) -> Names:
        """Return the names at `positions`, in that order."""
        # Not by Arrow: its compute functions take 4 MB, just before training takes what there is.
        positions = np.asarray(positions, np.int64)
        begins = self.offsets[positions]
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(self.offsets[positions + 1] - begins)))
        utf8 = np.empty(int(offsets[-1]), np.uint8)
        for start in range(0, len(positions), _CHUNK):
            stop = min(start + _CHUNK, len(positions))
            shifts = np.repeat(begins[start:stop] - offsets[start:stop], np.diff(offsets[start : stop + 1]))
            utf8[offsets[start] : offsets[stop]] = self.utf8[shifts + np.arange(offsets[start], offsets[stop])]
        return Names(utf8, offsets)

    def followed_by(self, others: Names) -> Names:
        """Return these names and the others behind them."""
        offsets = np.concatenate((self.offsets, self.offsets[-1] + others.offsets[1:]))
        return Names(np.concatenate((self.utf8, others.utf8)), offsets)

    def find(self, name: str) -> int:
        """Return the position of `name`, or -1; a binary search, 20 comparisons for a million names."""
        rank = self._rank(name)
        if rank < len(self) and self._at(int(self.order[rank])) == name:
            return int(self.order[rank])
        return -1

    def find_all(self, names: Sequence[str]) -> np.ndarray:
        """Return int64 positions of `names`, -1 for those that are not there."""
        if len(names) < 200:
            return np.array([self.find(n) for n in names], np.int64)
        import pyarrow.compute as pc

        wanted = names if isinstance(names, Names) else Names.from_strings(names)
        found = pc.index_in(wanted.to_arrow(), value_set=self.to_arrow()).fill_null(-1)
        return np.frombuffer(found.buffers()[1], np.int32, len(found)).astype(np.int64)

    def first_duplicate(self) -> str | None:
        """Return a name that stands twice, or None."""
        import pyarrow.compute as pc

        ordered = self.to_arrow().take(self.order)
        same = pc.equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False)
        twice = np.flatnonzero(same)
        return str(ordered[int(twice[0])]) if len(twice) else None

    def starting_with(self, prefix: str, limit: int = 20) -> list[str]:
        """Return up to `limit` names that begin with `prefix`, in order of their bytes."""
        rank = self._rank(prefix)
        near = [self._at(int(i)) for i in self.order[rank : rank + limit]]
        return [name for name in near if name.startswith(prefix)]

    def nearest(self, name: str, n: int = 3) -> list[str]:
        """Return up to `n` names that look like `name`, sought among its neighbours in order and the first names.

        The first names of a vocabulary are its most frequent, so the search stays quick and finds what people mean.
        """
        other_case = [other for other in (name.lower(), name.title(), name.upper()) if other != name and other in self]
        rank = self._rank(name)
        around = self.order[max(0, rank - _NEIGHBOURHOOD // 2) : rank + _NEIGHBOURHOOD // 2]
        candidates = dict.fromkeys([*self[around], *self[:_FREQUENT]])
        near = difflib.get_close_matches(name, candidates, n=n, cutoff=0.6)
        return list(dict.fromkeys([*other_case, *near]))[:n]

    def _rank(self, name: str) -> int:
        """Return how many names sort before `name`."""
        target = name.encode(errors="replace")
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._bytes(int(self.order[middle])) < target:
                low = middle + 1
            else:
                high = middle
        return low
