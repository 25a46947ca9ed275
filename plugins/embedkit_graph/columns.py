"""Which columns hold an edge's two nodes and its weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedkit import OptionError, SourceError, did_you_mean

_PAIRS = (
    "source target", "src dst", "src tgt", "from to", "from_node_id to_node_id", "from_node to_node", "from_id to_id",
    "source_id target_id", "head tail", "subject object", "citing cited", "follower followee", "node1 node2",
    "node_1 node_2", "node_a node_b", "id1 id2", "id_1 id_2", "u v", "row col", "start end",
)  # fmt: skip


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


KNOWN = tuple(tuple(_plain(name) for name in pair.split()) for pair in _PAIRS)
WEIGHTS = ("weight", "weights", "w")


@dataclass(frozen=True)
class Columns:
    """Positions of the columns, from 0; no weight where edges weigh the same."""

    source: int
    target: int
    weight: int | None = None


@dataclass(frozen=True)
class Asked:
    """The columns that the options name."""

    source_column: int | str | None = None
    target_column: int | str | None = None
    edge_weight_column: int | str | None = None
    weighted: bool | None = None

    @property
    def by_name(self) -> bool:
        """Whether one is named, which only a header can answer."""
        given = (self.source_column, self.target_column, self.edge_weight_column)
        return any(isinstance(column, str) and not column.isdigit() for column in given)


def known_pair(names: Sequence[str]) -> tuple[int, int] | None:
    """Return where two columns stand whose names tell that they are an edge's nodes."""
    spelt = {_plain(name): i for i, name in reversed(list(enumerate(names)))}
    return next(((spelt[a], spelt[b]) for a, b in KNOWN if a in spelt and b in spelt), None)


def choose(name: str, names: Sequence[str], asked: Asked, *, header: bool) -> Columns:
    """Choose the columns: as asked, else by known names, else the first two.

    Parameters
    ----------
    name
        What messages call the table.
    names
        The columns' names, those that were made up (`column 1`) where there is no `header`.

    Raises
    ------
    SourceError
        If a column is not there, or there are fewer than two.
    OptionError
        If the options contradict each other.
    """
    if asked.weighted is False and asked.edge_weight_column is not None:
        raise OptionError("edge_weight_column", "names weights and --no-weighted forbids them. Leave one out.")
    if len(names) < 2:
        raise SourceError(
            f"{name} has one column, {names[0]!r}; an edge takes two: name what parts them with --delimiter."
        )
    source = _pick(name, names, asked.source_column, "--source-column")
    target = _pick(name, names, asked.target_column, "--target-column")
    first, second = (known_pair(names) if header else None) or (0, 1)
    if source is None:
        source = first if target != first else second
    if target is None:
        target = second if source != second else first
    if source == target:
        raise SourceError(f"{name}: edges cannot lead from and to the same column; name two.")
    return Columns(source, target, _weight(name, names, asked, {source, target}, header=header))


def _weight(name: str, names: Sequence[str], asked: Asked, taken: set[int], *, header: bool) -> int | None:
    if asked.weighted is False:
        return None
    weight = _pick(name, names, asked.edge_weight_column, "--edge-weight-column")
    if weight is None and header:
        weight = next((i for i, n in enumerate(names) if _plain(n) in WEIGHTS and i not in taken), None)
    if weight is None and asked.weighted:
        weight = next((i for i in range(len(names)) if i not in taken), None)
        if weight is None:
            raise SourceError(f"{name} has no column of weights beside its two of nodes; leave --weighted out.")
    if weight in taken:
        raise SourceError(f"{name}: column {names[weight]!r} holds nodes and cannot hold weights too; name another.")
    return weight


def _pick(name: str, names: Sequence[str], given: int | str | None, flag: str) -> int | None:
    if given is None:
        return None
    if str(given) in names:
        return list(names).index(str(given))
    if isinstance(given, int) or given.isdigit():
        if 1 <= int(given) <= len(names):
            return int(given) - 1
        raise SourceError(f"{name} has no column {given}; it has {len(names)}. Number {flag} from 1.")
    there = ", ".join(names)
    near = did_you_mean(given, names)
    raise SourceError(f"{name} has no column {given!r}; it has: {there}. Name it with {flag}.{near}")
