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


def ages(rows, n_tokens, times=None):
    """Return for each row and token of it 1 + how many tokens of the row were last met later; 1 elsewhere."""
    made = np.ones((len(rows), n_tokens))
    for r, row in enumerate(rows):
        last = {token: place if times is None else times[r][place] for place, token in enumerate(row)}
        for token, when in last.items():
            made[r, token] = 1 + sum(other > when for other in last.values())
    return made


def standing(rows, n_tokens, window, times=None):
    """Return each token's recent popularity, the greatest being 1, and its trend."""
    met = [(times[r][p] if times else 0, token) for r, row in enumerate(rows) for p, token in enumerate(row)]
    usual, recent = np.zeros(n_tokens), np.zeros(n_tokens)
    for when, token in met:
        usual[token] += 1
        later = sum(other > when for other, _ in met)
        recent[token] += 0.5 ** (later / (window * len(met)))
    return recent / recent.max(), (recent / recent.mean() + 0.1) / (usual / usual.mean() + 0.1)


def spectral_scores(R, size, o, age, recent, trend):
    """Return the scores of all tokens for all rows, by an exact singular value decomposition."""
    _, s, Vt = np.linalg.svd(normalized(R, o.key_exponent, o.token_exponent), full_matrices=False)
    s, V = s[:size], Vt[:size].T
    p = o.shrinkage_power
    f = s**p / (s**p + (o.shrinkage * s[0] ** 2) ** (p / 2))
    if o.prior:
        f[-1] = 0
    d = R.sum(0)
    h = np.array([sum(f[k] * V[i, k] ** 2 for k in range(size)) for i in range(len(V))])
    into = d[:, None] ** -o.token_exponent * V * f
    out = V * (d ** (o.token_exponent - o.popularity_discount) * h**-o.leverage_discount * trend**o.trend)[:, None]
    own = sum(d[i] * into[i] @ out[i] for i in range(len(V))) / d.sum()
    return (R * age**-o.recency_exponent) @ into @ out.T + o.prior * own * recent


def held_out(rows, share=0.2):
    """Return the first tokens of each row, and those of the rest that are not among them."""
    kept = [row[: max(int((1 - share) * len(row) + 1e-9), 1)] for row in rows]
    return kept, [sorted(set(row[len(left) :]) - set(left)) for row, left in zip(rows, kept, strict=True)]


def ndcg(scores, wanted, k=20):
    """Return NDCG of one row, a target ranking behind all that score as high."""
    places = [sum(other >= scores[t] for other in scores) for t in wanted]
    best = sum(1 / np.log2(1 + place) for place in range(1, min(k, len(wanted)) + 1))
    return sum(1 / np.log2(1 + place) for place in places if place <= k) / best


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
