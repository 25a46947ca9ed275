"""Which group each point of a map is in: by a column of a file, or by clusters that are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedkit import scoring
from embedkit.atlas.palette import COLOURS
from embedkit.atlas.projection import check_finite
from embedkit.errors import EmbedkitError, OptionError, did_you_mean

NONE = 255
"""The number of points that are in no group of their own colour."""

MOST = len(COLOURS)
_LEARNED_FROM = 20_000  # points that clusters are found among
_BLOCK = 1 << 14
_ROUNDS = 50
_STARTS, _FEW = 8, 5_000  # how often clusters are sought, the closest ones kept; of more points than that twice
_KNOWN = 60  # of a cluster's most important points, those among which the ones to name it by are sought
_LONGEST = 48  # letters of a cluster's name, unless a single point's is longer
_SHOWN_COLUMNS = 8


@dataclass(frozen=True)
class Groups:
    """A group for each point.

    Attributes
    ----------
    ids
        uint8 (n), a place in `names`, or `NONE`.
    names
        What the groups are called, at most as many as there are colours.
    rest
        What the points of `NONE` are: `12 other values of genre`; empty where there are none.
    """

    ids: np.ndarray
    names: tuple[str, ...]
    rest: str = ""


def ungrouped(n: int) -> Groups:
    """Return n points that are all in no group."""
    return Groups(np.full(n, NONE, np.uint8), ())


def clusters(vectors: np.ndarray, names: Sequence[str], k: int, seed: int = 1) -> Groups:
    """Group points by k-means over their vectors brought to length 1, begun by k-means++ (Arthur & Vassilvitskii 2007).

    Parameters
    ----------
    vectors
        float32 (n × d), the most important points first.
    names
        What points are called; a cluster is named by three of its known points, those most like its centre.
    k
        How many clusters; fewer where there are fewer different points.

    Raises
    ------
    EmbedkitError
        If a vector is not finite.
    """
    if not 1 <= k <= MOST:
        raise OptionError("clusters", f"must be a whole number from 1 to {MOST}; got {k}.")
    n = len(vectors)
    if n == 0:
        return ungrouped(0)
    check_finite(vectors)
    rng = np.random.default_rng(seed)
    sample = scoring.normalized(vectors[np.sort(rng.permutation(n)[:_LEARNED_FROM])])
    starts = _STARTS if n <= _FEW else 2
    tried = [_means(sample, _far_apart(sample, min(k, n), rng)) for _ in range(starts)]
    centres = max(tried, key=lambda centres: float(_assigned(sample, centres)[1].sum()))
    found, closeness = np.empty(n, np.intp), np.empty(n, np.float32)
    for start in range(0, n, _BLOCK):
        rows = slice(start, start + _BLOCK)
        found[rows], closeness[rows] = _assigned(scoring.normalized(vectors[rows]), centres)
    order = np.argsort(-np.bincount(found, minlength=len(centres)), kind="stable")
    order = order[np.bincount(found, minlength=len(centres))[order] > 0]
    place = np.empty(len(centres), np.uint8)
    place[order] = np.arange(len(order))
    return Groups(place[found], tuple(_name(np.flatnonzero(found == c), closeness, names) for c in order))


def _far_apart(points: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Draw k of the points, each with a probability by its squared distance from those drawn before."""
    chosen = [int(rng.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < k:
        distance = np.minimum(distance, np.square(points - points[chosen[-1]]).sum(axis=1))
        if distance.sum() <= 1e-9:
            break
        chosen.append(int(rng.choice(len(points), p=distance / distance.sum())))
    return np.asarray(points[chosen])


def _means(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Move each centre to the mean of the points nearest to it, until none changes sides."""
    centres, before = centres.copy(), np.full(len(points), -1)
    for _ in range(_ROUNDS):
        found, _closeness = _assigned(points, centres)
        if (found == before).all():
            break
        before = found
        # One by one: an empty cluster keeps its centre.
        for c in np.unique(found).tolist():
            centres[c] = points[found == c].mean(axis=0)
    return centres


def _assigned(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre nearest to each point, and how near: less its distance squared, but for what all share."""
    closeness = 2 * (points @ centres.T) - np.square(centres).sum(axis=1)
    found = closeness.argmax(axis=1)
    return found, closeness[np.arange(len(points)), found]


def _name(members: np.ndarray, closeness: np.ndarray, names: Sequence[str]) -> str:
    known = members[:_KNOWN]
    typical = [names[i] for i in known[np.argsort(-closeness[known], kind="stable")[:3]]]
    while len(typical) > 1 and len(", ".join(typical)) > _LONGEST:
        typical.pop()
    return ", ".join(typical)


def by_column(
    tokens: Sequence[str], path: Path, group_column: str | None = None, id_column: str | None = None
) -> Groups:
    """Group points by a column of a CSV, TSV or Parquet file: the most frequent values get the colours.

    Parameters
    ----------
    tokens
        The points.
    group_column, id_column
        The column with the groups, and the one with the tokens: the first where not given, and of two the other.

    Raises
    ------
    EmbedkitError
        If the file cannot be read, has no such column, or knows none of the tokens.
    """
    ids, values, column = _read(path, group_column, id_column)
    value_of: dict[str, str] = {}
    for token, value in zip(ids, values, strict=True):
        if token and value and value_of.setdefault(token, value) != value:
            raise EmbedkitError(
                f"{path} has two values of {column} for {token!r}: {value_of[token]!r} and {value!r}; leave one."
            )
    found = [value_of.get(token, "") for token in tokens]
    counts = Counter(value for value in found if value)
    if not counts:
        some = ", ".join(map(repr, [token for token in ids if token][:3]))
        raise EmbedkitError(f"{path} has a {column} for none of these tokens; its ids are such as {some or 'none'}.")
    names = tuple(value for value, _ in counts.most_common(MOST))
    place = {name: i for i, name in enumerate(names)}
    groups = np.array([place.get(value, NONE) for value in found], np.uint8)
    return Groups(groups, names, _rest(column, len(counts) - len(names), found.count("")))


def _rest(column: str, others: int, missing: int) -> str:
    parts = [f"{others:,} other {'value' if others == 1 else 'values'} of {column}"] if others else []
    return " and ".join([*parts, *([f"{missing:,} without one"] if missing else [])])


def _read(path: Path, group_column: str | None, id_column: str | None) -> tuple[list[str], list[str], str]:
    """Return the ids and the groups of a file as text, and the name of the column with the groups."""
    import pyarrow as pa

    try:
        table = _table(path)
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0].rstrip(".")
        raise EmbedkitError(f"{path} cannot be read as a table: {reason}. Give CSV, TSV or Parquet.") from error
    names = table.column_names
    id_column = id_column or (names[0] if names else "")
    others = [name for name in names if name != id_column]
    if group_column is None and len(others) != 1:
        raise EmbedkitError(f"{path} has the columns {_listed(names)}: name the groups' with --group-column.")
    group_column = group_column or others[0]
    for name in (id_column, group_column):
        if name not in names:
            raise EmbedkitError(
                f"{path} has no column {name!r}.{did_you_mean(name, names) or f' It has: {_listed(names)}.'}"
            )
        if names.count(name) > 1:
            raise EmbedkitError(f"{path} has several columns named {name!r}; give each a name of its own.")
    columns = (table[name].cast(pa.string()).fill_null("").to_pylist() for name in (id_column, group_column))
    ids, groups = columns
    return ids, groups, group_column


def _table(path: Path) -> Any:
    from pyarrow import csv, parquet

    if path.suffix.lower() in (".parquet", ".pq"):
        return parquet.read_table(path)
    with path.open("rb") as file:
        header = file.readline().decode("utf-8-sig", "replace").rstrip("\r\n")
    delimiter = max("\t,;|", key=header.count)
    names = [name.strip('"') for name in header.split(delimiter)]
    # As text: an id of 007 stays 007.
    import pyarrow as pa

    types = {name: pa.string() for name in names}
    return csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True),
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_COLUMNS:,} more" if len(names) > _SHOWN_COLUMNS else ""
    return (", ".join(names[:_SHOWN_COLUMNS]) or "none") + more
