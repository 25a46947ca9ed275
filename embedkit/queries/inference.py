"""The fold-in of `doc2vec`: the vector that a document or user would have got, tokens being as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedkit.errors import EmbedkitError

if TYPE_CHECKING:
    import numpy as np

    from embedkit.contracts import History, QueryContext

_NUMBERS = 1 << 22  # logits at once: 16 MiB
_SETTLED = 1e-4
_MOST_EPOCHS = 10_000
_MOST_STEPS = 10  # an epoch


def infer(history: History, context: QueryContext) -> np.ndarray:
    """Return vectors learned for histories by the loss of `doc2vec`, with the tokens' vectors held fast.

    The vector v of a history with tokens t goes down the gradient, for as long as a key's vector does in training, of

        Σ_t keep_t [softplus(-h_t · c_t) + negative · mean_j softplus(h_t · c_j)],   h_t = (v + Σ_near w) / (1 + n_near)

    (Le and Mikolov 2014, arXiv 1405.4053, section 2.2), where c are `context_vectors`, the near tokens' vectors w are
    there with distributed memory alone, j runs over `arrays["noise"]`, an even sample of the noise distribution, and
    keep_t is `arrays["keep"]`, the probability of keeping an occurrence in training. All tokens of a history step at
    once, in steps short enough to follow what one by one would do. Nothing is drawn: the same history gives the same
    vector. Weights and times make no difference.

    Returns
    -------
    ndarray
        float32 (n × vector_size); a row of zeros for an empty history.

    Raises
    ------
    EmbedkitError
        If the model does not tell how it was learned.
    """
    import numpy as np

    settings = context.config.get("fold_in")
    if not isinstance(settings, dict) or not {"noise", "keep"} <= set(context.arrays):
        raise EmbedkitError("this model lacks what 'doc2vec' infers vectors by; train it again with --trainer doc2vec.")
    noise, keep = np.asarray(context.context_vectors)[context.arrays["noise"]], context.arrays["keep"]
    if not len(noise) or not 0 < int(settings["epochs"]) <= _MOST_EPOCHS:
        raise EmbedkitError("this model is damaged: it has no noise, or too many epochs; copy or train it again.")
    found = np.zeros((len(history), context.vectors.shape[1]), np.float32)
    lengths = np.diff(history.indptr)
    # Histories of about the same length together, as the longest says how many steps all take.
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        longest = max(2 * int(lengths[order[start]]), 16)
        beside = len(noise) if settings["architecture"] == "dm" else found.shape[1]
        room = max(1, _NUMBERS // max(longest * beside, len(noise)))
        stop = min(start + room, int(np.searchsorted(lengths[order], longest, side="right")))
        rows = order[start:stop]
        found[rows] = _descend(history.take(rows), context, settings, noise, keep)
        start = stop
    return found


def _descend(
    history: History, context: QueryContext, settings: dict[str, Any], noise: np.ndarray, keep: np.ndarray
) -> np.ndarray:
    """Return float32 (n × vector_size) for histories none of which is empty."""
    import numpy as np

    n = len(history)
    weights = keep[history.indices]
    mass = np.add.reduceat(weights, history.indptr[:-1])
    targets = np.asarray(context.context_vectors)[history.indices]
    owners = np.repeat(np.arange(n), np.diff(history.indptr))
    bases, shares = _surroundings(history, context, settings, owners)
    v = np.zeros((n, targets.shape[1]), np.float32)
    # A quarter of the squared lengths bounds how fast the gradient turns, as a sigmoid's slope is at most 1/4.
    turns = np.add.reduceat(weights * (shares * np.linalg.norm(targets, axis=1)) ** 2, history.indptr[:-1])
    turns += settings["negative"] * mass * float(np.square(noise).sum(axis=1).mean())
    fall = (settings["alpha"] - settings["min_alpha"]) / settings["epochs"]
    for epoch in range(settings["epochs"]):
        alpha = settings["alpha"] - fall * (epoch + 0.5)
        steps = min(int(np.ceil(alpha * float(turns.max()) / 4)), _MOST_STEPS)
        # Long histories would take more steps than these; they are near their minimum all the same.
        rates = np.minimum(alpha / steps, 4 / turns).astype(np.float32)[:, None]
        for _ in range(steps):
            true = weights * shares * _sigmoid(-((bases + v[owners] * shares[:, None]) * targets).sum(axis=1))
            gradient = np.add.reduceat(targets * true[:, None], history.indptr[:-1], axis=0)
            if settings["architecture"] == "dm":
                false = _sigmoid((bases + v[owners] * shares[:, None]) @ noise.T) @ noise
                false = np.add.reduceat(false * (weights * shares)[:, None], history.indptr[:-1], axis=0)
            else:
                false = (_sigmoid(v @ noise.T) @ noise) * mass[:, None]
            step = rates * (gradient - np.float32(settings["negative"] / len(noise)) * false)
            v += step
            if np.abs(step).max() <= _SETTLED * np.abs(v).max():
                break
    return v


def _surroundings(
    history: History, context: QueryContext, settings: dict[str, Any], owners: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what each entry's mean holds besides the vector sought, and that vector's share of it (float32)."""
    import numpy as np

    n, size = len(history.indices), context.vectors.shape[1]
    if settings["architecture"] == "dbow":
        return np.zeros((1, size), np.float32), np.ones(n, np.float32)
    sums = np.concatenate((np.zeros((1, size)), np.cumsum(context.vectors[history.indices].astype(np.float64), axis=0)))
    at = np.arange(n)
    low = np.maximum(at - settings["window"], history.indptr[owners])
    high = np.minimum(at + settings["window"] + 1, history.indptr[owners + 1])
    shares = 1.0 / (high - low)
    near = sums[high] - sums[low] - context.vectors[history.indices]
    return (near * shares[:, None]).astype(np.float32), shares.astype(np.float32)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    import numpy as np

    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))
