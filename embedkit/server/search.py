"""Search as you type: names that begin with what was typed, then names that hold it, the frequent ones first."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from embedkit.names import Names

_CHUNK = 1 << 14
_END = b"\xff"  # no byte of UTF-8


class NameSearch:
    """An index over names and the labels that are shown for them: their text, folded, in one flat array.

    A search reads on until it has found enough, at worst all of the text (some GB a second), and holds up no other
    thread. Beside the text the index keeps 4 to 8 bytes a name, and 4 more where the frequent ones do not come first.

    Parameters
    ----------
    names
        What is sought.
    labels
        Another text for each, or None.
    counts
        How frequent each is; None takes them in their own order.
    """

    def __init__(self, names: Names, labels: Names | None = None, counts: np.ndarray | None = None) -> None:
        self._n = len(names)
        self._order: np.ndarray | None = None
        if counts is not None and (counts[1:] > counts[:-1]).any():
            self._order = np.argsort(-counts, kind="stable").astype(np.int32)
            names = names.take(self._order)
            labels = None if labels is None else labels.take(self._order)
        self._text, self._offsets = _folded(names, labels)

    def find(self, text: str, limit: int) -> list[int]:
        """Return the ids of up to `limit` names: those that begin with `text` first, case and normal form aside."""
        needle = np.frombuffer(fold(text).encode(errors="replace"), np.uint8)
        if not len(needle):
            return self._ids(range(min(limit, self._n)))
        from embedkit.server.kernels import search_names

        starts, inner = np.empty(limit, np.int32), np.empty(limit, np.int32)
        n_starts, n_inner = search_names(self._text, self._offsets, needle, starts, inner)
        return self._ids([*starts[:n_starts].tolist(), *inner[:n_inner].tolist()][:limit])

    def _ids(self, places: Sequence[int]) -> list[int]:
        return list(places) if self._order is None else self._order[places].tolist()


def fold(text: str) -> str:
    """Return text as it is compared: in the composed normal form and without distinction of case."""
    return text.casefold() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


def _folded(names: Names, labels: Names | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the folded texts of each name end to end, and where each name begins; few strings exist at a time."""
    text, lengths = bytearray(), [np.zeros(1, np.int64)]
    others: Iterator[str] = iter(()) if labels is None else iter(labels)
    for chunk in _chunks(names):
        encoded = [fold(name).encode() + _END for name in chunk]
        for i, label in enumerate(islice(others, len(chunk))):
            encoded[i] += fold(label).encode() + _END
        text += b"".join(encoded)
        lengths.append(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    offsets = np.cumsum(np.concatenate(lengths))
    small = offsets[-1] < np.iinfo(np.uint32).max
    return np.frombuffer(text, np.uint8), offsets.astype(np.uint32) if small else offsets


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    each = iter(names)
    while chunk := list(islice(each, _CHUNK)):
        yield chunk
