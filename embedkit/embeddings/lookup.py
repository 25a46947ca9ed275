"""From the names that people give to ids, and the errors that help when there is no such name."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np

from embedkit.errors import EmbedkitError, OptionError, UnknownNameError
from embedkit.names import Names

Pairs = list[tuple[str, float]]
Tokens = str | Iterable[str] | Mapping[str, float]


class Filters(TypedDict, total=False):
    """Tokens that may not, tokens that alone may be answers."""

    exclude: str | Iterable[str]
    only: str | Iterable[str] | None


class RecommendOptions(Filters, total=False):
    """The options of `Embeddings.recommend`."""

    topn: int
    include_seen: bool
    fallback: Literal["popular"] | None
    recency: float | None


def as_list(names: str | Iterable[str]) -> list[str]:
    """Return the names as a list; a string is one name, not a sequence of letters, and so is what is no sequence."""
    return [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)


def find_ids(names: Names, wanted: Sequence[str], kind: str, other: Names | None = None) -> np.ndarray:
    """Return the int64 ids of `wanted`.

    Parameters
    ----------
    kind
        What the names are, for the message: `token`, `key`.
    other
        Names of another kind among which someone may have meant to look.

    Raises
    ------
    UnknownNameError
        For the first that is not there, with the nearest names.
    """
    ids = find_or_minus_one(names, wanted, kind)
    missing = np.flatnonzero(ids < 0)
    if len(missing):
        raise unknown(names, wanted[int(missing[0])], kind, other)
    return ids


def find_or_minus_one(names: Names, wanted: Sequence[str], kind: str) -> np.ndarray:
    """Return the int64 ids of `wanted`, in whichever Unicode normal form they are there; -1 for those that are not."""
    for name in wanted:
        if not isinstance(name, str):
            raise EmbedkitError(f"a {kind} is named by a string, not by {name!r}: convert it with str().")
    ids = names.find_all(wanted)
    for place in np.flatnonzero(ids < 0).tolist():
        if not wanted[place].isascii():
            ids[place] = _find_in_normal_form(names, wanted[place])
    return ids


def _find_in_normal_form(names: Names, name: str) -> int:
    """Return the id of a name that looks the same: keyboards and file systems differ in how they compose letters."""
    found = (names.find(unicodedata.normalize(form, name)) for form in ("NFC", "NFD"))
    return next((position for position in found if position >= 0), -1)


def unknown(names: Names, name: str, kind: str, other: Names | None = None) -> UnknownNameError:
    """Return the error for a name that is not there: the nearest names, or some that are there."""
    near = names.nearest(name)
    if near:
        hint = f"Did you mean {' or '.join(map(repr, near))}?"
    elif other is not None and name in other:
        hint = f"There is a {'key' if kind == 'token' else 'token'} of that name."
    elif len(names):
        some = ", ".join(map(repr, names[:3]))
        hint = f"There are {len(names):,}, such as {some}." if len(names) > 3 else f"There are: {some}."
    else:
        hint = "There are none."
    return UnknownNameError(f"there is no {kind} {name!r}. {hint}")


def check_topn(topn: Any) -> int:
    """Return `topn` as an int of at least 1, or raise `OptionError`."""
    number = isinstance(topn, int | np.integer) and not isinstance(topn, bool)
    if not number or topn < 1:
        raise OptionError("topn", f"must be a whole number of at least 1; got {topn!r}.")
    return int(topn)


def check_recency(recency: Any) -> float | None:
    """Return `recency` as a float above 0 and at most 1, None as it is, or raise `OptionError`."""
    if recency is None:
        return None
    number = isinstance(recency, int | float | np.integer | np.floating) and not isinstance(recency, bool)
    if not number or not 0 < recency <= 1:
        raise OptionError("recency", f"must be a number above 0 and at most 1; got {recency!r}.")
    return float(recency)
