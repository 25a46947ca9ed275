"""The query of `contrastive`: the weighted sum of a history's vectors, as a unit vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedkit.queries.weighted_mean import weighted_sums

if TYPE_CHECKING:
    import numpy as np

    from embedkit.contracts import History, QueryContext


def contrastive(history: History, context: QueryContext) -> np.ndarray:
    """Return u(Σ weight · vector) over each history, u(x) = x / |x|, so that scores are cosines.

    With `config["offsets"]` the last number is 1; there vectors have 0 and context vectors the token's offset.

    Returns
    -------
    ndarray
        float32 (n × vector_size); a row of zeros for an empty history.
    """
    import numpy as np

    begin, end = history.indptr[0], history.indptr[-1]
    weights = np.ones(end - begin, np.float32) if history.weights is None else history.weights[begin:end]
    queries = weighted_sums(history, np.asarray(weights, np.float32), context.vectors)
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries))
    queries /= np.where(lengths > 0, lengths, 1)[:, None]
    if context.config.get("offsets"):
        queries[:, -1] = np.diff(history.indptr) > 0
    return queries
