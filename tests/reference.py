"""Kernels once more in plain Python and NumPy: slow, obvious, and drawing the same random numbers in the same order."""

from collections import Counter

import numpy as np

MASK = (1 << 64) - 1


class SplitMix:
    """The generator of Steele, Lea and Flood 2014."""

    def __init__(self, seed):
        self.state = int(seed)

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)


def below(bits, n):
    return ((bits >> 32) * n) >> 32


def fraction(bits):
    return (bits & 0xFFFFFF) / 2**24


def softplus(x):
    return np.logaddexp(0, x)


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def kept_tokens(ids, offsets, keep, first, last, reading, at_once):
    """Yield (token, position, sentence), `at_once` kept tokens at a time, as late as they are asked for."""
    kept, sentence = [], 0
    for position in range(first, last):
        while offsets[sentence + 1] <= position:
            sentence += 1
        token = ids[position]
        if keep[token] >= 1 or fraction(reading.bits()) < keep[token]:
            kept.append((int(token), position, sentence))
        if len(kept) == at_once():
            yield position + 1, kept
            kept = []
    yield last, kept


def blocks(ids, offsets, keep, first, last, reading, capacity, window, shrink, max_contexts, T, centres=None):
    """Yield blocks: (positions read so far, [(centre's token, [contexts' rows])], tokens of all rows)."""
    reach = window or max_contexts
    pending, centre, read = [], 0, first
    dropped = 0
    source = kept_tokens(ids, offsets, keep, first, last, reading, lambda: capacity - (len(pending)))

    def is_long(sentence):
        return window == 0 and offsets[sentence + 1] - offsets[sentence] > max_contexts + 1

    while True:
        while len(pending) - centre < T + reach and read < last:
            dropped = max(0, centre - (T + reach))
            pending, centre = pending[dropped:], centre - dropped
            read, more = next(source)
            pending = pending + more
        if centre >= len(pending):
            return
        count = min(centres or T, len(pending) - centre)
        whose = pending[centre][2]
        for t in range(1, count):
            other = pending[centre + t][2]
            if other != whose and (is_long(whose) or is_long(other)):
                count = t
                break
        chosen = pending[centre : centre + count]
        if is_long(whose):
            rows = sample_rows(ids, offsets[whose], offsets[whose + 1], keep, reading, max_contexts)
            spans = [range(len(rows))] * count
        else:
            rows = [(token, position) for token, position, _ in pending]
            spans = []
            for own in range(centre, centre + count):
                near = reach - below(reading.bits(), reach) if shrink and window else reach
                low, high = max(0, own - near), min(len(pending), own + near + 1)
                spans.append([j for j in range(low, high) if pending[j][2] == pending[own][2]])
        contexts = [
            [x for x in span if rows[x][1] != position] for span, (_, position, _) in zip(spans, chosen, strict=True)
        ]
        yield (
            read,
            [(token, c) for (token, _, _), c in zip(chosen, contexts, strict=True)],
            [token for token, _ in rows],
        )
        centre += count


def sample_rows(ids, start, stop, keep, reading, max_contexts):
    rows, before = [], -1
    for j in range(max_contexts):
        bits = reading.bits()
        stretch = (j + ((bits >> 32) + 0.5) / 2**32) / max_contexts
        position = min(int(start + int(stretch * (stop - start))), int(stop) - 1)
        if position != before and fraction(bits) < keep[ids[position]]:
            rows.append((int(ids[position]), position))
        before = position
    return rows


def negatives_of(accept, alias, noise, K):
    drawn = []
    for _ in range(K):
        bits = noise.bits()
        cell = below(bits, len(accept))
        drawn.append(cell if fraction(bits) < accept[cell] else int(alias[cell]))
    return drawn


def pair_loss(h, true, negatives, C, share):
    """Return the loss of one input vector with its true output and the block's negatives, and its gradients."""
    score = h @ C[true]
    loss, dh, dC = softplus(-score), -sigmoid(-score) * C[true], [(true, -sigmoid(-score) * h)]
    for other in negatives:
        if other != true:
            score = h @ C[other]
            loss += share * softplus(score)
            dh = dh + share * sigmoid(score) * C[other]
            dC.append((other, share * sigmoid(score) * h))
    return loss, dh, dC


def block_gradients(block, rows, negatives, W, C, share, mean=False, exact=True):
    """Return loss, pairs and the gradients by W and C of a block of skip-gram, or CBOW with `mean`."""
    dW, dC, loss, pairs = np.zeros_like(W), np.zeros_like(C), 0.0, 0
    for token, contexts in block:
        groups = [contexts] if mean and contexts else [] if mean else [[x] for x in contexts]
        for group in groups:
            inputs = [rows[x] for x in group]
            h = W[inputs].mean(axis=0)
            one, dh, steps = pair_loss(h, token, negatives, C, share)
            loss, pairs = loss + one, pairs + 1
            for row in inputs:
                dW[row] += dh / len(inputs) if exact else dh
            for row, step in steps:
                dC[row] += step
    return loss, pairs, dW, dC


def unpiled(block, rows, most):
    """Return what part of its steps a block of skip-gram takes: those on no token are more than `most` whole ones."""
    steps = Counter(rows[x] for _, contexts in block for x in contexts)
    return min(1, most / max(steps.values(), default=1))


def sgns(
    ids, offsets, W, C, keep, accept, alias, seeds, first, last, window, shrink, max_contexts, negative, T, K, alpha,
    alpha_end, capacity, centres=None, mean=False, exact=True,
):  # fmt: skip
    """Run skip-gram, or CBOW with `mean`, over a part; return loss, pairs, W, C (float64)."""
    W, C = W.astype(np.float64), C.astype(np.float64)
    reading, noise = SplitMix(seeds[0]), SplitMix(seeds[1])
    loss, pairs = 0.0, 0
    for read, block, rows in blocks(
        ids, offsets, keep, first, last, reading, capacity, window, shrink, max_contexts, T, centres
    ):
        rate = alpha + (alpha_end - alpha) * (read - first) / (last - first)
        negatives = negatives_of(accept, alias, noise, K)
        one, several, dW, dC = block_gradients(block, rows, negatives, W, C, negative / K, mean, exact)
        loss, pairs = loss + one, pairs + several
        if not mean and (window == 0 or (centres or T) < T):
            rate *= unpiled(block, rows, centres or T)
        W -= rate * dW
        C -= rate * dC
    return loss, pairs, W, C
