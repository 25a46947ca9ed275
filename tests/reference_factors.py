"""Factorisations once more in plain NumPy: dense, in float64, a row at a time."""

import numpy as np


def weigh(total, occurrences, weighting):
    return {"logarithm": np.log2(1 + total), "sum": total, "presence": 1.0, "mean": total / occurrences}[weighting]


def matrix(rows, n_tokens, weighting="sum", weights=None):
    """Return the dense matrix of rows (lists of token ids) and tokens."""
    dense = np.zeros((len(rows), n_tokens))
    for r, row in enumerate(rows):
        for token in set(row):
            places = [p for p, t in enumerate(row) if t == token]
            total = sum(1.0 if weights is None else weights[r][p] for p in places)
            dense[r, token] = weigh(total, len(places), weighting)
    return dense


def normalized(R, a, b):
    return R.sum(1, keepdims=True) ** -a * R * R.sum(0) ** -b


def spectral_scores(R, size, o):
    """Return the scores of all tokens for all rows, by an exact singular value decomposition."""
    _, s, Vt = np.linalg.svd(normalized(R, o.key_exponent, o.token_exponent), full_matrices=False)
    s, V = s[:size], Vt[:size].T
    p = o.shrinkage_power
    f = s**p / (s**p + (o.shrinkage * s[0] ** 2) ** (p / 2))
    d = R.sum(0)
    h = np.array([sum(f[k] * V[i, k] ** 2 for k in range(size)) for i in range(len(V))])
    into = d[:, None] ** -o.token_exponent * V * f
    out = V * (d ** (o.token_exponent - o.popularity_discount) * h**-o.leverage_discount)[:, None]
    prior = o.prior * (d / (R > 0).sum()) @ into
    return (R @ into + prior) @ out.T


def implicit_objective(R, X, Y, alpha, lam, nu):
    """Return the loss of `als`, summed over every pair; R holds confidences, 0 where nothing was seen."""
    S = X @ Y.T
    total = (R * (1 - S) ** 2).sum() + alpha * (S**2).sum()
    total += sum(lam * (R[u].sum() + alpha * R.shape[1]) ** nu * X[u] @ X[u] for u in range(len(X)))
    return total + sum(lam * (R[:, i].sum() + alpha * R.shape[0]) ** nu * Y[i] @ Y[i] for i in range(len(Y)))


def implicit_row(R, u, Y, alpha, lam, nu):
    """Return the key vector that minimises that loss."""
    left = alpha * Y.T @ Y + (Y.T * R[u]) @ Y
    left += lam * (R[u].sum() + alpha * R.shape[1]) ** nu * np.eye(Y.shape[1])
    return np.linalg.solve(left, Y.T @ R[u])


def explicit_objective(R, X, Y, lam, nu):
    """Return the loss of ratings; R holds ratings, 0 where there are none, X and Y end as the vectors of `als` do."""
    mean = R[R > 0].mean()
    offsets = Y[:, -1] - mean
    S = X @ Y.T
    total = ((R - S)[R > 0] ** 2).sum()
    total += sum(lam * (R[u] > 0).sum() ** nu * X[u, :-1] @ X[u, :-1] for u in range(len(X)))
    tokens = np.hstack((Y[:, :-2], offsets[:, None]))
    return total + sum(lam * (R[:, i] > 0).sum() ** nu * tokens[i] @ tokens[i] for i in range(len(Y)))


def gradient(function, at, step=1e-5):
    """Return the gradient of `function` by central differences."""
    slopes = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        there, back = at.copy(), at.copy()
        there[place] += step
        back[place] -= step
        slopes[place] = (function(there) - function(back)) / (2 * step)
    return slopes
