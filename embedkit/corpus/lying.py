"""Histories that lie in the corpus's files as they are wanted, so that nothing need be sorted or copied."""

from __future__ import annotations

import numpy as np

from embedkit.contracts import History

_AT_ONCE = 1 << 20


def histories_as_they_lie(
    n_keys: int, ids: np.ndarray, offsets: np.ndarray, sentence_keys: np.ndarray, weights: np.ndarray | None,
    times: np.ndarray | None,
) -> History | None:  # fmt: skip
    """Return each key's tokens as views of the corpus's arrays; see `Corpus` for these.

    None where a sentence has no key, sentences of a key do not follow each other, keys are not in the order of their
    numbers, or the tokens of a key are not in order of time. A chunk is looked at at a time.
    """
    if (len(sentence_keys) and sentence_keys[0] < 0) or not _rises(sentence_keys):
        return None
    indptr = np.asarray(offsets)[np.searchsorted(sentence_keys, np.arange(n_keys + 1))]
    if times is not None and not _rises_between(times, indptr):
        return None
    weights, times = (None if array is None else np.asarray(array) for array in (weights, times))
    return History(indptr, np.asarray(ids), weights, times)


def _rises(values: np.ndarray) -> bool:
    pieces = (values[start : start + _AT_ONCE + 1] for start in range(0, len(values), _AT_ONCE))
    return all((piece[1:] >= piece[:-1]).all() for piece in pieces)


def _rises_between(values: np.ndarray, bounds: np.ndarray) -> bool:
    """Tell whether values fall nowhere but at `bounds`, which rise."""
    for start in range(0, len(values), _AT_ONCE):
        piece = values[start : start + _AT_ONCE + 1]
        falls = start + 1 + np.flatnonzero(piece[1:] < piece[:-1])
        if (bounds[np.searchsorted(bounds, falls)] != falls).any():
            return False
    return True
