"""The fold-in of `als`: the key vector that its loss would give to a history, tokens being as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedkit.contracts import History
from embedkit.errors import EmbedkitError
from embedkit.queries.histories import interactions

if TYPE_CHECKING:
    import numpy as np

    from embedkit.contracts import QueryContext

_BLOCK = 1 << 22  # numbers in the matrices that are solved at once: 32 MiB


def ridge(history: History, context: QueryContext) -> np.ndarray:
    """Return the solutions of the normal equations of `als` for histories: what a known key gets, exactly.

    With the loss `implicit`, token vectors y (`context_vectors`) and interactions of weight w the query x minimises

        Σ_seen w (1 - x·y)² + α Σ_all (x·y)² + λ (Σ_seen w + α n)^ν |x|²

    (Rendle et al. 2021, arXiv 2110.14037; Σ_all comes from the Gramian in `arrays["gramian"]`, as in Hu, Koren and
    Volinsky 2008). With `explicit` weights are ratings r, y ends in 1 and the token's offset, and x, which ends in 1,
    minimises Σ_seen (r - x·y)² + λ n_seen^ν |x without that 1|². A rating that is not given counts as the highest.

    Returns
    -------
    ndarray
        float32 (n × vector_size); a row of zeros for an empty history.

    Raises
    ------
    EmbedkitError
        If the model does not tell how it was learned.
    """
    settings = context.config.get("fold_in")
    if not isinstance(settings, dict) or "regularization" not in settings:
        raise EmbedkitError("this model lacks what 'als' folds a history in by; train it again with --trainer als.")
    fold_in = _explicit if settings["loss"] == "explicit" else _implicit
    return fold_in(history, context, settings)


def _implicit(history: History, context: QueryContext, settings: dict[str, Any]) -> np.ndarray:
    import numpy as np

    seen = interactions(history, settings["weighting"])
    alpha, n_tokens = settings["unobserved_weight"], len(context.context_vectors)
    gramian = alpha * np.asarray(context.arrays["gramian"], np.float64)
    rows = np.repeat(np.arange(len(seen)), np.diff(seen.indptr))
    mass = np.bincount(rows, _weights(seen), len(seen))
    penalty = settings["regularization"] * (mass + alpha * n_tokens) ** settings["regularization_exponent"]
    targets = np.ones(len(seen.indices))
    return _solve(seen, context.context_vectors, _weights(seen), targets, gramian, penalty).astype(np.float32)


def _explicit(history: History, context: QueryContext, settings: dict[str, Any]) -> np.ndarray:
    import numpy as np

    if history.weights is None:
        top = np.full(history.indptr[-1], settings["top_rating"], np.float32)
        history = History(history.indptr, history.indices, top)
    seen = interactions(history, "mean")
    size = context.context_vectors.shape[1] - 1
    offsets = np.asarray(context.context_vectors[:, size])[seen.indices]
    counts = np.diff(seen.indptr).astype(np.float64)
    penalty = settings["regularization"] * np.maximum(counts, 1) ** settings["regularization_exponent"]
    made = np.zeros((len(seen), size + 1), np.float32)
    made[:, :size] = _solve(
        seen, context.context_vectors[:, :size], np.ones(len(offsets)), _weights(seen) - offsets,
        np.zeros((size, size)), penalty,
    )  # fmt: skip
    made[counts > 0, size] = 1
    return made


def _weights(seen: History) -> np.ndarray:
    import numpy as np

    assert seen.weights is not None
    return seen.weights.astype(np.float64)


def _solve(
    seen: History,
    vectors: np.ndarray,
    weights: np.ndarray,
    targets: np.ndarray,
    gramian: np.ndarray,
    penalty: np.ndarray,
) -> np.ndarray:
    """Solve (gramian + Σ w y yᵀ + penalty I) x = Σ w t y for each history: float64 (n × size), zeros for none."""
    import numpy as np

    size = vectors.shape[1]
    found = np.zeros((len(seen), size))
    rows = np.flatnonzero(np.diff(seen.indptr))
    height = max(1, _BLOCK // size**2)
    for start in range(0, len(rows), height):
        block = rows[start : start + height]
        left = np.empty((len(block), size, size))
        right = np.empty((len(block), size, 1))
        for place, row in enumerate(block.tolist()):
            entries = slice(seen.indptr[row], seen.indptr[row + 1])
            y = vectors[seen.indices[entries]].astype(np.float64)
            weighted = y.T * weights[entries]
            left[place] = gramian + weighted @ y
            left[place].flat[:: size + 1] += penalty[row]
            right[place, :, 0] = weighted @ targets[entries]
        found[block] = np.linalg.solve(left, right)[:, :, 0]
    return found
