"""The kernels of fastText once more in plain Python and NumPy, drawing the same numbers in the same order."""

import numpy as np
from reference import SplitMix, blocks, negatives_of, pair_loss


def compose(Z, subwords):
    """Return a token's vector, of the rows of Z that it is made of."""
    return Z[subwords].sum(axis=0) / np.sqrt(len(subwords))


def spread(dZ, subwords, step):
    for row in subwords:
        dZ[row] += step / np.sqrt(len(subwords))


def fasttext(
    ids, offsets, Z, C, subwords, keep, accept, alias, seeds, first, last, window, shrink, max_contexts, negative, T, K,
    alpha, alpha_end, capacity, centres=None, mean=False,
):  # fmt: skip
    """Run skip-gram, or CBOW with `mean`, over a part; return loss, pairs, Z, C (float64)."""
    Z, C = Z.astype(np.float64), C.astype(np.float64)
    reading, noise = SplitMix(seeds[0]), SplitMix(seeds[1])
    loss, pairs = 0.0, 0
    for read, block, rows in blocks(
        ids, offsets, keep, first, last, reading, capacity, window, shrink, max_contexts, T, centres
    ):
        rate = alpha + (alpha_end - alpha) * (read - first) / (last - first)
        negatives = negatives_of(accept, alias, noise, K)
        dZ, dC = np.zeros_like(Z), np.zeros_like(C)
        for token, contexts in block:
            around = [rows[x] for x in contexts]
            # What goes in, each with its part of the input, and what is to be predicted.
            examples = [(around, token)] if mean and around else [] if mean else [([token], other) for other in around]
            for tokens, true in examples:
                h = np.mean([compose(Z, subwords[t]) for t in tokens], axis=0)
                one, dh, steps = pair_loss(h, true, negatives, C, negative / K)
                loss, pairs = loss + one, pairs + 1
                for t in tokens:
                    spread(dZ, subwords[t], dh / len(tokens))
                for row, step in steps:
                    dC[row] += step
        Z -= rate * dZ
        C -= rate * dC
    return loss, pairs, Z, C
