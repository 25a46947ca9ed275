"""Likeness asked for by names; a word that is not in the vocabulary counts where its character n-grams are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedkit import scoring
from embedkit.embeddings import checks, lookup
from embedkit.embeddings.results import Block, block_of
from embedkit.errors import EmbedkitError, UnknownNameError

if TYPE_CHECKING:
    from embedkit.embeddings.embeddings import Embeddings


class Found(NamedTuple):
    """What names stand for: float32 vectors (n × vector_size), and int64 ids (n), -1 for those that were built."""

    vectors: np.ndarray
    ids: np.ndarray

    @property
    def rows(self) -> scoring.Rows:
        """The ids as rows of one each, or of none for a word that was built."""
        known = self.ids >= 0
        return scoring.Rows(np.concatenate((np.zeros(1, np.int64), np.cumsum(known))), self.ids[known])


def find(embeddings: Embeddings, tokens: Sequence[str]) -> Found:
    """Return what tokens stand for; words that are none are built of their n-grams where the model has any.

    Raises
    ------
    UnknownNameError
        For the first that is neither a token nor can be built.
    """
    ids = lookup.find_or_minus_one(embeddings.tokens, tokens, "token")
    known = ids >= 0
    if known.all():
        return Found(embeddings.vectors[ids], ids)
    missing = np.flatnonzero(~known).tolist()
    if embeddings.subwords is None:
        raise lookup.unknown(embeddings.tokens, tokens[missing[0]], "token", embeddings.keys)
    vectors = np.empty((len(tokens), embeddings.vector_size), np.float32)
    vectors[known] = embeddings.vectors[ids[known]]
    for place in missing:
        built = embeddings.subwords.build(tokens[place])
        if built is None:
            error = lookup.unknown(embeddings.tokens, tokens[place], "token", embeddings.keys)
            raise UnknownNameError(f"{error} Nor is any of its character n-grams known, to build it from.")
        vectors[place] = built
    return Found(vectors, ids)


def most_similar(
    embeddings: Embeddings,
    tokens: str | np.ndarray | Iterable[str],
    topn: int,
    banned: np.ndarray,
    only: np.ndarray | None,
) -> Block:
    """Return the tokens most similar to tokens, or to a vector; `banned` and `only` are ids."""
    seen = None
    if isinstance(tokens, np.ndarray) and tokens.dtype.kind == "f":
        names = [""]
        queries = checks.as_matrix(
            np.atleast_2d(tokens), "the vector to compare with", 1, "vector", embeddings.vector_size
        )
    else:
        names = lookup.as_list(tokens)
        found = find(embeddings, names)
        queries, seen = found.vectors, found.rows
    ranked = scoring.most_similar(
        queries,
        embeddings.vectors,
        embeddings.inverse_norms,
        lookup.check_topn(topn),
        exclude=seen,
        banned=banned,
        only=only,
        tiers=None if embeddings.index is None else embeddings.index.tiers("cosine", len(queries)),
    )
    return block_of(names, embeddings.tokens, ranked)


def similarity(embeddings: Embeddings, a: Sequence[str], b: Sequence[str], metric: scoring.Metric) -> np.ndarray:
    """Return the likeness of each pair of two lists of tokens: float64."""
    left, right = find(embeddings, a), find(embeddings, b)
    if len(left.ids) != len(right.ids):
        raise EmbedkitError(
            f"similarity compares pairs: {len(left.ids)} tokens cannot be paired with {len(right.ids)}."
        )
    return scoring.similarity(left.vectors, right.vectors, metric)


def analogy(
    embeddings: Embeddings,
    question: Sequence[str],
    topn: int,
    method: scoring.AnalogyMethod,
    banned: np.ndarray,
    only: np.ndarray | None,
) -> Block:
    """Return what completes "a is to b as c is to ?"; `banned` and `only` are ids."""
    found = find(embeddings, question)
    ranked = scoring.analogy(
        embeddings.vectors, embeddings.inverse_norms, found.ids[None], lookup.check_topn(topn), method,
        given=found.vectors[None], banned=banned, only=only,
    )  # fmt: skip
    return block_of([question[-1]], embeddings.tokens, ranked)
