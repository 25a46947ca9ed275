"""Which column holds what: named, numbered, or known by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from embedkit import SourceError, did_you_mean

# Each in order of preference: the person before the session, the item's id before anything vaguer.
_WORDS = {
    "user": "user_id user username uid customer_id customer client_id client visitor_id visitor "
    "member_id member reviewer_id reviewer account_id account person_id person session_id "
    "session playlist_id playlist basket_id basket order_id",
    "item": "item_id item movie_id movie film_id film product_id product asin parent_asin stock_code "
    "sku track_id track song_id song artist_id artist book_id book isbn article_id article "
    "game_id game video_id video business_id business place_id place location_id location",
    "time": "timestamp unix_timestamp unix_review_time unix_time datetime time date event_time "
    "event_date created_at invoice_date order_date purchase_date played_at visited_at ts",
    "weight": "weight",
    "invoice": "invoice_no invoice invoice_number",
    "label": "item_title item_name item_label",
}
KNOWN = {role: tuple(names.replace("_", "").split()) for role, names in _WORDS.items()}
FLAGS = {"label": "--item-label-column"}
_LABELS = {"id", "name", "title", "label", "description", "rating", "quantity", "price", "genres"}


@dataclass(frozen=True)
class Choice:
    """The positions (from 0) of the columns to read, by role: those of `KNOWN`."""

    positions: dict[str, int]
    found: tuple[str, ...]


def plain(name: str) -> str:
    """Return a name's letters and digits in lower case: `User_ID` is `userid`."""
    return re.sub(r"[^0-9a-z]", "", re.sub(r":token$|:float$", "", name.strip()).lower())


def is_known(name: str) -> bool:
    """Tell whether a cell is a name that columns have."""
    return plain(name) in _LABELS or any(plain(name) in names for names in KNOWN.values())


def pick(name: str, columns: Sequence[str], given: int | str, flag: str) -> int:
    """Return the position of the column that is named, or numbered from 1.

    Raises
    ------
    SourceError
        If there is none, naming those there are and the nearest.
    """
    if str(given) in columns:
        return columns.index(str(given))
    if isinstance(given, int) or given.isdigit():
        if 1 <= int(given) <= len(columns):
            return int(given) - 1
        raise SourceError(f"{name} has no column {given}; it has {len(columns)}. Number {flag} from 1.")
    near = did_you_mean(given, columns) or _spelt_alike(given, columns)
    raise SourceError(f"{name} has no column {given!r}; it has: {', '.join(columns)}. Name it with {flag}.{near}")


def _spelt_alike(given: str, columns: Sequence[str]) -> str:
    alike = [c for c in columns if plain(given) and plain(given) in plain(c)]
    return f" Did you mean {alike[0]!r}?" if alike else ""


def choose(
    name: str, columns: Sequence[str], given: dict[str, int | str | None], *, header: bool, text: bool = False
) -> Choice:
    """Choose a table's columns: as given, else by known names, else (without a header) first and second.

    Parameters
    ----------
    text
        Whether it is delimited text, where a header may have been seen that is none.

    Raises
    ------
    SourceError
        If the column of users or of items is not there or not known.
    """
    positions: dict[str, int] = {}
    found: list[str] = []
    for role, asked in given.items():
        if asked is not None:
            positions[role] = pick(name, columns, asked, FLAGS.get(role, f"--{role}-column"))
    taken = set(positions.values())
    for role, names in KNOWN.items():
        if role in positions:
            continue
        position = _known(columns, names, taken) if header else _by_place(role, len(columns), taken)
        if position is not None:
            positions[role] = position
            taken.add(position)
            found.append(f"{role}s in {columns[position]}")
    for role in ("user", "item"):
        if role not in positions:
            raise _missing(name, columns, role, taken, text)
    if positions["user"] == positions["item"]:
        raise SourceError(
            f"{name}: users and items cannot be the same column; name two with --user-column and --item-column."
        )
    return Choice(positions, tuple(found))


def _missing(name: str, columns: Sequence[str], role: str, taken: set[int], text: bool) -> SourceError:
    if in_use := [columns[i] for i in sorted(taken) if plain(columns[i]) in KNOWN[role]]:
        return SourceError(
            f"{name}: column {in_use[0]!r} is taken for something else; name that of the {role}s with --{role}-column."
        )
    guessed = " or say --no-header" if text else ""
    near = did_you_mean(role, [column for i, column in enumerate(columns) if i not in taken])
    there = ", ".join(columns)
    return SourceError(f"{name} has no column {role!r}; it has: {there}. Name it with --{role}-column{guessed}.{near}")


def _known(columns: Sequence[str], names: tuple[str, ...], taken: set[int]) -> int | None:
    spelt = {plain(column): i for i, column in reversed(list(enumerate(columns))) if i not in taken}
    return next((spelt[n] for n in names if n in spelt), None)


def _by_place(role: str, width: int, taken: set[int]) -> int | None:
    place = {"user": 0, "item": 1}.get(role)
    return place if place is not None and place < width and place not in taken else None
