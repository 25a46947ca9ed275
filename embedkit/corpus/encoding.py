"""The work on partitions of a corpus, each done where the partition lies: read, count, number, bring keys together.

These functions are sent to workers by name. Numbers of tokens are first a partition's own, then the whole corpus's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.contracts import History, Run, Source
from embedkit.corpus import kernels
from embedkit.corpus.columns import Column
from embedkit.corpus.corpus import Corpus
from embedkit.corpus.vocabulary import GrowingVocabulary
from embedkit.corpus.workdir import WorkFolder
from embedkit.engines.engine import given_up
from embedkit.errors import EmptyInputError
from embedkit.names import Names

_CHUNK = 1 << 20


@dataclass(frozen=True)
class RawPart:
    """A partition as it was read, and what its source had to say of it."""

    corpus: Corpus
    notes: tuple[str, ...]

    def __sizeof__(self) -> int:
        return self.corpus.__sizeof__()


@dataclass(frozen=True)
class EmptyPart:
    """A partition of which nothing is left: why, and what its source left out."""

    reason: str
    dropped: Counter[str]


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of some partitions, and what else is to be known of these before they can be numbered alike.

    Attributes
    ----------
    labels
        A name to show for each token, empty for none; or None.
    keyed
        Whether any sentence has a key.
    columns
        Which of weights and times partitions have: one set where all are alike.
    """

    tokens: Names
    counts: np.ndarray
    labels: Names | None
    keyed: bool
    columns: frozenset[frozenset[str]]
    n_sentences: int
    dropped: Counter[str]
    notes: tuple[str, ...]

    def kept(self, min_count: int) -> Vocabulary:
        """Return the tokens that occur so often, most frequent first; ties in order of partitions."""
        kept = np.flatnonzero(self.counts >= min_count)
        kept = kept[np.argsort(-self.counts[kept], kind="stable")]
        labels = None if self.labels is None else self.labels.take(kept)
        return replace(self, tokens=self.tokens.take(kept), counts=self.counts[kept], labels=labels)

    def rare(self, min_count: int) -> Counter[str]:
        """Return how many occurrences of rarer tokens there are, under what is told of them."""
        rare = self.counts[self.counts < min_count]
        if not len(rare):
            return Counter()
        return Counter({f"occurrences of {len(rare):,} tokens seen fewer than {min_count} times": int(rare.sum())})


@dataclass(frozen=True)
class Piece:
    """Sentences on their way from one partition to another.

    Attributes
    ----------
    keys
        The keys that occur.
    sentence_keys
        int32, which of them each sentence belongs to; -1 for none.
    rows
        The sentences.
    """

    keys: Names
    sentence_keys: np.ndarray
    rows: History


class _Heeding(Run):
    """Breaks reading off where nobody waits for it."""

    def progress(self, done: float, total: float, **more: Any) -> None:
        """Look whether somebody still does."""
        if given_up():
            raise InterruptedError("nobody waits for this partition")


def read_part(source: Source, work_dir: Path | None) -> RawPart | EmptyPart:
    """Read a part of the input."""
    try:
        corpus = Corpus.from_source(source, work_dir=work_dir, run=_Heeding())
    except EmptyInputError as error:
        return EmptyPart(str(error), Counter(source.dropped))
    return RawPart(corpus, tuple(source.notes))


def emptiness(part: RawPart | EmptyPart) -> EmptyPart | None:
    """Return the partition where it is an empty one."""
    return part if isinstance(part, EmptyPart) else None


def vocabulary_of(raw: RawPart) -> Vocabulary:
    """Return what the whole needs to know of a partition."""
    corpus = raw.corpus
    columns = frozenset(_columns(corpus).keys() & {"weights", "times"})
    return Vocabulary(
        corpus.tokens, corpus.counts, corpus.labels, corpus.keys is not None, frozenset({columns}), corpus.n_sentences,
        corpus.dropped, raw.notes,
    )  # fmt: skip


def merged(one: Vocabulary, other: Vocabulary) -> Vocabulary:
    """Return what is to be known of the partitions of both."""
    tokens = GrowingVocabulary()
    first, second = (tokens.encode(given.tokens.to_arrow()) for given in (one, other))
    counts = np.zeros(len(tokens), np.int64)
    counts[first] += one.counts
    counts[second] += other.counts
    labels = None
    if one.labels is not None or other.labels is not None:
        named = [""] * len(tokens)
        for given, ids in ((other, second), (one, first)):
            for number, label in zip(ids.tolist(), given.labels or (), strict=False):
                named[number] = label or named[number]
        labels = Names.from_strings(named)
    return Vocabulary(
        _owned(tokens.names()), counts, labels, one.keyed or other.keyed, one.columns | other.columns,
        one.n_sentences + other.n_sentences, one.dropped + other.dropped,
        tuple(dict.fromkeys(one.notes + other.notes)),
    )  # fmt: skip


def renumbered(raw: RawPart, vocabulary: Vocabulary, work_dir: Path | None) -> Corpus:
    """Return a partition with the ids, tokens and counts of the whole corpus, without what is left out there."""
    folder = WorkFolder(work_dir)
    new_id = _new_ids(raw.corpus.tokens, vocabulary.tokens)
    columns = {name: Column(folder.path / name, dtype) for name, dtype in _columns(raw.corpus).items()}
    offsets = Column(folder.path / "offsets", np.int64)
    offsets.append(np.zeros(1, np.int64))
    corpus, written, last, sentence = raw.corpus, 0, 0, 0
    for start in range(0, corpus.n_tokens, _CHUNK):
        stop = min(start + _CHUNK, corpus.n_tokens)
        ids = new_id[corpus.ids[start:stop]]
        kept = ids >= 0
        for name in _PER_TOKEN:
            if name in columns:
                columns[name].append(ids[kept] if name == "ids" else getattr(corpus, name)[start:stop][kept])
        until = int(np.searchsorted(corpus.offsets, stop, side="right")) - 1
        before = np.concatenate((np.zeros(1, np.int64), np.cumsum(kept)))
        ends = written + before[corpus.offsets[sentence + 1 : until + 1] - start]
        real = np.diff(ends, prepend=last) > 0
        offsets.append(ends[real])
        if corpus.sentence_keys is not None:
            columns["sentence_keys"].append(corpus.sentence_keys[sentence:until][real])
        written, last, sentence = written + int(before[-1]), int(ends[-1]) if len(ends) else last, until
    made: dict[str, Any] = {name: column.finish() for name, column in columns.items()}
    return Corpus(
        vocabulary.tokens, vocabulary.counts, offsets=offsets.finish(), keys=corpus.keys, labels=vocabulary.labels,
        defaults=corpus.defaults, source=corpus.source, _folder=folder, **made,
    )  # fmt: skip


def by_key(raw: RawPart, number: int, n: int, vocabulary: Vocabulary, work_dir: Path | None) -> list[Piece]:
    """Return the sentences of a partition for each of n, chosen by a hash of the key; those without one stay."""
    corpus = renumbered(raw, vocabulary, work_dir)
    keys = corpus.keys or Names.from_strings([])
    own = corpus.sentence_keys if corpus.sentence_keys is not None else np.full(len(corpus), -1, np.int32)
    goes_to = np.append(_hashes(keys) % np.uint64(n), np.uint64(number))[own]
    sentences = History(corpus.offsets, corpus.ids, corpus.weights, corpus.times)
    pieces = []
    for to in range(n):
        chosen = np.flatnonzero(goes_to == to)
        of_sentences = own[chosen]
        used, renamed = np.unique(of_sentences[of_sentences >= 0], return_inverse=True)
        sentence_keys = np.full(len(chosen), -1, np.int32)
        sentence_keys[of_sentences >= 0] = renamed
        pieces.append(Piece(keys.take(used), sentence_keys, sentences.take(chosen)))
    return pieces


def joined(pieces: list[Piece], vocabulary: Vocabulary, work_dir: Path | None) -> Corpus:
    """Return a partition of what came from all."""
    folder = WorkFolder(work_dir)
    some = pieces[0].rows
    columns = {"ids": Column(folder.path / "ids", np.int32)}
    for name, dtype in (("weights", np.float32), ("times", np.int64)):
        if getattr(some, name) is not None:
            columns[name] = Column(folder.path / name, dtype)
    columns["sentence_keys"] = Column(folder.path / "sentence_keys", np.int32)
    offsets = Column(folder.path / "offsets", np.int64)
    offsets.append(np.zeros(1, np.int64))
    keys = GrowingVocabulary()
    written = 0
    for piece in pieces:
        renamed = np.append(keys.encode(piece.keys.to_arrow()), np.int32(-1))
        columns["sentence_keys"].append(renamed[piece.sentence_keys])
        columns["ids"].append(piece.rows.indices)
        for name in ("weights", "times"):
            if name in columns:
                columns[name].append(getattr(piece.rows, name))
        offsets.append(written + piece.rows.indptr[1:])
        written += len(piece.rows.indices)
    made: dict[str, Any] = {name: column.finish() for name, column in columns.items()}
    return Corpus(
        vocabulary.tokens, vocabulary.counts, offsets=offsets.finish(), keys=_owned(keys.names()),
        labels=vocabulary.labels, _folder=folder, **made,
    )  # fmt: skip


def sizes(corpus: Corpus) -> tuple[int, int, int]:
    """Return how many tokens, sentences and keys a partition has."""
    return corpus.n_tokens, corpus.n_sentences, len(corpus.keys or ())


def histories_of(corpus: Corpus) -> tuple[Names, History]:
    """Return a partition's keys and their histories."""
    histories = corpus.histories()
    assert histories is not None
    assert corpus.keys is not None
    return corpus.keys, histories


def behind(one: tuple[Names, History], other: tuple[Names, History]) -> tuple[Names, History]:
    """Return the keys and histories of two partitions, one behind the other."""
    first, second = one[1], other[1]
    indptr = np.concatenate((first.indptr, first.indptr[-1] + second.indptr[1:]))
    columns = ((first.weights, second.weights), (first.times, second.times))
    weights, times = (None if a is None or b is None else np.concatenate((a, b)) for a, b in columns)
    return one[0].followed_by(other[0]), History(
        indptr, np.concatenate((first.indices, second.indices)), weights, times
    )


_PER_TOKEN = ("ids", "weights", "times")


def _columns(corpus: Corpus) -> dict[str, type]:
    """Return which columns a corpus has, besides the ends of sentences."""
    kinds = {"ids": np.int32, "weights": np.float32, "times": np.int64, "sentence_keys": np.int32}
    return {name: kind for name, kind in kinds.items() if getattr(corpus, name) is not None}


def _new_ids(own: Names, whole: Names) -> np.ndarray:
    """Return for each of a partition's tokens its number in the whole corpus, -1 where it has none: int32."""
    numbered = GrowingVocabulary()
    numbered.encode(whole.to_arrow())
    found = numbered.encode(own.to_arrow())
    return np.where(found < len(whole), found, np.int32(-1))


def _hashes(names: Names) -> np.ndarray:
    made = np.empty(len(names), np.uint64)
    kernels.hash_all(np.ascontiguousarray(names.utf8), np.ascontiguousarray(names.offsets), made)
    return made


def _owned(names: Names) -> Names:
    """Return names in memory of their own, without the room that a growing vocabulary has beyond them."""
    return Names(names.utf8.copy(), names.offsets.copy())
