"""What skip-gram and CBOW can be trained by: one object a loss, which knows its kernel and what that needs besides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.trainers import kernels_hierarchical, kernels_sgns
from embedkit.trainers.blocks import block_shape
from embedkit.trainers.distributions import alias_table, noise_probabilities

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
    """The learning rate at the part's first position and past its last, and the worker's copies of frequent rows."""

    alpha: float
    alpha_end: float
    bases: np.ndarray
    copies: int


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

    def announce(self, run: Run) -> None:  # noqa: B027 - most losses have nothing to tell
        """Tell, before training, what the user should know of this loss on this corpus."""

    def context_vectors(self, outputs: np.ndarray) -> np.ndarray:
        """Return what a query is dotted with to score tokens, a row each, made of the output vectors."""
        return outputs

    def finish(self, learned: Embeddings, run: Run) -> Embeddings:
        """Add to the result what only this loss knows of it."""
        return learned


class NegativeSampling(Loss):
    """Tell a true pair from pairs with noise tokens (Mikolov et al. 2013, arXiv 1310.4546, equation 4)."""

    remedy = "lower --alpha or --negative"

    def __init__(self, corpus: Corpus, options: Word2VecOptions, architecture: Architecture, keep: np.ndarray) -> None:
        """Make the noise distribution's alias table and choose the shape of blocks."""
        self._accept, self._alias = alias_table(noise_probabilities(corpus.counts, options.ns_exponent))
        self._negative = options.negative
        kept = keep * corpus.counts
        contexts = _mean_contexts(corpus, options) if architecture == "skipgram" else 1
        share = float(kept.max() / kept.sum())
        self._block = block_shape(contexts, options.negative, options.alpha, share)
        self._kernel, self._more = _SAMPLING_KERNELS[architecture]
        self.capacity = self._block.capacity

    def advance(self, place: Place, stretch: Stretch, rates: Rates) -> tuple[float, int, bool]:
        """See `Loss`."""
        block = self._block
        return self._kernel(
            *place, self._accept, self._alias, *stretch, float(self._negative), block.capacity, block.negatives,
            block.centres, *rates, *self._more,
        )  # fmt: skip

    def tokens_a_call(self, vector_size: int, reach: int) -> int:
        """See `Loss`."""
        return _tokens_a_call(6 * vector_size * reach * (1 + self._negative))


_SAMPLING_KERNELS: Mapping[Architecture, tuple[Any, tuple[bool, ...]]] = {
    "skipgram": (kernels_sgns.skipgram, ()),
    "cbow": (kernels_sgns.cbow, (True,)),
}


def _mean_contexts(corpus: Corpus, options: Word2VecOptions) -> float:
    """Return how many contexts a token has on average, thinning out aside."""
    if options.window == "sentence":
        lengths = np.diff(corpus.offsets)
        others = np.minimum(lengths - 1, options.max_contexts)
        return max(float((others * lengths).sum() / lengths.sum()), 1.0)
    return options.window + 1.0 if options.shrink_windows else 2.0 * options.window


def _tokens_a_call(operations: float) -> int:
    """Return how many tokens to go over in a call where one takes so many operations."""
    return int(np.clip(_OPERATIONS_A_CALL / operations, 1000, 1_000_000))


class HierarchicalSoftmax(Loss):
    """Predict the decisions on the way to a token in Huffman's tree (Morin and Bengio 2005; arXiv 1310.4546).

    Output vectors are those of the tree's inner nodes, and no token's. A token's context vector is what its path adds
    up to, so that a score is the sum of the log odds of the decisions that lead to it. The log of its probability is
    the sum of ln sigma of them; both grow together, and half the score is its expansion to first order.
    """

    capacity = 8

    def __init__(self, corpus: Corpus, options: Word2VecOptions, architecture: Architecture, keep: np.ndarray) -> None:
        """Grow the tree over the tokens' counts."""
        n = len(corpus.counts)
        self._tree = np.empty(2 * n - 1, np.int32)
        order = np.argsort(corpus.counts, kind="stable")
        self._depth, self._mean_depth = kernels_hierarchical.grow(corpus.counts, order, self._tree)
        self._kernel = getattr(kernels_hierarchical, architecture)

    def advance(self, place: Place, stretch: Stretch, rates: Rates) -> tuple[float, int, bool]:
        """See `Loss`."""
        return self._kernel(*place, self._tree, self._depth, *stretch, self.capacity, *rates)

    def tokens_a_call(self, vector_size: int, reach: int) -> int:
        """See `Loss`."""
        return _tokens_a_call(6 * vector_size * reach * max(self._mean_depth, 1.0))

    def context_vectors(self, outputs: np.ndarray) -> np.ndarray:
        """Return each token's path added up; see the class."""
        sums = np.zeros_like(outputs)
        kernels_hierarchical.add_up_paths(self._tree, outputs, sums)
        return sums
