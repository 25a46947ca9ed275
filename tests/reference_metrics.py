"""Metrics and baselines written again in plain loops over lists and sets, for the fast code to agree with."""

import math

import numpy as np


def metrics(ranked, targets, k):
    """All metrics of one row: `ranked` a list of ids, best first, `targets` a list with None for unknown ones."""
    top = ranked[:k]
    relevant = [1 if item in targets else 0 for item in top]
    n = len(targets)
    ideal = sum(1 / math.log2(1 + rank) for rank in range(1, min(n, k) + 1))
    precisions = [sum(relevant[: r + 1]) / (r + 1) for r in range(len(top)) if relevant[r]]
    return {
        "recall": sum(relevant) / n,
        "precision": sum(relevant) / k,
        "hit_rate": float(any(relevant)),
        "ndcg": sum(1 / math.log2(2 + r) for r in range(len(top)) if relevant[r]) / ideal,
        "mrr": 1 / (relevant.index(1) + 1) if any(relevant) else 0.0,
        "map": sum(precisions) / min(n, k),
    }


def popularity_percentile(counts, token):
    less = sum(1 for c in counts if c < counts[token])
    same = sum(1 for c in counts if c == counts[token])
    return (less + same / 2) / len(counts)


def item_similarities(histories, n, neighbours, shrinkage):
    """s_ij as a matrix; column j holds the neighbours of j."""
    holders = [{u for u, history in enumerate(histories) if i in history} for i in range(n)]
    result = np.zeros((n, n))
    for j in range(n):
        found = []
        for i in range(n):
            both = len(holders[i] & holders[j])
            if i != j and both:
                found.append((-both / (math.sqrt(len(holders[i]) * len(holders[j])) + shrinkage), i))
        for negative, i in sorted(found)[:neighbours]:
            result[i, j] = -negative
    return result


def ease(histories, n, regularization):
    """B of EASE as Steck's Algorithm 1 has it, in double precision."""
    X = np.zeros((len(histories), n))
    for u, history in enumerate(histories):
        X[u, list(history)] = 1
    P = np.linalg.inv(X.T @ X + regularization * np.eye(n))
    B = P / (-np.diag(P))
    np.fill_diagonal(B, 0)
    return B
