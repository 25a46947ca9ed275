"""What `contrastive` learns from: batches of histories and what each is to predict, drawn from a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol

import numpy as np

from embedkit.contracts import History
from embedkit.errors import EmbedkitError
from embedkit.trainers.contrast import kernels_contrastive as kernels
from embedkit.trainers.contrast.tied_softmax import Batch


class Examples(Protocol):
    """Examples of one kind.

    Attributes
    ----------
    unit
        What an epoch goes over.
    total
        How many of them an epoch goes over.
    """

    unit: ClassVar[str]
    total: int

    def batches(self, epoch: int, size: int) -> Iterator[tuple[Batch, int]]:
        """Yield an epoch's batches, in an order of its own, and how many units were gone over after each."""

    def chances(self) -> np.ndarray:
        """Return the probability of each token to be a target of an example: float64 (n_tokens)."""


class NextTokens:
    """Each token but a row's first is the target, those before it are the history.

    Without `repeats` a token that is in the history already is no target.

    Raises
    ------
    EmbedkitError
        If nothing is a target.
    """

    unit: ClassVar[str] = "tokens"

    def __init__(
        self, rows: History, n_tokens: int, recency: float, repeats: bool, max_history: int, seed: int
    ) -> None:
        self._indptr, self._ids, self._weights = _arrays(rows)
        self._targets = np.zeros(n_tokens, np.int64)
        marks = np.zeros(n_tokens, np.int64)
        longest = kernels.count_next(self._indptr, self._ids, repeats, marks, self._targets)
        if not self._targets.any():
            raise EmbedkitError("every history has a single token, so nothing comes next; check how they are split.")
        self._repeats = repeats
        self.total = len(self._ids)
        self._recency, self._seed, self._most = np.float32(recency), seed, min(max_history, longest - 1)

    def batches(self, epoch: int, size: int) -> Iterator[tuple[Batch, int]]:
        """Yield an epoch's batches of `size` examples, and how many tokens were gone over after each."""
        key = _key(self._seed, epoch)
        ends, place = np.arange(size + 1), 0
        while place < self.total:
            starts = np.empty(size + 1, np.int64)
            tokens, counts = np.empty(size * self._most, np.int32), np.empty(size * self._most, np.float32)
            targets = np.empty(size, np.int32)
            n, place = kernels.draw_next(
                self._indptr, self._ids, self._weights, self._recency, self._repeats, place, key, self._most, starts,
                tokens, counts, targets,
            )  # fmt: skip
            if n:
                filled = starts[n]
                yield Batch(starts[: n + 1], tokens[:filled], counts[:filled], ends[: n + 1], targets[:n]), place

    def chances(self) -> np.ndarray:
        """Return the share of the targets that each token is: float64 (n_tokens)."""
        return self._targets / self._targets.sum()


class HeldOutTokens:
    """A part of each row's different tokens, drawn anew each time, are the targets; the rest is the history.

    Where the share is so small, or so large, that again and again nothing would be on one side, one token is held out.

    Raises
    ------
    EmbedkitError
        If no row has two different tokens.
    """

    unit: ClassVar[str] = "histories"

    def __init__(self, rows: History, n_tokens: int, share: float, recency: float, max_history: int, seed: int) -> None:
        self._indptr, self._ids, self._weights = _arrays(rows)
        self._holders = np.zeros(n_tokens, np.int64)
        marks = np.zeros(n_tokens, np.int64)
        longest, different = kernels.count_holders(self._indptr, self._ids, marks, self._holders)
        if different < 2:
            raise EmbedkitError("no history has two different tokens, so there is nothing to hold out of any.")
        self.total = len(rows)
        self._share, self._recency, self._seed, self._most = share, np.float32(recency), seed, min(max_history, longest)

    def batches(self, epoch: int, size: int) -> Iterator[tuple[Batch, int]]:
        """Yield an epoch's batches of `size` histories, and how many were gone over after each."""
        key, place = _key(self._seed, epoch), 0
        rng, marks = np.random.default_rng([self._seed, epoch, 1]), np.zeros(len(self._holders) + 1, np.int64)
        while place < self.total:
            starts, ends = np.empty(size + 1, np.int64), np.empty(size + 1, np.int64)
            tokens, counts = np.empty(size * self._most, np.int32), np.empty(size * self._most, np.float32)
            targets = np.empty(size * self._most, np.int32)
            n, place = kernels.draw_held_out(
                self._indptr, self._ids, self._weights, self._recency, self._share, place, key, rng, marks, self._most,
                starts, tokens, counts, ends, targets,
            )  # fmt: skip
            if n:
                filled, asked = starts[n], ends[n]
                history = starts[: n + 1], tokens[:filled], counts[:filled]
                yield Batch(*history, ends[: n + 1], targets[:asked]), place

    def chances(self) -> np.ndarray:
        """Return the probability of each token to be held out of a row: float64 (n_tokens)."""
        return self._share * self._holders / self.total


def _key(seed: int, epoch: int) -> np.uint64:
    return np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]


def _arrays(rows: History) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows as the kernels take them: weights are an empty array where there are none."""
    weights = np.zeros(0, np.float32) if rows.weights is None else np.asarray(rows.weights)
    return np.asarray(rows.indptr), np.asarray(rows.indices), weights
