"""Vectors for words that are not in the vocabulary, made of those of their character n-grams."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np

from embedkit.embeddings.ngrams import Ngrams
from embedkit.errors import EmbedkitError

Scale = Literal["root", "mean"]

_VECTORS, _BUCKETS, _CONFIG = "subword_vectors", "subword_buckets", "subwords"


@dataclass(frozen=True)
class Subwords:
    """The vectors of n-grams that a model was learned with.

    Attributes
    ----------
    ngrams
        How words fall into n-grams.
    vectors
        float32 (n × vector_size), one for each bucket that has any.
    buckets
        int32 (n), these buckets, ascending; None where `vectors` has all of them.
    scale
        What a sum over k subwords is divided by: `root` of k, as the trainer `fasttext` does, or k for the `mean`, as
        fastText itself does.
    """

    ngrams: Ngrams
    vectors: np.ndarray
    buckets: np.ndarray | None
    scale: Scale

    @classmethod
    def read(cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], vector_size: int) -> Self | None:
        """Return those of a model, or None where it has none.

        Raises
        ------
        EmbedkitError
            If what the model tells of them does not fit together.
        """
        told = config.get(_CONFIG)
        if told is None or _VECTORS not in arrays:
            return None
        vectors, buckets = arrays[_VECTORS], arrays.get(_BUCKETS)
        try:
            scale = told["scale"]
            ngrams = Ngrams(int(told["min_n"]), int(told["max_n"]), int(told["n_buckets"]), bool(told["jamo"]))
            n = ngrams.n_buckets if buckets is None else len(buckets)
            whole = 1 <= ngrams.min_n <= ngrams.max_n and ngrams.n_buckets >= 1
            fits = vectors.shape == (n, vector_size) and vectors.dtype == np.float32
            listed = buckets is None or (buckets.ndim == 1 and buckets.dtype.kind == "i")
            if not (whole and fits and listed) or scale not in get_args(Scale):
                raise ValueError
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise EmbedkitError("the model's table of n-grams is damaged; train or import it again.") from error
        return cls(ngrams, vectors, buckets, scale)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays to keep in a model."""
        return {_VECTORS: self.vectors} | ({} if self.buckets is None else {_BUCKETS: self.buckets})

    @property
    def config(self) -> dict[str, Any]:
        """What to keep in a model's configuration."""
        return asdict(self.ngrams) | {"scale": self.scale}

    def build(self, word: str) -> np.ndarray | None:
        """Return the vector (float32) of a word of which nothing but its n-grams is known; None if none of them is.

        The word is taken as it stands, or in the Unicode normal form, which looks the same, of which more is known.
        """
        forms = dict.fromkeys((word, unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)))
        rows, _ = max((self._rows(form) for form in forms), key=lambda found: found[1])
        if not len(rows):
            return None
        divisor = len(rows) if self.scale == "mean" else np.sqrt(len(rows))
        with np.errstate(over="ignore", invalid="ignore"):  # a damaged model's; whoever ranks by it tells
            return np.asarray(self.vectors[rows].sum(axis=0) / divisor, np.float32)

    def _rows(self, word: str) -> tuple[np.ndarray, float]:
        """Return the rows of a word's n-grams that are known, and what share of all they are."""
        wanted = np.array(self.ngrams.of(word), np.int64)
        if self.buckets is None or not len(self.buckets):
            rows = wanted if self.buckets is None else wanted[:0]
        else:
            places = np.minimum(np.searchsorted(self.buckets, wanted), len(self.buckets) - 1)
            rows = places[self.buckets[places] == wanted]
        return rows, len(rows) / max(1, len(wanted))
