"""Which rows of a table of subwords each token is made of: one of its own, and one for each of its n-grams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.embeddings.ngrams import Ngrams
from embedkit.names import Names


@dataclass(frozen=True)
class SubwordRows:
    """The subwords of a vocabulary; buckets that no token has an n-gram in have no row.

    The rows that training meets most often come first, so that they lie side by side.

    Attributes
    ----------
    indptr, rows
        int64 (n_tokens + 1), int32: token t is made of the rows `rows[indptr[t]:indptr[t + 1]]`.
    buckets
        int32, the buckets that occur, ascending.
    bucket_rows
        int64, the row of each of these.
    """

    indptr: np.ndarray
    rows: np.ndarray
    buckets: np.ndarray
    bucket_rows: np.ndarray

    @classmethod
    def of(cls, tokens: Names, ngrams: Ngrams, weights: np.ndarray) -> SubwordRows:
        """List the subwords of tokens that are met in proportion to `weights` (n_tokens)."""
        n = len(tokens)
        pointers, hashed = ngrams.of_all(tokens)
        buckets, found = np.unique(hashed, return_inverse=True)
        lengths = np.diff(pointers)
        met = np.concatenate((weights, np.bincount(found, np.repeat(weights, lengths), len(buckets))))
        row_of = np.empty(len(met), np.int64)
        row_of[np.argsort(-met, kind="stable")] = np.arange(len(met))
        indptr = pointers + np.arange(n + 1)
        rows = np.empty(int(indptr[-1]), np.int32)
        rows[indptr[:-1]] = row_of[:n]
        rows[np.arange(len(found)) + np.repeat(np.arange(1, n + 1), lengths)] = row_of[n:][found]
        return cls(indptr, rows, buckets, row_of[n:])

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.indptr) - 1 + len(self.buckets)

    def overlap(self, shares: np.ndarray) -> float:
        """Return how much of a step on one token moves another, on average over tokens drawn with these shares.

        It is the mean of u(a) u(b) for two draws, where u has 1 / root of their number at each of a token's rows; about
        the sum of squared shares where tokens have nothing in common.
        """
        lengths = np.diff(self.indptr)
        moved = np.bincount(self.rows, np.repeat(shares / np.sqrt(lengths), lengths), len(self))
        return float(np.square(moved).sum())
