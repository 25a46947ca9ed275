"""A vocabulary that grows as strings come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedkit.corpus import kernels
from embedkit.errors import EmbedkitError
from embedkit.memory import check_fits
from embedkit.names import Names

if TYPE_CHECKING:
    import pyarrow as pa

_MOST = 2**31 - 1


class GrowingVocabulary:
    """Strings numbered as they first come in, and how often each came.

    Parameters
    ----------
    kind
        What the strings are, for messages: `tokens` or `keys`.
    """

    def __init__(self, kind: str = "tokens") -> None:
        self._kind = kind
        self._slots = np.full(1 << 16, -1, np.int64)
        self._arena = np.empty(1 << 18, np.uint8)
        self._ends = np.zeros((1 << 15) + 1, np.int64)
        self._counts = np.zeros(1 << 15, np.int64)
        self._used = np.zeros(1, np.int64)

    def __len__(self) -> int:
        return int(self._used[0])

    @property
    def counts(self) -> np.ndarray:
        """How often each string came, int64."""
        return self._counts[: len(self)]

    def names(self) -> Names:
        """Return the strings in order of first appearance."""
        n = len(self)
        return Names(self._arena[: self._ends[n]], self._ends[: n + 1])

    def encode(self, strings: pa.Array) -> np.ndarray:
        """Return an int32 id for each string of an Arrow array (plain or dictionary); -1 for empty ones and nulls."""
        import pyarrow as pa

        if pa.types.is_dictionary(strings.type):
            return self._encode_dictionary(strings)
        if strings.null_count:
            strings = strings.fill_null("")
        return self._encode_names(Names.from_arrow(strings))

    def _encode_dictionary(self, strings: pa.DictionaryArray) -> np.ndarray:
        """Encode the words of a dictionary once each and count them as often as they are used."""
        positions = strings.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        uses = np.bincount(positions[positions >= 0], minlength=len(strings.dictionary))
        words = strings.dictionary.take(np.flatnonzero(uses))
        if words.null_count:
            words = words.fill_null("")
        before = self._counts.copy()
        ids = self._encode_names(Names.from_arrow(words))
        self._counts[: len(before)] = before
        self._counts[len(before) :] = 0
        by_position = np.full(len(uses) + 1, -1, np.int32)
        by_position[np.flatnonzero(uses)] = ids
        real = ids >= 0
        np.add.at(self._counts, ids[real], uses[uses > 0][real])
        return by_position[positions]

    def _encode_names(self, names: Names) -> np.ndarray:
        ids = np.empty(len(names), np.int32)
        at = 0
        while True:
            at = kernels.encode(
                names.utf8, names.offsets, at, self._slots, self._arena, self._ends, self._counts, self._used, ids
            )
            if at == len(ids):
                return ids
            self._grow(int(names.offsets[at + 1] - names.offsets[at]))

    def _grow(self, room: int) -> None:
        """Double whatever is full; there must be room for one more string of `room` bytes."""
        n = len(self)
        if n == _MOST:
            raise EmbedkitError(f"more than {_MOST:,} different tokens or keys; split the corpus.")
        if n >= len(self._counts):
            self._check_room(16 * 2 * len(self._counts))
            self._counts = np.concatenate((self._counts, np.zeros(len(self._counts), np.int64)))
            self._ends = np.concatenate((self._ends, np.zeros(len(self._ends) - 1, np.int64)))
        if self._ends[n] + room > len(self._arena):
            more = max(len(self._arena), room)
            self._check_room(len(self._arena) + more)
            self._arena = np.concatenate((self._arena, np.empty(more, np.uint8)))
        if 2 * n >= len(self._slots):
            self._check_room(8 * 2 * len(self._slots))
            self._slots = np.full(2 * len(self._slots), -1, np.int64)
            kernels.rehash(self._slots, self._arena, self._ends, n)

    def _check_room(self, needed: int) -> None:
        """Refuse to grow where the new arrays, to which the old ones are copied, would not fit."""
        check_fits(
            needed,
            f"room for more than the {len(self):,} different {self._kind} so far",
            f"read a part of the input, or look with `embedkit sources preview` whether {self._kind} are what they "
            "should be",
        )

    def close(self) -> None:
        """Give back what is needed only while strings come in."""
        self._slots = np.empty(0, np.int64)
