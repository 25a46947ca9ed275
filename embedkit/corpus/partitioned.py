"""A corpus in partitions: read, counted and encoded where it lies, by an engine.

What is here holds the vocabulary; the sentences stay with the engine, each partition an ordinary `Corpus` whose ids,
tokens and counts are those of the whole. Where sentences have keys, each key has all of its sentences in one partition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.contracts import History, Run, Source
from embedkit.corpus import encoding
from embedkit.corpus.corpus import nothing_left
from embedkit.engines.engine import Engine, Told
from embedkit.errors import EmptyInputError, SourceError
from embedkit.memory import available_bytes, readable
from embedkit.names import Names

_SHARE = 3  # of the memory there is, what histories may take here: they are joined, ordered and written


@dataclass(frozen=True)
class PartitionedCorpus:
    """Sentences in partitions, and the vocabulary that they are numbered by; see `Corpus` for what is not told here.

    Attributes
    ----------
    engine
        What has the partitions and does work over them.
    parts
        What stands for the partitions, each a `Corpus`.
    n_tokens, n_sentences, n_keys
        Of all partitions.
    histories_here
        Whether keys and histories are brought here, to go into the model.
    """

    engine: Engine
    parts: list[Any]
    tokens: Names
    counts: np.ndarray
    n_tokens: int
    n_sentences: int
    n_keys: int
    labels: Names | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    histories_here: bool = True
    _vocabulary: Any = None  # what partitions are made anew from, should one be lost

    @classmethod
    def from_source(
        cls,
        source: Source,
        engine: Engine,
        *,
        min_count: int = 1,
        work_dir: Path | None = None,
        run: Run | None = None,
    ) -> PartitionedCorpus:
        """Have the engine read a source in about as many partitions as it wants.

        Raises
        ------
        SourceError
            If the source cannot be divided, its parts have not the same columns, or nothing is left.
        """
        run = run or Run()
        sources = divided(source, engine.n_parts)
        if len(sources) < engine.n_parts:
            run.say(f"The input divides into {len(sources)} partitions instead of {engine.n_parts}.")
        read = engine.keep(encoding.read_part, sources, work_dir, told=_telling(run))
        empty = engine.map(encoding.emptiness, read)
        raw = [part for part, nothing in zip(read, empty, strict=True) if nothing is None]
        if not raw:
            raise EmptyInputError(empty[0].reason)
        found = engine.reduce(encoding.vocabulary_of, raw, encoding.merged)
        if len(found.columns) > 1:
            raise SourceError(
                "some parts of the input have times or weights and others have none; name their columns with "
                "--time-column and --weight-column, or read them apart."
            )
        vocabulary = found.kept(min_count)
        if len(vocabulary.tokens) == 0:
            raise EmptyInputError(nothing_left(int(found.counts.sum()), min_count))
        dropped = found.dropped + found.rare(min_count)
        for nothing in filter(None, empty):
            dropped += nothing.dropped
        shared = engine.broadcast(vocabulary)
        if found.keyed:
            parts = engine.exchange(encoding.by_key, raw, encoding.joined, shared, work_dir)
        else:
            parts = engine.keep(encoding.renumbered, raw, shared, work_dir)
        sizes = np.array(engine.map(encoding.sizes, parts), np.int64)
        if lost := found.n_sentences - int(sizes[:, 1].sum()):
            dropped["sentences without a token"] += lost
        source.notes[:] = found.notes
        n_tokens, n_sentences, n_keys = sizes.sum(axis=0).tolist()
        return cls(
            engine, parts, vocabulary.tokens, vocabulary.counts, n_tokens, n_sentences, n_keys, vocabulary.labels,
            dropped, source.defaults, source.name, _fits(sizes, run), shared,
        )  # fmt: skip

    @property
    def n_parts(self) -> int:
        """How many partitions there are."""
        return len(self.parts)

    def __len__(self) -> int:
        return self.n_sentences

    def __repr__(self) -> str:
        return (
            f"PartitionedCorpus({self.n_parts} partitions, {self.n_sentences:,} sentences, {self.n_tokens:,} tokens, "
            f"{len(self.tokens):,} different, {self.n_keys:,} keys)"
        )

    @property
    def keys(self) -> Names | None:
        """The keys, partition after partition; None where there are none, or too many to be brought here."""
        return None if self._brought is None else self._brought[0]

    def histories(self) -> History | None:
        """Return each key's tokens in order of time; None where `keys` is."""
        return None if self._brought is None else self._brought[1]

    @cached_property
    def _brought(self) -> tuple[Names, History] | None:
        if not self.n_keys or not self.histories_here:
            return None
        return self.engine.reduce(encoding.histories_of, self.parts, encoding.behind)


def divided(source: Source, n_parts: int) -> list[Source]:
    """Return sources of parts of what a source reads, or refuse one that has no parts."""
    sources = source.divided(n_parts) if n_parts > 1 else [source]
    if sources is None:
        raise SourceError(
            f"source {source.name!r} cannot be read in partitions; train without --engine, or with --partitions 1."
        )
    return sources


def _telling(run: Run) -> Told:
    return lambda done, total: run.progress(done, total, unit="partitions read")


def _fits(sizes: np.ndarray, run: Run) -> bool:
    """Tell whether keys and histories fit in the memory here; say so where they do not."""
    n_tokens, _, n_keys = sizes.sum(axis=0).tolist()
    available = available_bytes()
    needed = 16 * n_tokens + 32 * n_keys
    if available is None or _SHARE * needed <= available:
        return True
    run.say(
        f"The model will have no keys and histories: they take {readable(needed)}, and {readable(available)} of memory "
        "are free here. It recommends from histories that are given to it."
    )
    return False
