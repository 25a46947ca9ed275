"""The character n-grams of words and the buckets that they are hashed to, exactly as fastText has them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np

from embedkit.names import Names


@dataclass(frozen=True)
class Ngrams:
    """How words fall into n-grams (Bojanowski et al. 2017, arXiv 1607.04606).

    A word stands between `<` and `>`; its n-grams are all stretches of `min_n` to `max_n` characters (Unicode code
    points) of that, except those two marks alone. An n-gram that a word has twice counts twice.

    Attributes
    ----------
    min_n, max_n
        The least and the most characters of an n-gram.
    n_buckets
        N-grams are hashed to so many buckets, by FNV-1a over UTF-8 with bytes taken as signed, as in fastText.
    jamo
        Whether Hangul syllables are decomposed to their letters first.
    """

    min_n: int
    max_n: int
    n_buckets: int
    jamo: bool = False

    def of(self, word: str) -> list[int]:
        """Return the buckets of a word's n-grams, in order."""
        if self.jamo:
            word = "".join(unicodedata.normalize("NFD", c) if "가" <= c <= "힣" else c for c in word)
        text = f"<{word}>"
        return [
            fnv1a(text[start : start + n].encode()) % self.n_buckets
            for start in range(len(text))
            for n in range(self.min_n, min(self.max_n, len(text) - start) + 1)
            if not (n == 1 and start in (0, len(text) - 1))
        ]

    def of_all(self, words: Names) -> tuple[np.ndarray, np.ndarray]:
        """Return the buckets of many words in compressed rows.

        Returns
        -------
        indptr
            int64 (n + 1): those of word w are `buckets[indptr[w]:indptr[w + 1]]`.
        buckets
            int32.
        """
        from embedkit.embeddings.kernels_ngrams import list_ngrams

        indptr, buckets = np.zeros(len(words) + 1, np.int64), np.empty(0, np.int32)
        utf8, offsets = np.ascontiguousarray(words.utf8), np.ascontiguousarray(words.offsets)
        for _ in range(2):  # the first time to know how many there are
            list_ngrams(utf8, offsets, self.min_n, self.max_n, self.n_buckets, self.jamo, indptr, buckets)
            if not len(buckets):
                buckets = np.empty(int(indptr[-1]), np.int32)
        return indptr, buckets


def fnv1a(data: bytes) -> int:
    """Return the 32-bit FNV-1a hash of bytes, each extended by its sign as fastText does."""
    hashed = 2166136261
    for byte in data:
        hashed = (hashed ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619 & 0xFFFFFFFF
    return hashed
