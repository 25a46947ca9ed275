"""A scikit-learn estimator: sentences in, vectors out, so that embedkit learns within a `Pipeline`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from embedkit.contracts import History, Sentence
from embedkit.errors import EmbedkitError, missing_extra
from embedkit.options import describe
from embedkit.plugins import load_plugins
from embedkit.training import train

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise missing_extra("scikit-learn", "sklearn", "embedkit.sklearn") from error

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings


class SentenceVectorizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learns a vector for each token, and makes one of each sentence: what the model's query builder makes of it.

    A sentence is a list of strings: the words of a text, the items of a basket. A table (DataFrame or two-dimensional
    array) of at least two columns is taken by rows, each cell a token, a missing value none. Tokens that were not met
    in `fit` are passed over; a sentence of nothing else gets zeros.

    Parameters
    ----------
    trainer
        The name of a registered trainer.
    vector_size
        Numbers in a vector.
    min_count
        Tokens that occur less often are left out.
    seed, workers
        As for the trainer; with one worker the same sentences give the same vectors.
    options
        Further options of the trainer: `{"epochs": 20}`.

    Attributes
    ----------
    embeddings_
        The `Embeddings` that were learned.

    Examples
    --------
    >>> pipeline = make_pipeline(SentenceVectorizer(vector_size=32), LogisticRegression())
    >>> pipeline.fit([["fresh", "bread"], ["late", "train"]], ["food", "travel"])
    """

    def __init__(
        self,
        trainer: str = "skipgram",
        *,
        vector_size: int = 100,
        min_count: int = 1,
        seed: int = 1,
        workers: int = 1,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.trainer = trainer
        self.vector_size = vector_size
        self.min_count = min_count
        self.seed = seed
        self.workers = workers
        self.options = options

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn vectors from sentences; `y` is not looked at.

        Raises
        ------
        EmbedkitError
            If there is no token that occurs often enough, or an option is none of the trainer's.
        """
        from embedkit.corpus import Corpus

        sentences = self._sentences(X, reset=True)
        if not any(sentences):
            raise EmbedkitError("the sentences hold no token; look at how they are split.")
        corpus = Corpus.from_sentences([Sentence(tokens) for tokens in sentences], min_count=self.min_count)
        declared = {spec.name for spec in describe(load_plugins().trainer(self.trainer).Options)}
        values: dict[str, Any] = {n: getattr(self, n) for n in ("vector_size", "seed", "workers") if n in declared}
        values.update(self.options or {})
        self.embeddings_: Embeddings = train(corpus, self.trainer, **values)
        self._n_features_out = self.embeddings_.vector_size
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return a vector for each sentence: float32 (n_sentences × vector_size)."""
        check_is_fitted(self)
        sentences = self._sentences(X, reset=False)
        known = self.embeddings_.tokens
        ids = known.find_all([token for tokens in sentences for token in tokens])
        row = np.repeat(np.arange(len(sentences)), [len(tokens) for tokens in sentences])
        counts = np.bincount(row[ids >= 0], minlength=len(sentences))
        filled = counts > 0
        vectors = np.zeros((len(sentences), self.embeddings_.vector_size), np.float32)
        if filled.any():
            indptr = np.concatenate(([0], np.cumsum(counts[filled])))
            vectors[filled] = self.embeddings_.query_vectors(History(indptr, ids[ids >= 0].astype(np.int32)))
        return vectors

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _sentences(self, X: Any, reset: bool) -> list[list[str]]:
        """Return each sentence's tokens; a table is checked as scikit-learn checks tables."""
        if hasattr(X, "__array__") or hasattr(X, "__dataframe__") or _is_sparse(X):
            if getattr(X, "ndim", 2) == 1 and _holds_sentences(X):
                return [_tokens(sentence) for sentence in X]
            checks = {"dtype": None, "ensure_all_finite": "allow-nan", "ensure_min_features": 2 if reset else 1}
            cells = validate_data(self, X, reset=reset, **checks)
            return [[str(cell) for cell in cells_of if not _missing(cell)] for cells_of in cells.tolist()]
        if isinstance(X, str) or not isinstance(X, Iterable):
            raise EmbedkitError("sentences must be a list of lists of strings, or a table.")
        return [_tokens(sentence) for sentence in X]


def _tokens(sentence: Any) -> list[str]:
    if isinstance(sentence, str | bytes) or not isinstance(sentence, Iterable):
        raise EmbedkitError(f"a sentence must be a list of strings, not {sentence!r}: split it first.")
    return [str(token) for token in sentence if not _missing(token)]


def _holds_sentences(column: Sequence[Any]) -> bool:
    """Return whether a column, such as one of a DataFrame, holds lists."""
    first = next(iter(column), None)
    return isinstance(first, Iterable) and not isinstance(first, str)


def _is_sparse(X: Any) -> bool:
    return hasattr(X, "tocsr")


def _missing(cell: Any) -> bool:
    return not isinstance(cell, str) and (cell is None or type(cell).__name__ == "NAType" or bool(cell != cell))
