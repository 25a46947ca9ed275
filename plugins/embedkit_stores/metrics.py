"""How nearness is measured in a store: what each calls it, and which suits which vectors."""

from __future__ import annotations

from typing import Literal

Metric = Literal["auto", "cosine", "inner-product", "euclidean"]

HELP = "How nearness is measured; auto: inner-product for context vectors, which queries are dotted with, else cosine."


def chosen(metric: Metric, vectors: str) -> str:
    """Return the metric; `auto` is decided by which of a model's vectors (`input`, `context`, `keys`) are stored."""
    if metric != "auto":
        return metric
    return "inner-product" if vectors == "context" else "cosine"
