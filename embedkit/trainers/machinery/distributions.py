"""What word2vec draws from: which tokens to keep, and which to take as noise."""

from __future__ import annotations

import numpy as np


def keep_probabilities(counts: np.ndarray, sample: float) -> np.ndarray:
    """Return the probability with which each occurrence of a token is kept (float32, n_tokens).

    With f a token's share of the corpus it is √(sample / f) + sample / f, at most 1: the formula of Mikolov's
    word2vec program, which the paper (arXiv 1310.4546, equation 5) gives without its second term. `sample` 0 keeps all.

    With fewer than 1 / `sample` tokens in all, every one of them would be "frequent" and most of a small corpus thrown
    away; there the average share takes the place of `sample`.
    """
    if sample == 0:
        return np.ones(len(counts), np.float32)
    ratio = max(sample, 1 / len(counts)) * counts.sum() / np.maximum(counts, 1)
    return np.minimum(np.sqrt(ratio) + ratio, 1).astype(np.float32)


def noise_probabilities(counts: np.ndarray, exponent: float) -> np.ndarray:
    """Return the probability of each token as noise: proportional to its count to the power of `exponent` (float64)."""
    logs = exponent * np.log(np.maximum(counts, 1).astype(np.float64))
    powers = np.exp(logs - logs.max())
    return powers / powers.sum()


def alias_table(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a table to draw from a discrete distribution in constant time (Walker 1977; Vose 1991).

    Draw a cell i evenly; take i with probability `accept[i]`, else `alias[i]`.

    Returns
    -------
    accept
        float32 (n).
    alias
        int32 (n).
    """
    from embedkit.trainers.machinery import kernels_alias

    accept = np.ones(len(probabilities), np.float32)
    alias = np.arange(len(probabilities), dtype=np.int32)
    kernels_alias.fill(np.asarray(probabilities, np.float64) * len(probabilities), accept, alias)
    return accept, alias
