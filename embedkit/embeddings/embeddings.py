"""The immutable value that training gives and that everything later asks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import numpy as np

from embedkit import scoring
from embedkit.contracts import History
from embedkit.embeddings import index as indexing
from embedkit.embeddings import likeness, lookup, recommending
from embedkit.embeddings.lookup import Filters, Pairs, RecommendOptions, Tokens
from embedkit.embeddings.named_vectors import NamedVectors
from embedkit.embeddings.results import Block, Explanation, block_of
from embedkit.embeddings.subwords import Subwords
from embedkit.errors import EmbedkitError
from embedkit.names import Names

if TYPE_CHECKING:
    import pandas as pd

    from embedkit.embeddings.exporting import Which
    from embedkit.scoring.cells import Progress


class Embeddings(NamedVectors):
    """Vectors with names. Nothing in it changes once it is made; its arrays are read-only.

    Parameters
    ----------
    tokens
        Distinct strings.
    vectors
        float32 (n_tokens × vector_size), the input side: for similarity and for building queries.
    counts
        int64 (n_tokens), how often each token occurred.
    labels
        A name to show for each token; an empty one for none.
    context_vectors
        float32 (n_tokens × vector_size), what queries are dotted with; `vectors` serve where None.
    keys
        Distinct strings: users, documents. They may share names with tokens.
    key_vectors
        float32 (n_keys × vector_size), vectors that were learned for keys.
    histories
        The tokens of each key, row r those of key r, in order of time.
    query
        The name of the query builder that makes a vector of a history.
    arrays
        Further arrays by name, for query builders and trainers.
    config
        How the vectors were made; fit for JSON.
    losses
        The mean loss of each epoch.

    Attributes
    ----------
    index
        What finds the best tokens without looking at all of them, see `indexed` and `load`; None in most models.

    Raises
    ------
    EmbedkitError
        If the parts do not fit together.
    """

    def indexed(
        self, measures: Sequence[scoring.Measure] = ("dot", "cosine"), *, progress: Progress | None = None
    ) -> Embeddings:
        """Return the same embeddings with an index, through which they answer many times as quickly, not quite exactly.

        Parameters
        ----------
        measures
            `dot`, by which `recommend` ranks, and `cosine`, by which `most_similar` does, or one of them.
        progress
            Is told what is being done, and how much of how much of it is.

        Raises
        ------
        EmbedkitError
            If there are fewer than a thousand tokens, numbers are not finite, or faiss is not installed.
        """
        return self.with_index(indexing.build(self, measures, progress))

    def with_index(self, index: indexing.Index) -> Embeddings:
        """Return the same embeddings, which answer through an index that was made of them.

        Raises
        ------
        EmbedkitError
            If it is of another number of tokens.
        """
        index.check_made_of(len(self))
        return self._with(index=index)

    def exact(self) -> Embeddings:
        """Return the same embeddings without an index: all answers are exact."""
        return self._with(index=None)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one `.safetensors` file, and the index, if any, beside it; what is there stays whole until that is.

        Raises
        ------
        ModelError
            If the file cannot be written.
        """
        from embedkit.embeddings.file import save

        save(self, path)
        if self.index is not None:
            indexing.save(self.index, path)

    def export(
        self, form: str, target: str | os.PathLike[str], *, vectors: Which = "input", **options: Any
    ) -> list[str]:
        """Write vectors in a format or to a store; return lines about what was left out. See `exporting.export`."""
        from embedkit.embeddings.exporting import Notes, export

        export(self, form, target, options, vectors=vectors, run=(notes := Notes()))
        return notes.lines

    def __getitem__(self, token: str | Sequence[str]) -> np.ndarray:
        """Return a token's vector (vector_size), or those of many tokens (n × vector_size).

        A model with `subwords` gives vectors to words that are no tokens, too; `in` tells them apart.
        """
        rows = likeness.find(self, lookup.as_list(token)).vectors
        return rows[0] if isinstance(token, str) else rows

    def vector(self, token: str) -> np.ndarray:
        """Return a token's vector, float32 (vector_size)."""
        return self[token]

    def key_vector(self, key: str) -> np.ndarray:
        """Return the vector that was learned for a key, else the query built from its history."""
        return self.key_queries(self._key_ids(key))[0]

    def label(self, token: str) -> str:
        """Return the name to show for a token: its label, or itself where it has none."""
        if self.labels is None:
            return token
        return self.labels[int(self._token_ids(token)[0])] or token

    def query_vectors(self, history: History) -> np.ndarray:
        """Return what the model's query builder makes of histories: float32 (n × vector_size)."""
        return recommending.build_queries(self, history)

    def key_queries(self, rows: np.ndarray) -> np.ndarray:
        """Return the query vectors of the keys at these rows: float32 (n × vector_size)."""
        return recommending.key_queries(self, rows)

    @overload
    def recommend(self, keys: str, **options: Unpack[RecommendOptions]) -> Pairs: ...  # type: ignore[overload-overlap]
    @overload
    def recommend(self, keys: Iterable[str], **options: Unpack[RecommendOptions]) -> pd.DataFrame: ...
    @overload
    def recommend(self, *, history: Tokens, **options: Unpack[RecommendOptions]) -> Pairs: ...
    def recommend(
        self,
        keys: str | Iterable[str] | None = None,
        *,
        history: Tokens | None = None,
        topn: int = 10,
        exclude: str | Iterable[str] = (),
        only: str | Iterable[str] | None = None,
        include_seen: bool = False,
        fallback: Literal["popular"] | None = None,
        recency: float | None = None,
    ) -> Pairs | pd.DataFrame:
        """Recommend tokens to a key, to many keys, or to whoever has this history.

        Parameters
        ----------
        keys
            A string: one key, answered by a list of (token, score). Many: answered by a DataFrame with the
            columns `key, token, score`. Best first.
        history
            Tokens, oldest first; or a mapping of tokens to positive weights.
        topn
            How many; fewer come back only where fewer exist.
        exclude, only
            Tokens that may not, tokens that alone may be recommended.
        include_seen
            Whether tokens of the history may be recommended too.
        fallback
            `popular`: a key that is unknown or has no history gets the most frequent tokens, scored by counts.
        recency
            What each token of a history counts of the one after it, above 0 to 1; the model's own way where None.
            A key whose vector was learned is then asked by its history.

        Raises
        ------
        UnknownNameError
            For a name that is not there, with the nearest ones.
        """
        options = recommending.Options(self, topn, exclude, only, include_seen, fallback, recency)
        if (keys is None) == (history is None):
            raise EmbedkitError("recommend to a key or keys, or to a history: give one of the two.")
        if history is not None:
            return recommending.to_history(self, recommending.history_of(self, history), options).pairs()
        if isinstance(keys, str):
            return recommending.to_keys(self, [keys], options).pairs()
        wanted = list(keys or ())
        return recommending.to_frame(self, wanted, options)

    def recommend_all(self, *, batch: int = recommending.BATCH, **options: Unpack[RecommendOptions]) -> Iterator[Block]:
        """Recommend to every key, `batch` keys at a time, so that memory does not grow with their number.

        The options are those of `recommend`. A key without a history gets no answer (`Block.unanswered` names it)
        unless there is a fallback.
        """
        return recommending.to_all(self, recommending.Options(self, **options), batch)

    def without_query(self, keys: str | Iterable[str]) -> list[str]:
        """Return those of `keys` that a recommendation cannot go by: unknown, or without a history."""
        wanted = lookup.as_list(keys)
        rows = recommending.answerable(self, wanted)
        return [key for key, row in zip(wanted, rows.tolist(), strict=True) if row < 0]

    def explain(
        self,
        key: str | None = None,
        item: str = "",
        *,
        history: Tokens | None = None,
        topn: int = 10,
        recency: float | None = None,
    ) -> Explanation:
        """Tell which tokens of a key's (or a given) history carried the score of `item`, and how much.

        Raises
        ------
        EmbedkitError
            If the key's vector was learned, so that no history made it.
        """
        given = recommending.given_history(self, key, history, lookup.check_recency(recency))
        return recommending.explain(self, given, int(self._token_ids(item)[0]), lookup.check_topn(topn))

    @overload
    def most_similar(self, tokens: str | np.ndarray, topn: int = ..., **filters: Unpack[Filters]) -> Pairs: ...  # type: ignore[overload-overlap]
    @overload
    def most_similar(self, tokens: Iterable[str], topn: int = ..., **filters: Unpack[Filters]) -> pd.DataFrame: ...
    def most_similar(
        self,
        tokens: str | np.ndarray | Iterable[str],
        topn: int = 10,
        *,
        exclude: str | Iterable[str] = (),
        only: str | Iterable[str] | None = None,
    ) -> Pairs | pd.DataFrame:
        """Return the tokens whose vectors have the greatest cosines with a token's, the token itself left out.

        A string or a vector is answered by a list of (token, score), many strings by a DataFrame with the
        columns `query, token, score`.
        """
        banned, chosen = self._filters(exclude, only)
        block = likeness.most_similar(self, tokens, topn, banned, chosen)
        return block.pairs() if isinstance(tokens, str | np.ndarray) else block.to_frame()

    @overload
    def similar_keys(self, keys: str, topn: int = ...) -> Pairs: ...  # type: ignore[overload-overlap]
    @overload
    def similar_keys(self, keys: Iterable[str], topn: int = ...) -> pd.DataFrame: ...
    def similar_keys(self, keys: str | Iterable[str], topn: int = 10) -> Pairs | pd.DataFrame:
        """Return the keys whose query vectors have the greatest cosines with a key's, the key itself left out.

        One is answered by a list of (key, score), many by a DataFrame with the columns `query, key, score`.
        """
        names = lookup.as_list(keys)
        rows = self._key_ids(names)
        ranked = scoring.most_similar_built(
            self.key_queries(rows),
            self.key_queries,
            len(self.keys or ()),
            lookup.check_topn(topn),
            exclude=scoring.Rows(np.arange(len(rows) + 1), rows),
        )
        block = block_of(names, self.keys or Names.from_strings([]), ranked, ("query", "key"))
        return block.pairs() if isinstance(keys, str) else block.to_frame()

    @overload
    def similarity(self, a: str, b: str, metric: scoring.Metric = ...) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def similarity(self, a: Sequence[str], b: Sequence[str], metric: scoring.Metric = ...) -> np.ndarray: ...
    def similarity(
        self, a: str | Sequence[str], b: str | Sequence[str], metric: scoring.Metric = "cosine"
    ) -> float | np.ndarray:
        """Return the likeness of two tokens, or of each pair of two lists of them (`euclidean` is a distance)."""
        values = likeness.similarity(self, lookup.as_list(a), lookup.as_list(b), metric)
        return float(values[0]) if isinstance(a, str) and isinstance(b, str) else values

    def analogy(
        self,
        a: str,
        b: str,
        c: str,
        topn: int = 10,
        method: scoring.AnalogyMethod = "3cosadd",
        *,
        exclude: str | Iterable[str] = (),
        only: str | Iterable[str] | None = None,
    ) -> Pairs:
        """Return what completes "a is to b as c is to ?", best first; a, b and c are left out."""
        banned, chosen = self._filters(exclude, only)
        return likeness.analogy(self, [a, b, c], topn, method, banned, chosen).pairs()

    @property
    def inverse_norms(self) -> np.ndarray:
        """float32 (n_tokens), 1 / the length of each token's vector; 0 for one of zeros."""
        return self._inverse_norms

    @property
    def subwords(self) -> Subwords | None:
        """The vectors of character n-grams that words outside of the vocabulary are built of; None in most models."""
        return self._subwords

    @cached_property
    def _inverse_norms(self) -> np.ndarray:
        return scoring.inverse_norms(self.vectors)

    @cached_property
    def _subwords(self) -> Subwords | None:
        return Subwords.read(self.config, self.arrays, self.vector_size)

    def _filters(
        self, exclude: str | Iterable[str], only: str | Iterable[str] | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        return self._token_ids(lookup.as_list(exclude)), None if only is None else self._token_ids(lookup.as_list(only))

    def _token_ids(self, tokens: str | Sequence[str]) -> np.ndarray:
        return lookup.find_ids(self.tokens, lookup.as_list(tokens), "token", self.keys)

    def _key_ids(self, keys: str | Sequence[str]) -> np.ndarray:
        if self.keys is None:
            raise EmbedkitError("this model has no keys: it was learned from sentences that belong to nobody.")
        return lookup.find_ids(self.keys, lookup.as_list(keys), "key", self.tokens)
