"""Vectors with their metadata, some megabytes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import embedkit

if TYPE_CHECKING:
    import numpy as np

_BLOCK = 1 << 23  # bytes of numbers
_ROWS = 1 << 14


@dataclass(frozen=True)
class Rows:
    """Rows `start` to `stop` of a model.

    Attributes
    ----------
    tokens, labels, counts
        One a row; None where the model has none. A label may be empty.
    vectors
        float32 (rows × vector_size).
    """

    start: int
    stop: int
    tokens: list[str]
    vectors: np.ndarray
    labels: list[str] | None
    counts: list[int] | None


def blocks(embeddings: embedkit.Embeddings, run: embedkit.Run, height: int | None = None) -> Iterator[Rows]:
    """Yield all rows of a model in order, and tell how far it is."""
    n, width = embeddings.vectors.shape
    height = height or max(1, min(_ROWS, _BLOCK // (4 * width)))
    for start in range(0, n, height):
        rows = slice(start, min(start + height, n))
        yield Rows(
            start,
            rows.stop,
            embeddings.tokens[rows],
            embeddings.vectors[rows],
            None if embeddings.labels is None else embeddings.labels[rows],
            None if embeddings.counts is None else embeddings.counts[rows].tolist(),
        )
        run.progress(rows.stop, n, unit="rows")


def one_line(error: BaseException) -> str:
    """Return what an error says, in one line without an end."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
