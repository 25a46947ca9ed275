"""Hierarchical and full softmax once more in plain Python and NumPy, and Huffman's tree from a heap."""

import heapq
import itertools

import numpy as np
from reference import SplitMix, blocks, sigmoid, softplus, unpiled


def huffman_cost(counts):
    """Return the sum over tokens of count times depth in an optimal tree: the sum of all inner nodes' counts."""
    heap, cost = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        cost += both
        heapq.heappush(heap, both)
    return cost


def path(up, token):
    """Return a token's path, leaf to root: (inner node, 1 for code 0 or -1 for code 1)."""
    n_tokens, found, step = (len(up) + 1) // 2, [], int(up[token])
    while step >= 0:
        node, code = divmod(step, 2)
        found.append((node, 1 - 2 * code))
        step = int(up[n_tokens + node])
    return found


def path_loss(h, steps, N):
    """Return -ln p of a path's end, and its gradients by h and by the nodes."""
    loss, dh, dN = 0.0, np.zeros_like(h), []
    for node, sign in steps:
        score = sign * (h @ N[node])
        loss += softplus(-score)
        dh -= sign * sigmoid(-score) * N[node]
        dN.append((node, -sign * sigmoid(-score) * h))
    return loss, dh, dN


def hierarchical(
    ids, offsets, W, N, keep, up, seeds, first, last, window, shrink, max_contexts, T, alpha, alpha_end, capacity,
    mean=False,
):  # fmt: skip
    """Run skip-gram, or CBOW with `mean`, over a part; return loss, pairs, W, N (float64)."""
    W, N = W.astype(np.float64), N.astype(np.float64)
    loss, pairs = 0.0, 0
    for read, block, rows in blocks(
        ids, offsets, keep, first, last, SplitMix(seeds[0]), capacity, window, shrink, max_contexts, T
    ):
        rate = alpha + (alpha_end - alpha) * (read - first) / (last - first)
        if not mean and window == 0:
            rate *= unpiled(block, rows, len(block))
        for token, contexts in block:
            inputs = [rows[x] for x in contexts]
            dW, dN = np.zeros_like(W), np.zeros_like(N)
            for group in [inputs] if mean and inputs else [[x] for x in inputs]:
                one, dh, steps = path_loss(W[group].mean(axis=0), path(up, token), N)
                loss, pairs = loss + one, pairs + 1
                for row in group:
                    dW[row] += dh / len(group)
                for node, step in steps:
                    dN[node] += step
            W -= rate * dW
            N -= rate * dN
    return loss, pairs, W, N


def examples(ids, offsets, keep, seed, first, last, window, shrink, max_contexts, capacity, mean=False):
    """Yield (input tokens, target, how many centres came before), a pair at a time."""
    centre = 0
    for _, block, rows in blocks(
        ids, offsets, keep, first, last, SplitMix(seed), capacity, window, shrink, max_contexts, 8
    ):
        for token, contexts in block:
            others = [rows[x] for x in contexts]
            if mean and others:
                yield others, token, centre
            elif not mean:
                yield from (([token], other, centre) for other in others)
            centre += 1


def batch_loss(batch, W, C):
    """Return the mean of -ln softmax over a batch, and its gradients by W and C."""
    loss, dW, dC = 0.0, np.zeros_like(W), np.zeros_like(C)
    for inputs, target, _ in batch:
        h = W[inputs].mean(axis=0)
        scores = C @ h
        p = np.exp(scores - scores.max())
        p /= p.sum()
        loss -= np.log(p[target])
        p[target] -= 1
        dC += np.outer(p, h)
        for row in inputs:
            dW[row] += C.T @ p / len(inputs)
    return loss / len(batch), dW / len(batch), dC / len(batch)


def softmax(pairs, W, C, batch_size, alpha, alpha_end, n):
    """Run over pairs of `examples`, `batch_size` (None for all) at a time; return loss, updates, W, C (float64)."""
    W, C = W.astype(np.float64), C.astype(np.float64)
    pairs, loss, updates = iter(pairs), 0.0, 0
    while batch := list(itertools.islice(pairs, batch_size)):
        rate = alpha + (alpha_end - alpha) * batch[0][2] / n
        one, dW, dC = batch_loss(batch, W, C)
        loss, updates = loss + one * len(batch), updates + 1
        W -= rate * dW
        C -= rate * dC
    return loss, updates, W, C
