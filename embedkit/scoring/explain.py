"""Which entries of a history carried a score, and how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from embedkit.contracts import History

_BLOCK_ENTRIES = 1 << 18


class Parts(NamedTuple):
    """What tokens of a history add to a score, the greatest first: int64 ids and float64 amounts."""

    ids: np.ndarray
    amounts: np.ndarray


def by_token(ids: np.ndarray, amounts: np.ndarray) -> Parts:
    """Return the sums of `amounts` by id, the greatest first, equal ones by lower id."""
    tokens, place = np.unique(ids, return_inverse=True)
    sums = np.bincount(place, weights=amounts, minlength=len(tokens))
    order = np.lexsort((tokens, -sums))
    return Parts(tokens[order].astype(np.int64), sums[order])


def leave_one_out(history: History, score: Callable[[History], np.ndarray]) -> Parts:
    """Return by how much the score falls when a token is taken out of a history.

    Parameters
    ----------
    history
        One row.
    score
        From n histories to their n scores.
    """
    ids = history.indices[history.indptr[0] : history.indptr[-1]]
    tokens = np.unique(ids)
    full = float(score(history)[0])
    falls = np.empty(len(tokens))
    height = max(1, _BLOCK_ENTRIES // max(1, len(ids)))
    for start in range(0, len(tokens), height):
        part = tokens[start : start + height]
        falls[start : start + len(part)] = full - score(_without(history, part))
    return by_token(tokens, falls)


def _without(history: History, tokens: np.ndarray) -> History:
    """Return a history for each of `tokens`: the one given, without that token."""
    begin, end = history.indptr[0], history.indptr[-1]
    rows, columns = np.nonzero(history.indices[begin:end] != tokens[:, None])
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.bincount(rows, minlength=len(tokens)))))
    entries = columns + begin

    def of(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[entries]

    return History(indptr, history.indices[entries], of(history.weights), of(history.times))
