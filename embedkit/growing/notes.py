"""What a model tells of how it grew, and by what it knows sentences that an update learned already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from embedkit.checkpoints import digest
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings

_RECENT = 10


@dataclass(frozen=True)
class Notes:
    """The notes of a model's updates; a config that somebody has changed is taken for what can be made of it.

    Attributes
    ----------
    times, tokens
        How many updates there were, and of how many tokens altogether.
    latest
        A note of each of the latest ten.
    """

    times: int
    tokens: int
    latest: list[Mapping[str, Any]]

    @classmethod
    def of(cls, model: Embeddings) -> Notes:
        """Return those of a model."""
        grown = model.config.get("grown")
        told = grown if isinstance(grown, Mapping) else {}
        latest = told.get("latest")
        notes = [note for note in latest if isinstance(note, Mapping)] if isinstance(latest, list | tuple) else []
        return cls(_count(told.get("times")), _count(told.get("tokens")), notes)

    def of_the_same(self, corpus: Corpus) -> Mapping[str, Any] | None:
        """Return the note of the last update that learned from these very sentences, or None."""
        if not any("digest" in note for note in self.latest):
            return None
        mark = fingerprint(corpus)
        return next((note for note in reversed(self.latest) if note.get("digest") == mark), None)

    def with_one(self, corpus: Corpus, **how: Any) -> dict[str, Any]:
        """Return them with a note of one more update, as the config has them."""
        latest = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "source": corpus.source,
            "tokens": corpus.n_tokens,
            **how,
            "digest": fingerprint(corpus),
        }
        return {
            "times": self.times + 1,
            "tokens": self.tokens + corpus.n_tokens,
            "latest": [*self.latest, latest][-_RECENT:],
        }


def _count(told: Any) -> int:
    return told if isinstance(told, int) else 0


def fingerprint(corpus: Corpus) -> str:
    """Return a digest of a corpus, all but its labels: 32 hexadecimal digits.

    Tokens that were left out as too rare are not in it. An update leaves out none that its model has, so the digest of
    an input changes when one that was too rare has joined meanwhile.
    """
    numbers = (corpus.ids, corpus.offsets, corpus.sentence_keys, corpus.times, corpus.weights)
    names = [names for names in (corpus.tokens, corpus.keys) if names is not None]
    texts = [array for some in names for array in (some.utf8, some.offsets)]
    return digest([*(array for array in numbers if array is not None), *texts])
