"""The sentences, read once, as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.contracts import History, Run, Sentence, SentenceBatch, Source
from embedkit.corpus.lying import histories_as_they_lie
from embedkit.corpus.workdir import WorkFolder
from embedkit.errors import EmptyInputError, SourceError
from embedkit.memory import check_fits, give_back
from embedkit.names import Names

if TYPE_CHECKING:
    import scipy.sparse

    from embedkit.corpus.encoder import Encoded

_REPORT_EVERY = 1 << 20
_READING = 48 << 20  # compiled kernels, blocks of the input, an empty vocabulary
_SORTED_BYTES_A_TOKEN, _SORTED_BYTES_A_SENTENCE = 52, 40


@dataclass(frozen=True)
class Corpus:
    """Sentences as ids in one flat array, and the vocabulary they are numbered by.

    Attributes
    ----------
    tokens
        The vocabulary, most frequent first (ties: first seen first).
    counts
        int64, how often each token occurs.
    ids
        int32, memory-mapped: the tokens of all sentences end to end.
    offsets
        int64, memory-mapped: sentence s is `ids[offsets[s]:offsets[s + 1]]`; none is empty.
    keys
        The keys in order of first appearance, or None where no sentence has one.
    sentence_keys
        int32, memory-mapped: the key of each sentence, -1 for none; None where `keys` is.
    weights, times
        float32 and int64 (microseconds since 1970, UTC), memory-mapped, one for each of `ids`; or None.
    labels
        A name to show for each token (empty where it has none), or None.
    dropped
        What was left out, and how often.
    defaults
        The source's defaults for training options.
    source
        The source's name, or None.
    """

    tokens: Names
    counts: np.ndarray
    ids: np.ndarray
    offsets: np.ndarray
    keys: Names | None = None
    sentence_keys: np.ndarray | None = None
    weights: np.ndarray | None = None
    times: np.ndarray | None = None
    labels: Names | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    _folder: WorkFolder | None = None

    @classmethod
    def from_sentences(
        cls, sentences: Iterable[Sentence | Sequence[str]], *, min_count: int = 1, work_dir: Path | None = None
    ) -> Corpus:
        """Read sentences, each a `Sentence` or a list of tokens.

        Parameters
        ----------
        sentences
            Something that can be gone through again, such as a list; a generator is refused.
        min_count
            Tokens that occur less often are left out.
        work_dir
            Where to put the folder of the memory-mapped files.

        Raises
        ------
        SourceError
            For a generator, a sentence that is a plain string, a token that is no string, or if nothing is left.
        """
        from embedkit.corpus.gather import in_batches

        _refuse_one_shot(sentences, "Corpus.from_sentences")
        return cls._from_batches(in_batches(sentences), min_count, WorkFolder(work_dir), Run(), Counter)

    @classmethod
    def from_source(
        cls,
        source: Source,
        *,
        min_count: int = 1,
        work_dir: Path | None = None,
        run: Run | None = None,
        known: Names | None = None,
    ) -> Corpus:
        """Read a source's sentences; see `from_sentences`. Tokens that are `known` stay however rare they are."""
        from embedkit.corpus.gather import closed, in_batches

        source.dropped.clear()
        source.notes.clear()
        folder = WorkFolder(work_dir)
        source.work_dir = folder.path
        sentences: Iterable[Sentence] = ()
        batches = source.batches()
        if batches is None:
            sentences = source.sentences()
            if iter(sentences) is sentences and source.sentences() is sentences:
                _refuse_one_shot(sentences, f"source {source.name!r}")
            batches = in_batches(sentences)
        with closed(batches, sentences):
            corpus = cls._from_batches(batches, min_count, folder, run or Run(), lambda: source.dropped, known)
        labels = _labels(corpus.tokens, source.labels())
        values = {name: getattr(corpus, name) for name in corpus.__dataclass_fields__}
        return cls(**{**values, "labels": labels, "defaults": source.defaults, "source": source.name})

    @classmethod
    def _from_batches(
        cls,
        batches: Iterable[SentenceBatch],
        min_count: int,
        folder: WorkFolder,
        run: Run,
        dropped: Callable[[], Counter[str]],
        known: Names | None = None,
    ) -> Corpus:
        encoded, n_read = _encode(batches, min_count, folder, run, dropped, known)
        # Not before the encoder is gone, as its vocabulary holds more tokens than are kept.
        give_back()
        if len(encoded.tokens) == 0:
            raise EmptyInputError(nothing_left(n_read, min_count))
        return cls(**vars(encoded), _folder=folder)

    @property
    def n_tokens(self) -> int:
        """How many tokens the sentences hold, all together."""
        return len(self.ids)

    @property
    def n_sentences(self) -> int:
        """How many sentences there are."""
        return len(self.offsets) - 1

    def __len__(self) -> int:
        return self.n_sentences

    def __repr__(self) -> str:
        keys = f", {len(self.keys):,} keys" if self.keys is not None else ""
        return f"Corpus({self.n_sentences:,} sentences, {self.n_tokens:,} tokens, {len(self.tokens):,} different{keys})"

    @cached_property
    def _histories(self) -> History | None:
        if self.keys is None or self.sentence_keys is None:
            return None
        lying = histories_as_they_lie(
            len(self.keys), self.ids, self.offsets, self.sentence_keys, self.weights, self.times
        )
        if lying is not None:
            return lying
        check_fits(
            _SORTED_BYTES_A_TOKEN * self.n_tokens + _SORTED_BYTES_A_SENTENCE * self.n_sentences,
            f"bringing {self.n_tokens:,} tokens into the order of their keys and times",
            "sort the input by them, or read a part of it",
        )
        order = np.flatnonzero(self.sentence_keys >= 0)
        order = order[np.argsort(self.sentence_keys[order], kind="stable")]
        sentences = History(self.offsets, self.ids, self.weights, self.times).take(order)
        lengths = np.diff(self.offsets)[order]
        of_key = np.zeros(len(self.keys) + 1, np.int64)
        np.add.at(of_key, self.sentence_keys[order] + 1, lengths)
        return _in_order_of_time(
            History(np.cumsum(of_key), sentences.indices, sentences.weights, sentences.times), len(self.keys)
        )

    def histories(self) -> History | None:
        """Return each key's tokens, of all its sentences, in order of time (of reading where there are no times)."""
        return self._histories

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process makes the corpus of: all arrays, as the files are here."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        arrays = {name: np.asarray(value) for name, value in values.items() if isinstance(value, np.memmap)}
        return {**values, **arrays, "_folder": None}

    def __sizeof__(self) -> int:
        """Return how many bytes it would take elsewhere, by which a cluster decides whether to move it."""
        return 4 * self.n_tokens * (1 + (self.weights is not None) + 2 * (self.times is not None)) + 12 * len(self)

    def matrix(self) -> scipy.sparse.csr_matrix:
        """Return the sum of weights of each key and token: float32, n_keys × n_tokens; sentences where no keys."""
        from scipy.sparse import csr_matrix

        rows = self.histories() or History(self.offsets, self.ids, self.weights)
        values = np.ones(len(rows.indices), np.float32) if rows.weights is None else rows.weights
        counted = csr_matrix((values, rows.indices, rows.indptr), (len(rows), len(self.tokens)), copy=True)
        counted.sum_duplicates()
        return counted


def _encode(
    batches: Iterable[SentenceBatch],
    min_count: int,
    folder: WorkFolder,
    run: Run,
    dropped: Callable[[], Counter[str]],
    known: Names | None,
) -> tuple[Encoded, int]:
    """Return the sentences encoded, and how many tokens they were; what was dropped is asked for behind the last."""
    from embedkit.corpus.encoder import Encoder

    check_fits(_READING, "reading a corpus", "give it more")
    with Encoder(folder.path) as encoder:
        reported = 0
        for batch in batches:
            encoder.add(batch)
            if encoder.n_tokens - reported >= _REPORT_EVERY:
                reported = encoder.n_tokens
                run.progress(reported, 0, unit="tokens read")
        return encoder.finish(min_count, Counter(dropped()), known), encoder.n_tokens


def _in_order_of_time(histories: History, n_keys: int) -> History:
    if histories.times is None:
        return histories
    rows = np.repeat(np.arange(n_keys), np.diff(histories.indptr))
    order = np.lexsort((histories.times, rows))
    weights = None if histories.weights is None else histories.weights[order]
    return History(histories.indptr, histories.indices[order], weights, histories.times[order])


def _refuse_one_shot(sentences: Iterable, whose: str) -> None:
    if iter(sentences) is sentences:
        raise SourceError(
            f"{whose} got a generator, which can be gone through only once; "
            "give a list, or an object whose __iter__ begins anew."
        )


def _labels(tokens: Names, pairs: Iterable[tuple[str, str]] | None) -> Names | None:
    if pairs is None:
        return None
    found = dict(pairs)
    return Names.from_strings(found.get(token, "") for token in tokens)


def nothing_left(n_read: int, min_count: int) -> str:
    """Return what to tell where no token is left."""
    if n_read == 0:
        return "the source holds no sentence; look at what it reads with `embedkit sources preview`."
    return f"none of the {n_read:,} tokens occurs {min_count} times or more; lower --min-count (1 keeps all)."
