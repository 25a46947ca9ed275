"""What is held out of training, to be found again: rows of tokens, each asked for a key or behind a prefix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from embedkit.contracts import History
from embedkit.corpus import Corpus
from embedkit.errors import SourceError
from embedkit.names import Names
from embedkit.scoring import Rows


@dataclass(frozen=True)
class HeldOut:
    """The test rows of an evaluation. It names what it holds, so that any model can be asked.

    Attributes
    ----------
    tokens
        The vocabulary by which targets and prefixes are numbered; no model's.
    targets
        What each row is to find: rows of distinct ids, none empty.
    keys
        Whose each row is, distinct; None where rows have prefixes.
    prefixes
        The history that each row is asked with; None where rows have keys.
    times, weights
        int64 and float32, one for each target, where the split knows them; they are only written to files.
    notes
        What was set aside when the rows were made, and how often.
    """

    tokens: Names
    targets: Rows
    keys: Names | None = None
    prefixes: History | None = None
    times: np.ndarray | None = None
    weights: np.ndarray | None = None
    notes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if (self.keys is None) == (self.prefixes is None):
            raise SourceError("the rows of a test have either keys or prefixes: give one of the two.")
        if len(self) == 0:
            raise SourceError("the test is empty: it holds no row with a token to find.")

    def __len__(self) -> int:
        return len(self.targets.indptr) - 1

    def __repr__(self) -> str:
        asked = "keys" if self.prefixes is None else "prefixes"
        return f"HeldOut({len(self):,} {asked}, {len(self.targets.indices):,} targets)"

    def take(self, rows: np.ndarray) -> HeldOut:
        """Return the test of these rows alone, in that order."""
        found = History(self.targets.indptr, self.targets.indices, self.weights, self.times).take(rows)
        return HeldOut(
            self.tokens,
            Rows(found.indptr, found.indices),
            None if self.keys is None else self.keys.take(rows),
            None if self.prefixes is None else self.prefixes.take(rows),
            found.times,
            found.weights,
            self.notes,
        )

    @classmethod
    def from_corpus(cls, corpus: Corpus) -> HeldOut:
        """Make a test of the histories of a corpus: each key is to find its tokens.

        Raises
        ------
        SourceError
            If the sentences have no keys.
        """
        histories = corpus.histories()
        if histories is None or corpus.keys is None:
            raise SourceError("the test has no keys, so nobody can be asked; read it as prefixes and targets instead.")
        return cls.of_keys(corpus.keys, corpus.tokens, histories, Counter(corpus.dropped))

    @classmethod
    def of_keys(cls, keys: Names, tokens: Names, rows: History, notes: Counter[str] | None = None) -> HeldOut:
        """Make a test of one row of tokens a key; empty rows and repeated tokens are set aside and counted."""
        notes = Counter(notes or {})
        first = _first_of_each(rows.indptr, rows.indices)
        notes["targets that stand twice"] += int(len(first) - first.sum())
        lengths = np.add.reduceat(np.append(first, 0), rows.indptr[:-1]) * (np.diff(rows.indptr) > 0)
        filled = lengths > 0
        notes["keys without a target"] += int(len(filled) - filled.sum())
        targets = Rows(_ends(lengths[filled]), rows.indices[first])
        times, weights = (None if values is None else values[first] for values in (rows.times, rows.weights))
        return cls(tokens, targets, keys.take(np.flatnonzero(filled)), None, times, weights, +notes)


def _first_of_each(indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return bool, True where an id stands in its row for the first time."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    order = np.lexsort((indices, rows))
    new = np.ones(len(indices), bool)
    new[1:] = (np.diff(rows[order]) != 0) | (np.diff(indices[order]) != 0)
    first = np.empty(len(indices), bool)
    first[order] = new
    return first


def _ends(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(np.asarray(lengths, np.int64))))


def read_lines(path: str | Path) -> HeldOut:
    """Read a test of lines `key token token ...`, parted by blanks; lines of one key are put together.

    Raises
    ------
    SourceError
        If the file cannot be read, or no line holds a token behind its key.
    """
    path = Path(path)
    numbers = _Numbers()
    keys = _Numbers()
    owners: list[int] = []
    ids: list[int] = []
    for _, line in _lines(path):
        if "\t" in line and " " in line.partition("\t")[0].strip():
            raise SourceError(f"{path} has tabs behind several tokens, as prefix<TAB>target has; read it as prefixes.")
        key, *tokens = line.split()
        owner = keys.number(key)
        owners.extend([owner] * len(tokens))
        ids.extend(map(numbers.number, tokens))
    if not ids:
        raise SourceError(f"{path} holds no token to find; each line needs a key and tokens, parted by blanks.")
    order = np.argsort(np.array(owners), kind="stable")
    lengths = np.bincount(owners, minlength=len(keys))
    rows = History(_ends(lengths), np.array(ids, np.int32)[order])
    return HeldOut.of_keys(keys.names(), numbers.names(), rows)


def read_prefixes(path: str | Path) -> HeldOut:
    """Read a test of lines `token token ...<TAB>target`: a session so far, oldest first, and what came next.

    Raises
    ------
    SourceError
        If the file cannot be read, or a line has no tab or nothing on one side of it.
    """
    path = Path(path)
    numbers = _Numbers()
    lengths: list[int] = []
    ids: list[int] = []
    targets: list[int] = []
    for number, line in _lines(path):
        prefix, tab, target = line.rpartition("\t")
        tokens, target = prefix.split(), target.strip()
        if not tab or not tokens or not target:
            raise SourceError(f"{path} line {number} is no prefix<TAB>target: tokens, a tab, the token that came next.")
        lengths.append(len(tokens))
        ids.extend(map(numbers.number, tokens))
        targets.append(numbers.number(target))
    if not targets:
        raise SourceError(f"{path} is empty; each line needs tokens, a tab and the token that came next.")
    prefixes = History(_ends(lengths), np.array(ids, np.int32))
    return HeldOut(numbers.names(), one_each(np.array(targets, np.int32)), prefixes=prefixes)


def one_each(ids: np.ndarray) -> Rows:
    """Return rows of one id each."""
    return Rows(np.arange(len(ids) + 1, dtype=np.int64), ids)


class _Numbers:
    """Strings numbered as they first come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def names(self) -> Names:
        return Names.from_strings(self._numbers)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            yield from _filled(lines)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}; check the path.") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text; save it as UTF-8.") from error


def _filled(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    return ((number, line.rstrip("\r\n")) for number, line in enumerate(lines, 1) if line.strip())
