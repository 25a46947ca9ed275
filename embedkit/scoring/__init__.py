"""Ranking by dot product and cosine, similarity and analogies: functions over arrays that know no names."""

from embedkit.scoring.ranking import Ranked, Rows, rank
from embedkit.scoring.similar import (
    AnalogyMethod,
    Metric,
    analogy,
    inverse_norms,
    most_similar,
    most_similar_built,
    normalized,
    similarity,
)
from embedkit.scoring.tiers import Measure, Tiers
from embedkit.scoring.topk import popular, topk

__all__ = [
    "AnalogyMethod",
    "Measure",
    "Metric",
    "Ranked",
    "Rows",
    "Tiers",
    "analogy",
    "inverse_norms",
    "most_similar",
    "most_similar_built",
    "normalized",
    "popular",
    "rank",
    "similarity",
    "topk",
]
