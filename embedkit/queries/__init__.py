"""From histories to query vectors: functions over arrays. Importing this imports no numpy, as plugins must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from embedkit.contracts import History, QueryBuilder, QueryContext
from embedkit.queries.folded_sum import spectral
from embedkit.queries.histories import interactions
from embedkit.queries.inference import infer
from embedkit.queries.ridge_regression import ridge
from embedkit.queries.unit_sum import contrastive
from embedkit.queries.weighted_mean import mean, mean_parts

if TYPE_CHECKING:
    import numpy as np

DEFAULT = "mean"

BUILT_IN: dict[str, QueryBuilder] = {
    "contrastive": contrastive,
    "infer": infer,
    "mean": mean,
    "ridge": ridge,
    "spectral": spectral,
}
"""The builders that embedkit brings, by name."""

PARTS: dict[str, Callable[[History, QueryContext, np.ndarray], np.ndarray]] = {"mean": mean_parts}
"""For builders whose query is a sum over the history: what each entry adds to a target's score."""

__all__ = [
    "BUILT_IN",
    "DEFAULT",
    "PARTS",
    "contrastive",
    "infer",
    "interactions",
    "mean",
    "mean_parts",
    "ridge",
    "spectral",
]
