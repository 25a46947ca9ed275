"""Scoring written again in plain loops: slow and obvious, for the fast code to agree with."""

import math

import numpy as np


def topk(scores, k, exclude=(), banned=(), only=None):
    """For each row of scores: the best k (id, score), equal scores by lower id."""
    answers = []
    for row, line in enumerate(scores):
        left_out = set(banned) | set(exclude[row] if len(exclude) else ())
        ids = [i for i in range(len(line)) if i not in left_out and (only is None or i in set(only))]
        ids.sort(key=lambda i: (-line[i], i))
        answers.append([(i, line[i]) for i in ids[:k]])
    return answers


def cosine(a, b):
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    norms = math.sqrt(sum(float(x) ** 2 for x in a)) * math.sqrt(sum(float(x) ** 2 for x in b))
    return dot / norms if norms else 0.0


def unit(v):
    norm = math.sqrt(sum(float(x) ** 2 for x in v))
    return np.array([float(x) / norm if norm else 0.0 for x in v])


def analogy(vectors, a, b, c, method):
    """The score of every token as the d of "a is to b as c is to d"."""
    if method == "3cosadd":
        target = unit(vectors[b]) - unit(vectors[a]) + unit(vectors[c])
        return [cosine(v, target) for v in vectors]
    shifted = [[(cosine(v, vectors[x]) + 1) / 2 for x in (a, b, c)] for v in vectors]
    return [near_b * near_c / (near_a + 0.001) for near_a, near_b, near_c in shifted]


def mean(rows, vectors, weights=None):
    queries = np.zeros((len(rows), vectors.shape[1]))
    for r, ids in enumerate(rows):
        w = np.ones(len(ids)) if weights is None else np.asarray(weights[r])
        for i, weight in zip(ids, w, strict=True):
            queries[r] += weight * vectors[i].astype(float) / w.sum()
    return queries
