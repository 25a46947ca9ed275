"""Which rows of a table of subwords each token is made of: one of its own, and one for each of its n-grams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.embeddings.ngrams import Ngrams
from embedkit.embeddings.subwords import Subwords
from embedkit.names import Names
from embedkit.trainers.machinery.growth import Known


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

    def put(
        self, table: np.ndarray, tokens: Known, vectors: np.ndarray, subwords: Subwords
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put a model's subwords into a table (rows × width), and return the rows of tokens and of n-grams (int64).

        The model has the vectors of n-grams, and of each token the sum: its own subword is what is left of that.

        Parameters
        ----------
        vectors
            float32, the model's vectors of its tokens.
        """
        assert subwords.buckets is not None
        size = vectors.shape[1]
        _, ours, theirs = np.intersect1d(self.buckets, subwords.buckets, assume_unique=True, return_indices=True)
        of_buckets = self.bucket_rows[ours]
        table[of_buckets, :size] = subwords.vectors[theirs]
        starts, stops = self.indptr[tokens.now], self.indptr[tokens.now + 1]
        for own, old, start, stop in zip(starts, tokens.before, starts + 1, stops, strict=True):
            table[self.rows[own], :size] = vectors[old] * np.sqrt(np.float32(stop - own))
            table[self.rows[own], :size] -= table[self.rows[start:stop], :size].sum(axis=0)
        return self.rows[starts].astype(np.int64), of_buckets

    def overlap(self, shares: np.ndarray) -> float:
        """Return how much of a step on one token moves another, on average over tokens drawn with these shares.

        It is the mean of u(a) u(b) for two draws, where u has 1 / root of their number at each of a token's rows; about
        the sum of squared shares where tokens have nothing in common.
        """
        lengths = np.diff(self.indptr)
        moved = np.bincount(self.rows, np.repeat(shares / np.sqrt(lengths), lengths), len(self))
        return float(np.square(moved).sum())
