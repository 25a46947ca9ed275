"""What skip-gram and CBOW can be trained by: one object a loss, which knows its kernel and what that needs besides.

Each loss lies in a module of its own, with its kernels, so that a training imports those of its own loss alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.trainers.sampling.rounds import Rounds

if TYPE_CHECKING:
    from embedkit.trainers.skipgram import Word2VecOptions

Architecture = Literal["skipgram", "cbow"]
_OPERATIONS_A_CALL = 1e9


class Place(NamedTuple):
    """Where a worker is, and the vectors it changes: the kernels' first arguments, which their docstrings describe."""

    ids: np.ndarray
    offsets: np.ndarray
    cursor: np.ndarray
    pending: np.ndarray
    state: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    keep: np.ndarray


class Stretch(NamedTuple):
    """Which positions a call goes over, and how windows are framed there."""

    first: int
    last: int
    max_tokens: int
    window: int
    shrink: bool
    max_contexts: int


class Rates(NamedTuple):
    """The learning rate at the part's first position and past its last, and which rows are this worker's own.

    Either copies of frequent rows (`kernels_hot`), or all that it changes in a round (`kernels_rounds`).
    """

    alpha: float
    alpha_end: float
    bases: np.ndarray
    copies: int
    held: np.ndarray
    counts: np.ndarray


class Loss(ABC):
    """A loss over pairs of an input vector (a token's, or a mean of them) and a token to predict.

    Attributes
    ----------
    races
        Whether workers may share the corpus among them; else one goes over it, and only its products use threads.
    remedy
        What helps where vectors diverge.
    read_ahead
        How many tokens a worker reads at once, the fewest that a call goes over; at least `capacity`.
    capacity
        How many centres its kernel frames at a time, at most.
    """

    races: ClassVar[bool] = True
    remedy: ClassVar[str] = "lower --alpha"
    read_ahead: ClassVar[int] = 4096
    capacity: int

    @abstractmethod
    def __init__(self, corpus: Corpus, options: Word2VecOptions, architecture: Architecture, keep: np.ndarray) -> None:
        """Prepare to learn from a corpus of which occurrences are kept with these probabilities (n_tokens)."""

    @abstractmethod
    def advance(self, place: Place, stretch: Stretch, rates: Rates) -> tuple[float, int, bool]:
        """Go over a piece of the corpus; return its summed loss, over how many pairs, and whether it was the last."""

    @abstractmethod
    def tokens_a_call(self, vector_size: int, reach: int) -> int:
        """Return how many tokens a call may read and still be back in a fraction of a second."""

    def rounds(self, n_tokens: int, reach: int) -> Rounds | None:
        """Return how streams learn in rounds from a corpus of so many tokens; None where one worker is enough."""
        return None

    def announce(self, run: Run) -> None:  # noqa: B027 - most losses have nothing to tell
        """Tell, before training, what the user should know of this loss on this corpus."""

    def carried(self) -> dict[str, np.ndarray]:
        """Return what besides the vectors goes on from call to call, to be changed in its place."""
        return {}

    def context_vectors(self, outputs: np.ndarray) -> np.ndarray:
        """Return what a query is dotted with to score tokens, a row each, made of the output vectors."""
        return outputs

    def finish(self, learned: Embeddings, run: Run) -> Embeddings:
        """Add to the result what only this loss knows of it."""
        return learned


def tokens_a_call(operations: float) -> int:
    """Return how many tokens to go over in a call where one takes so many operations."""
    return int(np.clip(_OPERATIONS_A_CALL / operations, 1000, 1_000_000))
