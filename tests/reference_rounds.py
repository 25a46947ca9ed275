"""Streams in rounds once more in plain Python and NumPy."""

from itertools import groupby, zip_longest

import numpy as np
from reference import SplitMix, block_gradients, blocks, negatives_of, unpiled


def stream_rounds(
    ids, offsets, keep, accept, alias, part, seeds, capacity, window, shrink, max_contexts, T, K, centres
):
    """Yield the rounds of a stream, lists of (positions read, block, tokens of rows, negatives, part of steps)."""
    reading, noise = SplitMix(seeds[0]), SplitMix(seeds[1])
    framed = blocks(ids, offsets, keep, *part, reading, capacity, window, shrink, max_contexts, T, centres)
    for _, round_ in groupby(framed, key=lambda block: block[0]):
        yield [
            (
                *block,
                negatives_of(accept, alias, noise, K),
                unpiled(*block[1:], centres) if window == 0 or centres < T else 1,
            )
            for block in round_
        ]


def learn_round(part, round_, W, C, share, alphas, mean):
    """Return loss, pairs and what one stream adds to W and C, which stay as they are."""
    own_W, own_C, loss, pairs = np.zeros_like(W), np.zeros_like(C), 0.0, 0
    for read, block, rows, negatives, part_of_steps in round_:
        rate = alphas[0] + (alphas[1] - alphas[0]) * (read - part[0]) / (part[1] - part[0])
        one, several, dW, dC = block_gradients(block, rows, negatives, W + own_W, C + own_C, share, mean)
        loss, pairs = loss + one, pairs + several
        rate *= 1 if mean else part_of_steps
        own_W -= rate * dW
        own_C -= rate * dC
    return loss, pairs, own_W, own_C


def factors(counts, keep, noise, n_streams, centres, contexts, negative, alpha, curvature, mean):
    """Return by how much each token's changes count, of W and of C: the ratio of S steps in a row to S side by side."""
    result = np.empty((2, len(counts)))
    shares = keep * counts / (keep * counts).sum()
    for token, (share, drawn) in enumerate(zip(shares, noise, strict=True)):
        touched = (share * (1 + negative), share + negative * drawn)
        for which in range(2):
            pairs = centres if which == 1 and mean else centres / contexts if mean else centres * contexts
            way = 1 - np.exp(-curvature * alpha * pairs * touched[which])
            result[which, token] = (1 - (1 - way) ** n_streams) / (n_streams * way)
    return result


def sgns_rounds(parts, streams, W, C, by, share, alphas, mean):
    """Run an epoch of streams, each an iterator over its rounds; return loss, pairs, W, C (float64)."""
    W, C, loss, pairs = W.astype(np.float64), C.astype(np.float64), 0.0, 0
    for rounds in zip_longest(*streams, fillvalue=()):
        done = [learn_round(part, r, W, C, share, alphas, mean) for part, r in zip(parts, rounds, strict=True)]
        for one, several, own_W, own_C in done:
            loss, pairs = loss + one, pairs + several
            W += by[0][:, None] * own_W
            C += by[1][:, None] * own_C
    return loss, pairs, W, C
