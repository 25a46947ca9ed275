"""Hierarchical softmax as a loss: the tree, and what it makes of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedkit.corpus import Corpus
from embedkit.trainers.sampling import kernels_hierarchical, losses

if TYPE_CHECKING:
    from embedkit.trainers.skipgram import Word2VecOptions


class HierarchicalSoftmax(losses.Loss):
    """Predict the decisions on the way to a token in Huffman's tree (Morin and Bengio 2005; arXiv 1310.4546).

    Output vectors are those of the tree's inner nodes, and no token's. A token's context vector is what its path adds
    up to, so that a score is the sum of the log odds of the decisions that lead to it. The log of its probability is
    the sum of ln sigma of them; both grow together, and half the score is its expansion to first order.
    """

    capacity = 8

    def __init__(
        self, corpus: Corpus, options: Word2VecOptions, architecture: losses.Architecture, keep: np.ndarray
    ) -> None:
        """Grow the tree over the tokens' counts."""
        n = len(corpus.counts)
        self._tree = np.empty(2 * n - 1, np.int32)
        order = np.argsort(corpus.counts, kind="stable")
        self._depth, self._mean_depth = kernels_hierarchical.grow(corpus.counts, order, self._tree)
        self._kernel = getattr(kernels_hierarchical, architecture)

    def advance(self, place: losses.Place, stretch: losses.Stretch, rates: losses.Rates) -> tuple[float, int, bool]:
        """See `Loss`."""
        return self._kernel(*place, self._tree, self._depth, *stretch, self.capacity, *rates[:4])

    def tokens_a_call(self, vector_size: int, reach: int) -> int:
        """See `Loss`."""
        return losses.tokens_a_call(6 * vector_size * reach * max(self._mean_depth, 1.0))

    def context_vectors(self, outputs: np.ndarray) -> np.ndarray:
        """Return each token's path added up; see the class."""
        sums = np.zeros_like(outputs)
        kernels_hierarchical.add_up_paths(self._tree, outputs, sums)
        return sums
