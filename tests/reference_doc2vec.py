"""Paragraph vectors once more in plain NumPy, on the blocks and noise of `reference`."""

import numpy as np
from reference import SplitMix, blocks, fraction, negatives_of, pair_loss, sigmoid, softplus


def dbow(ids, offsets, sentence_keys, C, D, keep, accept, alias, seeds, negative, alpha, alpha_end):
    """Run distributed bag of words over a corpus; return loss, pairs, C, D (float64)."""
    C, D = C.astype(np.float64), D.astype(np.float64)
    reading, noise = SplitMix(seeds[0]), SplitMix(seeds[1])
    loss, pairs = 0.0, 0
    for position, token in enumerate(ids):
        key = sentence_keys[np.searchsorted(offsets, position, side="right") - 1]
        if key < 0 or (keep[token] < 1 and fraction(reading.bits()) >= keep[token]):
            continue
        rate = alpha + (alpha_end - alpha) * (position + 1) / len(ids)
        d, error = D[key].copy(), np.zeros(D.shape[1])
        targets = [(token, 1.0)] + [(t, 0.0) for t in negatives_of(accept, alias, noise, negative) if t != token]
        for other, wanted in targets:
            score = d @ C[other]
            loss += softplus(-score) if wanted else softplus(score)
            step = rate * (wanted - sigmoid(score))
            error += step * C[other]
            C[other] += step * d
        D[key] += error
        pairs += 1
    return loss, pairs, C, D


def dm(
    ids, offsets, sentence_keys, W, C, D, accept, alias, seeds, window, shrink, negative, T, K, alpha, alpha_end,
    capacity, centres=None,
):  # fmt: skip
    """Run distributed memory over a corpus of which nothing is thinned out; return loss, pairs, W, C, D (float64)."""
    W, C, D = (table.astype(np.float64) for table in (W, C, D))
    reading, noise = SplitMix(seeds[0]), SplitMix(seeds[1])
    keep, loss, pairs, position = np.ones(len(W), np.float32), 0.0, 0, 0
    for read, block, rows in blocks(ids, offsets, keep, 0, len(ids), reading, capacity, window, shrink, 0, T, centres):
        rate = alpha + (alpha_end - alpha) * read / len(ids)
        negatives = negatives_of(accept, alias, noise, K)
        dW, dC, dD = np.zeros_like(W), np.zeros_like(C), np.zeros_like(D)
        for token, contexts in block:
            key = sentence_keys[np.searchsorted(offsets, position, side="right") - 1]
            position += 1
            near = [rows[x] for x in contexts]
            members = [W[row] for row in near] + ([D[key]] if key >= 0 else [])
            if not members:
                continue
            one, dh, steps = pair_loss(np.mean(members, axis=0), token, negatives, C, negative / K)
            loss, pairs = loss + one, pairs + 1
            for row in near:
                dW[row] += dh / len(members)
            if key >= 0:
                dD[key] += dh / len(members)
            for row, step in steps:
                dC[row] += step
        W, C, D = W - rate * dW, C - rate * dC, D - rate * dD
    return loss, pairs, W, C, D


def inferred_loss(v, tokens, vectors, context_vectors, noise, keep, negative, window, with_tokens):
    """Return the loss that `infer` descends, and its gradient: one history."""
    loss, gradient = 0.0, np.zeros_like(v)
    for at, token in enumerate(tokens):
        near = [vectors[t] for i, t in enumerate(tokens) if with_tokens and 0 < abs(i - at) <= window]
        h = np.mean([v, *near], axis=0)
        share = keep[token] / (1 + len(near))
        loss += keep[token] * softplus(-h @ context_vectors[token])
        gradient -= share * sigmoid(-h @ context_vectors[token]) * context_vectors[token]
        for other in noise:
            loss += keep[token] * negative / len(noise) * softplus(h @ context_vectors[other])
            gradient += share * negative / len(noise) * sigmoid(h @ context_vectors[other]) * context_vectors[other]
    return loss, gradient
