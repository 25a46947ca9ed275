"""Vectors with names and what was learned besides: a value that never changes, and how Python and notebooks see it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from embedkit.contracts import History, QueryContext
from embedkit.embeddings import checks, lookup
from embedkit.errors import EmbedkitError
from embedkit.names import Names

if TYPE_CHECKING:
    import pandas as pd

    from embedkit.corpus import Corpus
    from embedkit.embeddings.index import Index


class NamedVectors:
    """What `Embeddings` holds; its parameters are told there."""

    def __init__(
        self,
        tokens: Names | Iterable[str],
        vectors: np.ndarray,
        *,
        counts: np.ndarray | None = None,
        labels: Names | Iterable[str] | None = None,
        context_vectors: np.ndarray | None = None,
        keys: Names | Iterable[str] | None = None,
        key_vectors: np.ndarray | None = None,
        histories: History | None = None,
        query: str = "mean",
        arrays: Mapping[str, np.ndarray] | None = None,
        config: Mapping[str, Any] | None = None,
        losses: Iterable[float] = (),
    ) -> None:
        self.tokens = checks.as_names(tokens, "tokens")
        n = len(self.tokens)
        self.vectors = checks.as_matrix(vectors, "vectors", n)
        width = self.vectors.shape[1]
        self.context_vectors = checks.as_optional_matrix(context_vectors, "context_vectors", n, "tokens", width)
        self.counts = None if counts is None else checks.as_array(counts, "counts", np.int64, n)
        self.labels = checks.as_labels(labels, n)
        if keys is None and (key_vectors is not None or histories is not None):
            raise EmbedkitError("key_vectors and histories need the names of their keys: give keys.")
        self.keys = None if keys is None else checks.as_names(keys, "keys")
        n_keys = len(self.keys or ())
        self.key_vectors = checks.as_optional_matrix(key_vectors, "key_vectors", n_keys, "keys", width)
        self.histories = checks.as_histories(histories, n_keys, n)
        self.query = query
        self.arrays: Mapping[str, np.ndarray] = checks.as_arrays(arrays)
        self.config: Mapping[str, Any] = checks.as_config(config)
        self.losses = tuple(float(loss) for loss in losses)
        self.index: Index | None = None

    @classmethod
    def from_corpus(
        cls,
        corpus: Corpus,
        vectors: np.ndarray,
        *,
        context_vectors: np.ndarray | None = None,
        key_vectors: np.ndarray | None = None,
        query: str = "mean",
        arrays: Mapping[str, np.ndarray] | None = None,
        config: Mapping[str, Any] | None = None,
        losses: Iterable[float] = (),
    ) -> Self:
        """Make embeddings of vectors learned from `corpus`, with its names, counts and histories."""
        return cls(
            corpus.tokens,
            vectors,
            counts=corpus.counts,
            labels=corpus.labels,
            context_vectors=context_vectors,
            keys=corpus.keys,
            key_vectors=key_vectors,
            histories=None if corpus.keys is None else corpus.histories(),
            query=query,
            arrays=arrays,
            config=config,
            losses=losses,
        )

    def with_config(self, **more: Any) -> Self:
        """Return the same embeddings with more noted in their config."""
        return self._with(config=checks.as_config({**self.config, **more}))

    def _with(self, **parts: Any) -> Self:
        """Return the same embeddings with other parts, which are taken as they are."""
        changed = copy.copy(self)
        vars(changed).update(parts)
        return changed

    @property
    def vector_size(self) -> int:
        """How many numbers a vector has."""
        return int(self.vectors.shape[1])

    @property
    def targets(self) -> np.ndarray:
        """The vectors that a query is dotted with: `context_vectors`, or `vectors` where there are none."""
        return self.vectors if self.context_vectors is None else self.context_vectors

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self):
            raise AttributeError(f"embeddings do not change: {name} is set; make new ones.")
        super().__setattr__(name, value)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and bool(lookup.find_or_minus_one(self.tokens, [token], "token")[0] >= 0)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Let NumPy take the embeddings for their vectors: float32 (n_tokens × vector_size)."""
        return np.array(self.vectors, dtype=dtype, copy=copy)

    def to_frame(self, which: Literal["vectors", "context_vectors", "keys"] = "vectors") -> pd.DataFrame:
        """Return a table with a row for each token, or key, by whose name it is indexed, and columns `v0`, `v1`, ...

        Raises
        ------
        EmbedkitError
            If the model has no such vectors.
        """
        from embedkit.embeddings.notebook import frame

        return frame(self, which)

    def _repr_html_(self) -> str:
        from embedkit.embeddings.notebook import html

        return html(self)

    def __repr__(self) -> str:
        keys = "" if self.keys is None else f", {len(self.keys):,} keys"
        return f"Embeddings({len(self):,} tokens × {self.vector_size}{keys})"

    @property
    def context(self) -> QueryContext:
        """What a query builder may draw on."""
        return QueryContext(self.vectors, self.targets, self.counts, self.arrays, self.config)
