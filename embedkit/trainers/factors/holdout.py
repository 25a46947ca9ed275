"""A part of the histories held out within training, so that a trainer can choose among its own options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from embedkit.contracts import History
from embedkit.names import Names

_SHARE = 0.2
_LEAST = 100  # rows below which a choice would be chance
_MOST = 2000
_LOOKED_AT = 10  # times as many, as what is held out of some is nothing new
_GLANCE = 100  # tokens of a row, of which the order is looked at
_IN_ORDER = 0.95  # of neighbours: lists in the order of names tell nothing about time


@dataclass(frozen=True)
class HoldOut:
    """What is left to learn from, and what some rows are to foretell.

    Attributes
    ----------
    rows
        All rows without what is held out, oldest first; some are empty.
    asked
        int64, the rows that are asked, none of them empty.
    targets
        For each row that is asked, the tokens held out that are not left in it.
    in_order
        Whether rows are in order of time.
    """

    rows: History
    asked: np.ndarray
    targets: list[np.ndarray]
    in_order: bool

    def share(self, n_parts: int) -> HoldOut:
        """Return one part's share of the rows to be asked, and no rows but these."""
        asked = self.asked[: _MOST // n_parts]
        return HoldOut(self.rows.take(asked), np.arange(len(asked)), self.targets[: len(asked)], self.in_order)

    @classmethod
    def joined(cls, shares: Sequence[HoldOut]) -> HoldOut | None:
        """Return the shares of all parts as one, or None where too few rows would be asked."""
        if sum(len(share.asked) for share in shares) < _LEAST:
            return None
        rows = [share.rows for share in shares]
        lengths = np.concatenate([np.diff(some.indptr) for some in rows])
        indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        indices = np.concatenate([some.indices for some in rows])
        weights = None if rows[0].weights is None else np.concatenate([some.weights for some in rows])  # type: ignore[arg-type, misc]
        times = None if rows[0].times is None else np.concatenate([some.times for some in rows])  # type: ignore[arg-type, misc]
        targets = [target for share in shares for target in share.targets]
        in_order = all(share.in_order for share in shares if len(share.asked))
        return cls(History(indptr, indices, weights, times), np.arange(len(lengths)), targets, in_order)


def held_out(rows: History, tokens: Names, how: str | None, seed: int, least: int = _LEAST) -> HoldOut | None:
    """Hold out a fifth of the interactions, or return None where fewer than `least` rows would be asked.

    Parameters
    ----------
    rows
        Tokens of each key, oldest first.
    how
        `by-time`: all from one moment on, where there are times. `latest`: the last fifth of each row, unless rows
        list tokens by name. `mixed`: of every other row the last fifth, of the rest a drawn one. `random`: a drawn
        fifth of each row. Where one is not to be had, the next is taken; None is `by-time` where there are times, else
        `mixed`: rows may be in order of time, yet what is to be foretold need not be what comes next.
    """
    in_order = rows.times is not None or not _by_name(rows, tokens, seed)
    if how == "random" or not in_order:
        return _asked(rows, _drawn(rows, seed), seed, in_order, least)
    found = None
    if how in ("by-time", None) and rows.times is not None:
        found = _asked(rows, _before(rows.times), seed, in_order, least)
    if how == "mixed" or (how is None and rows.times is None):
        return _asked(rows, _of_either(rows, seed), seed, in_order, least)
    return found or _asked(rows, _first(rows), seed, in_order, least)


def _before(times: np.ndarray) -> np.ndarray:
    """Return bool, which entries are earlier than the moment from which all is held out."""
    place = int((1 - _SHARE) * len(times))
    return np.asarray(times < np.partition(times, place)[place])


def _first(rows: History) -> np.ndarray:
    """Return bool, which entries belong to the first four fifths of their row, the very first always."""
    lengths = np.diff(rows.indptr)
    left = np.maximum((1 - _SHARE) * lengths + 1e-9, 1).astype(np.int64)
    places = np.arange(rows.indptr[-1]) - np.repeat(rows.indptr[:-1], lengths)
    return np.asarray(places < np.repeat(left, lengths))


def _drawn(rows: History, seed: int) -> np.ndarray:
    """Return bool, drawn four fifths of each row."""
    numbers = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
    order = np.lexsort((np.random.default_rng(seed).random(len(numbers)), numbers))
    kept = np.empty(len(order), bool)
    kept[order] = _first(rows)
    return kept


def _of_either(rows: History, seed: int) -> np.ndarray:
    """Return bool, the first four fifths of every other row, drawn ones of the rest."""
    odd = np.repeat(np.arange(len(rows)) % 2 == 1, np.diff(rows.indptr))
    return np.where(odd, _drawn(rows, seed), _first(rows))


def _asked(rows: History, kept: np.ndarray, seed: int, in_order: bool, least: int) -> HoldOut | None:
    """Return a hold-out that asks a sample of those rows that something new is held out of."""
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(kept)))[rows.indptr]
    left = np.diff(ends)
    able = np.flatnonzero((left > 0) & (left < np.diff(rows.indptr)))
    able = np.random.default_rng(seed).permutation(able)[: _LOOKED_AT * _MOST]
    asked, targets = [], []
    for row in able.tolist():
        of_row = slice(rows.indptr[row], rows.indptr[row + 1])
        tokens, stays = rows.indices[of_row], kept[of_row]
        new = np.setdiff1d(tokens[~stays], tokens[stays])
        if len(new):
            asked.append(row)
            targets.append(new)
        if len(asked) == _MOST:
            break
    if len(asked) < least:
        return None
    weights, times = (None if values is None else values[kept] for values in (rows.weights, rows.times))
    return HoldOut(History(ends, rows.indices[kept], weights, times), np.array(asked), targets, in_order)


def _by_name(rows: History, tokens: Names, seed: int) -> bool:
    """Return whether nearly all neighbours in some drawn rows stand in the order of their names, or the reverse."""
    drawn = np.random.default_rng(seed).permutation(len(rows))[:_MOST].tolist()
    lists = [tokens[rows.indices[rows.indptr[r] : rows.indptr[r + 1]][:_GLANCE]] for r in drawn]
    pairs = [(one, other) for names in lists for one, other in pairwise(names) if one != other]
    if not pairs:
        return True
    whole = all(one.isdecimal() and other.isdecimal() for one, other in pairs)
    shares = [np.mean([one < other for one, other in pairs])]
    if whole:
        shares.append(np.mean([int(one) < int(other) for one, other in pairs]))
    return any(max(share, 1 - share) >= _IN_ORDER for share in shares)
