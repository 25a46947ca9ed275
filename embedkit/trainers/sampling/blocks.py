"""How many centres and negatives a block gets: enough to be fast, few enough to learn as word2vec does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.corpus import Corpus
from embedkit.trainers.skipgram import NegativeSamplingOptions

_LARGE_WINDOW = 16
_MOST_NEGATIVES = 496
_WEIGHT_OF_A_NEGATIVE = 30
_STEP_OF_A_NEGATIVE = 1.0
_STEP_OF_A_TOKEN = 0.5


@dataclass(frozen=True)
class BlockShape:
    """The shape of a block.

    Attributes
    ----------
    capacity
        Room for centres, a multiple of 8.
    negatives
        Noise tokens that its pairs share; with `capacity` a multiple of 16.
    centres
        How many centres it gets.
    """

    capacity: int
    negatives: int
    centres: int


def block_shape(contexts: float, negative: int, alpha: float, largest_share: float) -> BlockShape:
    """Choose the shape of a block.

    A block's steps are all taken from where it began. Those on one vector add up, so where a vector is stepped on often
    they overshoot, as a batch does that is too large for its learning rate; blocks then get fewer centres. With few
    tokens, down to one centre a block, this is word2vec's own order of updates.

    Parameters
    ----------
    contexts
        Contexts a centre has on average; 1 for CBOW, which has their mean.
    negative
        Noise tokens for each pair.
    alpha
        The learning rate at its highest.
    largest_share
        The share of the most frequent token, after thinning out.

    Notes
    -----
    A negative's weights in a full block add up to about 30 and K grows with the pairs to keep it so. Blocks of 24
    centres and 24 negatives for skip-gram with 6 contexts, of 32 and 16 for CBOW, both with 5 noise tokens, were chosen
    for quality on real text; see docs/performance.md.
    """
    if contexts == 1:
        capacity, fewest = 32, 16
    else:
        capacity, fewest = (24, 24) if contexts <= _LARGE_WINDOW else (8, 24)
    wanted = max(capacity * contexts * negative / _WEIGHT_OF_A_NEGATIVE, fewest)
    odd = -capacity % 16
    negatives = int(np.ceil((min(wanted, _MOST_NEGATIVES) - odd) / 16)) * 16 + odd
    by_negatives = _STEP_OF_A_NEGATIVE * negatives / (alpha * contexts * negative)
    by_tokens = _STEP_OF_A_TOKEN / (alpha * largest_share * contexts * (1 + negative))
    return BlockShape(capacity, negatives, int(np.clip(min(by_negatives, by_tokens), 1, capacity)))


def mean_contexts(corpus: Corpus, options: NegativeSamplingOptions) -> float:
    """Return how many contexts a token has on average, thinning out aside."""
    if options.window == "sentence":
        lengths = np.diff(corpus.offsets)
        others = np.minimum(lengths - 1, options.max_contexts)
        return max(float((others * lengths).sum() / lengths.sum()), 1.0)
    return options.window + 1.0 if options.shrink_windows else 2.0 * options.window
