"""What a model tells of how it grew, and by what it knows sentences that an update learned already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from embedkit.checkpoints import LEARNED, Checkpoint, digest, fingerprint
from embedkit.contracts import Run
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
    first
        A note of the training that made the model.
    """

    times: int
    tokens: int
    latest: list[Mapping[str, Any]]
    first: Mapping[str, Any]

    @classmethod
    def of(cls, model: Embeddings) -> Notes:
        """Return those of a model."""
        grown = model.config.get("grown")
        told = grown if isinstance(grown, Mapping) else {}
        latest = told.get("latest")
        notes = [note for note in latest if isinstance(note, Mapping)] if isinstance(latest, list | tuple) else []
        first = model.config.get(LEARNED)
        return cls(
            _count(told.get("times")), _count(told.get("tokens")), notes, first if isinstance(first, Mapping) else {}
        )

    @property
    def marks(self) -> list[Any]:
        """The marks of updates that are saved; see `mark_of`."""
        return [note["mark"] for note in self.latest if "mark" in note]

    def of_the_same(self, corpus: Corpus) -> Mapping[str, Any] | None:
        """Return the note of the last update, or of the training, that learned from these very sentences; or None."""
        notes = [self.first, *self.latest]
        if not any("digest" in note for note in notes):
            return None
        mark = fingerprint(corpus)
        return next((note for note in reversed(notes) if note.get("digest") == mark), None)

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


def mark_of(model: Embeddings, corpus: Corpus) -> str:
    """Return what tells an update of a model by a corpus from all others."""
    return f"{fingerprint(corpus)}-{digest([model.vectors])}-{Notes.of(model).times}"


def clear_left(checkpoint: Checkpoint, model: Embeddings, run: Run) -> None:
    """Remove a state of an update that the model has saved: of one that was killed before it removed that itself."""
    if (mark := checkpoint.mark) and mark in Notes.of(model).marks:
        with checkpoint.held():
            checkpoint.clear()
        run.say(f"The state in {checkpoint.folder}, of an update that was saved, is removed.")


def _count(told: Any) -> int:
    return told if isinstance(told, int) else 0
