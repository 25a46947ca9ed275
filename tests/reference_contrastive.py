"""The loss of `contrastive` and Adam once more in plain NumPy: in float64, an example at a time."""

import numpy as np


def unit(x):
    return x / np.sqrt(x @ x)


def loss(table, offsets, histories, targets, noise, log_inclusion, temperature):
    """Return the mean loss.

    `histories` are lists of (token, weight), `targets` lists of tokens, one an example; `noise` is sampled for all.
    """
    candidates = sorted({*noise, *(t for row in targets for t in row)})
    total, weight = 0.0, 0.0
    for history, wanted in zip(histories, targets, strict=True):
        query = unit(sum(w * table[token] for token, w in history))
        logits = {j: query @ unit(table[j]) / temperature + offsets[j] - log_inclusion[j] for j in candidates}
        top = max(logits.values())
        log_sum = top + np.log(sum(np.exp(logit - top) for logit in logits.values()))
        total += len(wanted) ** -0.5 * sum(log_sum - logits[t] for t in wanted)
        weight += len(wanted) ** 0.5
    return total / weight


def slopes(function, at, width=1e-6):
    """Return the gradient of a function of a matrix by central differences."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[place] += width
        down[place] -= width
        found[place] = (function(up) - function(down)) / (2 * width)
    return found


class Adam:
    """Adam by its paper, but for rows that a step has no gradient for: these and their moments stay."""

    def __init__(self, shape):
        self.means, self.squares, self.t = np.zeros(shape), np.zeros(shape), 0

    def step(self, table, gradient, touched, rate):
        self.t += 1
        for r in touched:
            self.means[r] = 0.9 * self.means[r] + 0.1 * gradient[r]
            self.squares[r] = 0.999 * self.squares[r] + 0.001 * gradient[r] ** 2
            mean, square = self.means[r] / (1 - 0.9**self.t), self.squares[r] / (1 - 0.999**self.t)
            table[r] -= rate * mean / (np.sqrt(square) + 1e-8)
