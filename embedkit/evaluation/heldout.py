"""What is held out of training, to be found again: rows of tokens, each asked for a key or behind a prefix."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from embedkit.contracts import History
from embedkit.corpus import Corpus
from embedkit.errors import SourceError
from embedkit.evaluation.lines import Numbering, as_numbers, lines_of
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
    rows = np.repeat(np.arange(len(indptr) - 1, dtype=np.int32), np.diff(indptr))
    order = np.lexsort((indices, rows))
    new = np.ones(len(indices), bool)
    new[1:] = False
    for values in (rows[order], indices[order]):
        new[1:] |= values[1:] != values[:-1]
    first = np.empty(len(indices), bool)
    first[order] = new
    return first


def _ends(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(np.asarray(lengths, np.int64))))


def read_lines(path: str | Path) -> HeldOut:
    """Read a test of lines `key token token ...`, parted by blanks; lines of one key are put together.

    Raises
    ------
    SourceError
        If the file cannot be read, or no line holds a token behind its key.
    """
    path = Path(path)
    numbers, keys = Numbering(), Numbering()
    owners, lengths, ids = array("i"), array("i"), array("i")
    for _, line in lines_of(path):
        if "\t" in line and " " in line.partition("\t")[0].strip():
            raise SourceError(f"{path} has tabs behind several tokens, as prefix<TAB>target has; read it as prefixes.")
        key, *tokens = line.split()
        owners.append(keys.number(key))
        lengths.append(len(tokens))
        ids.extend(map(numbers.number, tokens))
    if not ids:
        raise SourceError(f"{path} holds no token to find; each line needs a key and tokens, parted by blanks.")
    of_tokens = np.repeat(as_numbers(owners), as_numbers(lengths))
    rows = History(_ends(np.bincount(of_tokens, minlength=len(keys))), _grouped(as_numbers(ids), of_tokens))
    return HeldOut.of_keys(keys.names(), numbers.names(), rows)


def read_prefixes(path: str | Path) -> HeldOut:
    """Read a test of lines `token token ...<TAB>target`: a session so far, oldest first, and what came next.

    Raises
    ------
    SourceError
        If the file cannot be read, or a line has no tab or nothing on one side of it.
    """
    path = Path(path)
    numbers = Numbering()
    lengths, ids, targets = array("i"), array("i"), array("i")
    for number, line in lines_of(path):
        prefix, tab, target = line.rpartition("\t")
        tokens, target = prefix.split(), target.strip()
        if not tab or not tokens or not target:
            raise SourceError(f"{path} line {number} is no prefix<TAB>target: tokens, a tab, the token that came next.")
        lengths.append(len(tokens))
        ids.extend(map(numbers.number, tokens))
        targets.append(numbers.number(target))
    if not targets:
        raise SourceError(f"{path} is empty; each line needs tokens, a tab and the token that came next.")
    prefixes = History(_ends(as_numbers(lengths)), as_numbers(ids))
    return HeldOut(numbers.names(), one_each(as_numbers(targets)), prefixes=prefixes)


def _grouped(ids: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return ids with those of one owner together, in the order that they came in."""
    return ids if (owners[1:] >= owners[:-1]).all() else ids[np.argsort(owners, kind="stable")]


def one_each(ids: np.ndarray) -> Rows:
    """Return rows of one id each."""
    return Rows(np.arange(len(ids) + 1, dtype=np.int64), ids)
