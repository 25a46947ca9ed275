"""Co-occurrence counts, GloVe and PPMI once more in plain Python and NumPy: dense, in float64, a pair at a time."""

import numpy as np


def count(sentences, n_tokens, window, weighting):
    """Return the dense matrix of counts of sentences (lists of token ids)."""
    counts = np.zeros((n_tokens, n_tokens))
    for sentence in sentences:
        for p, token in enumerate(sentence):
            for q, other in enumerate(sentence):
                distance = abs(p - q)
                if distance and window == "sentence":
                    counts[token, other] += 1
                elif distance and distance <= window:
                    near = {"harmonic": 1 / distance, "linear": (window - distance + 1) / window, "flat": 1.0}
                    counts[token, other] += near[weighting]
    return counts


def weight(count, x_max, exponent):
    return min(1.0, (count / x_max) ** exponent)


def pair_loss(w, c, b, d, count, x_max, exponent):
    """Return ½ f(x) (w·c + b + d - log x)²."""
    return 0.5 * weight(count, x_max, exponent) * (w @ c + b + d - np.log(count)) ** 2


class GloVe:
    """Vectors, biases and AdaGrad's sums; a row is a vector with its bias last."""

    def __init__(self, vectors, contexts, alpha):
        self.vectors, self.contexts = vectors.astype(np.float64), contexts.astype(np.float64)
        self.vector_sums, self.context_sums = np.ones_like(self.vectors), np.ones_like(self.contexts)
        self.alpha = alpha

    def step(self, i, j, logarithm, f):
        """Learn that token i and context j meet with this logarithm and weight; return twice the loss as it was."""
        w, c = self.vectors[i].copy(), self.contexts[j].copy()
        error = w[:-1] @ c[:-1] + w[-1] + c[-1] - logarithm
        for rows, sums, row, other in (
            (self.vectors, self.vector_sums, i, c),
            (self.contexts, self.context_sums, j, w),
        ):
            change = self.alpha * f * error * np.append(other[:-1], 1)
            sums[row] += change**2
            rows[row] -= change / np.sqrt(sums[row])
        return f * error**2

    def both_ways(self, i, j, logarithm, f):
        return self.step(i, j, logarithm, f) + (self.step(j, i, logarithm, f) if i != j else 0)

    def learn(self, pairs, counts, x_max, exponent):
        return sum(self.both_ways(i, j, np.log(counts[i, j]), weight(counts[i, j], x_max, exponent)) for i, j in pairs)


def ppmi(counts, shift, smoothing):
    """Return positive pointwise mutual information, tokens × contexts."""
    joint = counts / counts.sum()
    of_tokens = joint.sum(1, keepdims=True)
    of_contexts = counts.sum(0) ** smoothing / (counts.sum(0) ** smoothing).sum()
    with np.errstate(divide="ignore"):
        return np.maximum(0, np.log(joint / (of_tokens * of_contexts)) - np.log(shift))


def ppmi_vectors(matrix, size, exponent):
    """Return vectors of tokens and of contexts, by an exact singular value decomposition."""
    U, s, Vt = np.linalg.svd(matrix)
    return U[:, :size] * s[:size] ** exponent, Vt[:size].T * s[:size] ** exponent
