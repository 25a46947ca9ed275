"""Negative sampling as a loss: the noise, and how large the blocks are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.corpus import Corpus
from embedkit.trainers.machinery.distributions import alias_table, noise_probabilities
from embedkit.trainers.machinery.kernels_tiles import LANES
from embedkit.trainers.sampling import kernels_sgns, losses
from embedkit.trainers.sampling.blocks import block_shape, mean_contexts
from embedkit.trainers.sampling.rounds import Rounds

if TYPE_CHECKING:
    from embedkit.trainers.skipgram import Word2VecOptions


class NegativeSampling(losses.Loss):
    """Tell a true pair from pairs with noise tokens (Mikolov et al. 2013, arXiv 1310.4546, equation 4)."""

    remedy = "lower --alpha or --negative"

    def __init__(
        self, corpus: Corpus, options: Word2VecOptions, architecture: losses.Architecture, keep: np.ndarray
    ) -> None:
        """Make the noise distribution's alias table and choose the shape of blocks."""
        noise = noise_probabilities(corpus.counts, options.ns_exponent)
        self._accept, self._alias = alias_table(noise)
        self._negative = options.negative
        kept = keep * corpus.counts
        contexts = mean_contexts(corpus, options) if architecture == "skipgram" else 1
        shares = kept / kept.sum()
        self._block = block_shape(contexts, options.negative, options.alpha, float(shares.max()))
        self._kernel, self._more = _SAMPLING_KERNELS[architecture]
        self.capacity = self._block.capacity
        if options.reproducible:
            self._steps = contexts * np.stack((shares * (1 + options.negative), shares + options.negative * noise))
            if architecture == "cbow":
                self._steps[0] /= mean_contexts(corpus, options)  # a step on a context moves the mean by its part alone

    def advance(self, place: losses.Place, stretch: losses.Stretch, rates: losses.Rates) -> tuple[float, int, bool]:
        """See `Loss`."""
        block = self._block
        return self._kernel(
            *place, self._accept, self._alias, *stretch, float(self._negative), block.capacity, block.negatives,
            block.centres, *rates, *self._more,
        )  # fmt: skip

    def rounds(self, n_tokens: int, reach: int) -> Rounds | None:
        """Return how streams learn in rounds from a corpus of so many tokens; None where one stream does."""
        block = self._block
        outputs = 1 + block.negatives / block.centres
        rows = max(block.capacity + 2 * reach + LANES, block.capacity + block.negatives)
        return Rounds.of(n_tokens, outputs, rows, self._steps)

    def tokens_a_call(self, vector_size: int, reach: int) -> int:
        """See `Loss`."""
        return losses.tokens_a_call(6 * vector_size * reach * (1 + self._negative))


_SAMPLING_KERNELS: Mapping[losses.Architecture, tuple[Any, tuple[bool, ...]]] = {
    "skipgram": (kernels_sgns.skipgram, ()),
    "cbow": (kernels_sgns.cbow, (True,)),
}
