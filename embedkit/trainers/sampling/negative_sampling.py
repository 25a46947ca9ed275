"""Negative sampling as a loss: the noise, and how large the blocks are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.corpus import Corpus
from embedkit.trainers.machinery.distributions import alias_table, noise_probabilities
from embedkit.trainers.sampling import kernels_sgns, losses
from embedkit.trainers.sampling.blocks import block_shape, mean_contexts

if TYPE_CHECKING:
    from embedkit.trainers.skipgram import Word2VecOptions


class NegativeSampling(losses.Loss):
    """Tell a true pair from pairs with noise tokens (Mikolov et al. 2013, arXiv 1310.4546, equation 4)."""

    remedy = "lower --alpha or --negative"

    def __init__(
        self, corpus: Corpus, options: Word2VecOptions, architecture: losses.Architecture, keep: np.ndarray
    ) -> None:
        """Make the noise distribution's alias table and choose the shape of blocks."""
        self._accept, self._alias = alias_table(noise_probabilities(corpus.counts, options.ns_exponent))
        self._negative = options.negative
        kept = keep * corpus.counts
        contexts = mean_contexts(corpus, options) if architecture == "skipgram" else 1
        share = float(kept.max() / kept.sum())
        self._block = block_shape(contexts, options.negative, options.alpha, share)
        self._kernel, self._more = _SAMPLING_KERNELS[architecture]
        self.capacity = self._block.capacity

    def advance(self, place: losses.Place, stretch: losses.Stretch, rates: losses.Rates) -> tuple[float, int, bool]:
        """See `Loss`."""
        block = self._block
        return self._kernel(
            *place, self._accept, self._alias, *stretch, float(self._negative), block.capacity, block.negatives,
            block.centres, *rates, *self._more,
        )  # fmt: skip

    def tokens_a_call(self, vector_size: int, reach: int) -> int:
        """See `Loss`."""
        return losses.tokens_a_call(6 * vector_size * reach * (1 + self._negative))


_SAMPLING_KERNELS: Mapping[losses.Architecture, tuple[Any, tuple[bool, ...]]] = {
    "skipgram": (kernels_sgns.skipgram, ()),
    "cbow": (kernels_sgns.cbow, (True,)),
}
