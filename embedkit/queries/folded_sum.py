"""The fold-in of `spectral`: the weighted sum of a history's vectors, and the model's leaning to what is popular."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedkit.queries.histories import interactions
from embedkit.queries.weighted_mean import weighted_sums

if TYPE_CHECKING:
    import numpy as np

    from embedkit.contracts import History, QueryContext


def spectral(history: History, context: QueryContext) -> np.ndarray:
    """Return the sum of the vectors of each history's tokens, and the model's prior where it has one.

    Weights and repeats count as they did in training (`config["fold_in"]["weighting"]`), what was met last the most
    (`config["fold_in"]["recency_exponent"]`, see `interactions`); `arrays["prior"]` (vector_size) is added to all.

    Returns
    -------
    ndarray
        float32 (n × vector_size); a row of zeros for an empty history.
    """
    import numpy as np

    settings = context.config.get("fold_in", {})
    seen = interactions(history, settings.get("weighting", "logarithm"), settings.get("recency_exponent", 0.0))
    assert seen.weights is not None
    queries = weighted_sums(seen, seen.weights, context.vectors)
    prior = context.arrays.get("prior")
    if prior is not None:
        queries[np.diff(seen.indptr) > 0] += prior
    return queries
