"""From the names of a test to the ids of what is evaluated, counting what it does not know."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from embedkit.contracts import History
from embedkit.errors import EmbedkitError, OptionError
from embedkit.evaluation.heldout import HeldOut
from embedkit.evaluation.metrics import among
from embedkit.evaluation.rankers import Ranker
from embedkit.names import Names
from embedkit.scoring import Rows


@dataclass(frozen=True)
class Matched:
    """The rows of a test that are evaluated, in the ids of a ranker.

    Attributes
    ----------
    rows
        int64, which rows of the test they are.
    keys
        int64, the ranker's row of each one's key, -1 for those that the fallback answers; None with prefixes.
    history
        The history that each is asked with, and that is left out of its answer unless seen tokens are included.
    targets
        What each is to find; -1 for tokens that the ranker does not know, which count as missed.
    answered
        bool, False for those that the fallback answers.
    counts
        What was met, by names that `describe` tells to people.
    """

    rows: np.ndarray
    keys: np.ndarray | None
    history: History
    targets: Rows
    answered: np.ndarray
    counts: Counter[str]

    def __len__(self) -> int:
        return len(self.rows)


def match(
    ranker: Ranker, test: HeldOut, *, include_seen: bool = False, fallback: Literal["popular"] | None = None
) -> Matched:
    """Find the test's keys and tokens among the ranker's.

    Rows that cannot be asked (an unknown key, an empty history) are left out, unless a fallback answers them. A target
    of the row's own history cannot be recommended where seen tokens are left out, and is then no target; a row that
    keeps none is left out.

    Raises
    ------
    EmbedkitError
        If nothing of the test is known, or it asks keys of a ranker without any.
    """
    if fallback not in (None, "popular"):
        raise OptionError("fallback", f"must be 'popular' or None; got {fallback!r}.")
    counts = Counter({"rows": len(test), "targets": len(test.targets.indices)})
    ids = ranker.tokens.find_all(list(test.tokens)).astype(np.int32)
    if (ids[test.targets.indices] < 0).all():
        raise _strangers("token", test.tokens[test.targets.indices[:2]], ranker.tokens)
    keys, history, answered = _asked(ranker, test, ids, counts)
    targets = Rows(test.targets.indptr, ids[test.targets.indices])
    counts["unknown targets"] = int((targets.indices < 0).sum())
    seen = _members(targets, Rows(history.indptr, history.indices))
    counts["seen targets"] = int(seen.sum())
    if not include_seen:
        targets = _filtered(targets, ~seen)
    askable = answered if fallback is None else np.ones(len(test), bool)
    wanted = np.diff(targets.indptr) > 0
    counts["rows of seen targets alone"] = int((askable & ~wanted).sum())
    rows = np.flatnonzero(askable & wanted)
    if len(rows) == 0:
        raise EmbedkitError(
            f"no row of the test can be evaluated: {int((~answered).sum()):,} are unknown or have no history, the "
            f"targets of {int((answered & ~wanted).sum()):,} are all in their histories; evaluate with --include-seen, "
            "or --fallback popular."
        )
    counts["evaluated"] = len(rows)
    taken = History(targets.indptr, targets.indices).take(rows)
    return Matched(
        rows,
        None if keys is None else keys[rows],
        history.take(rows),
        Rows(taken.indptr, taken.indices),
        answered[rows],
        +counts,
    )


def _asked(
    ranker: Ranker, test: HeldOut, ids: np.ndarray, counts: Counter[str]
) -> tuple[np.ndarray | None, History, np.ndarray]:
    """Return each row's key in the ranker, its history, and whether the ranker can answer it."""
    if test.prefixes is not None:
        known = ids[test.prefixes.indices] >= 0
        counts["unknown tokens of prefixes"] = int((~known).sum())
        rows = _filtered(Rows(test.prefixes.indptr, ids[test.prefixes.indices]), known)
        answered = np.diff(rows.indptr) > 0
        counts["prefixes without a known token"] = int((~answered).sum())
        return None, History(rows.indptr, rows.indices), answered
    assert test.keys is not None
    if ranker.keys is None:
        raise EmbedkitError("this model has no keys, and the test asks for keys; give a test of prefixes and targets.")
    keys = ranker.keys.find_all(list(test.keys))
    if (keys < 0).all():
        raise _strangers("key", test.keys[:2], ranker.keys)
    counts["unknown keys"] = int((keys < 0).sum())
    history = _histories_of(ranker, keys)
    answered = ranker.answers(keys, history)
    counts["keys without a history"] = int((~answered & (keys >= 0)).sum())
    return np.where(answered, keys, -1), history, answered


def _histories_of(ranker: Ranker, keys: np.ndarray) -> History:
    """Return the ranker's histories of keys; empty ones for -1, or where it has none."""
    if ranker.histories is None:
        return History(np.zeros(len(keys) + 1, np.int64), np.empty(0, np.int32))
    lengths = np.where(keys >= 0, np.diff(ranker.histories.indptr)[keys], 0)
    taken = ranker.histories.take(keys[keys >= 0])
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    return History(indptr, taken.indices, taken.weights, taken.times)


def _members(rows: Rows, others: Rows) -> np.ndarray:
    """Return bool, whether each id of `rows` is in the same row of `others`; -1 never is."""
    span = int(max(rows.indices.max(initial=-1), others.indices.max(initial=-1))) + 2
    left, right = (
        np.repeat(np.arange(len(r.indptr) - 1, dtype=np.int64) * span, np.diff(r.indptr)) + r.indices + 1
        for r in (rows, others)
    )
    return among(left, right) & (rows.indices >= 0)


def _filtered(rows: Rows, kept: np.ndarray) -> Rows:
    return Rows(np.concatenate((np.zeros(1, np.int64), np.cumsum(kept)))[rows.indptr], rows.indices[kept])


def _strangers(kind: str, theirs: list[str], ours: Names) -> EmbedkitError:
    there, here = (" and ".join(map(repr, names)) for names in (theirs, ours[:2]))
    return EmbedkitError(
        f"the model knows not one {kind} of the test: is it of another dataset? The test has {kind}s such as {there}, "
        f"the model such as {here}."
    )


def describe(counts: Counter[str], *, include_seen: bool, fallback: bool, words: tuple[str, str]) -> list[str]:
    """Return what was met in the test and what became of it, a sentence each.

    Parameters
    ----------
    words
        What keys and tokens are called: `("user", "item")`.
    """
    key, token = words
    lost = "answered by the most popular" if fallback else "left out of the means"
    seen = "kept as targets" if include_seen else "no targets, as seen ones are not recommended"
    told = {
        "unknown keys": (f"Unknown {key}s", lost),
        "keys without a history": (f"{key.capitalize()}s without a history", lost),
        "unknown tokens of prefixes": (f"Unknown {token}s in prefixes", "passed over"),
        "prefixes without a known token": (f"Prefixes without a known {token}", lost),
        "unknown targets": (f"Targets that are unknown {token}s", "they count as missed"),
        "seen targets": (f"Targets that are in the {key}'s history or prefix already", seen),
        "rows of seen targets alone": ("Rows with nothing but such targets", "left out of the means"),
    }
    return [f"{what}: {counts[name]:,}, {fate}." for name, (what, fate) in told.items() if counts[name]]
