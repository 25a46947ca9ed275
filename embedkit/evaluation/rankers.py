"""What can be evaluated: anything that scores all tokens for keys or histories, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from embedkit.contracts import History
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.names import Names
from embedkit.scoring import Ranked, Rows, popular, rank, topk
from embedkit.scoring.ranking import Scorer

_ROWS = 1 << 13  # rows asked at a time where scores are made tile by tile
SCORES = 1 << 24  # scores at a time where whole rows of them are made: 64 MiB
WORTH_KERNEL = 1 << 24  # scores from which importing the compiled selection pays


class Ranker:
    """Ranks its tokens for rows that are asked.

    Attributes
    ----------
    name
        What a table calls it.
    tokens, counts
        The tokens it ranks and how often each occurred (None: not known).
    keys, histories
        Whom it knows, and their tokens; None where it knows nobody.
    """

    name: ClassVar[str] = ""

    def __init__(self, tokens: Names, counts: np.ndarray | None, keys: Names | None, histories: History | None) -> None:
        self.tokens, self.counts, self.keys, self.histories = tokens, counts, keys, histories

    def __len__(self) -> int:
        return len(self.tokens)

    def answers(self, keys: np.ndarray, history: History) -> np.ndarray:
        """Return bool, whether each row can be asked: keys (int64, -1 unknown) with their histories."""
        return np.diff(history.indptr) > 0

    def best(self, keys: np.ndarray | None, history: History, k: int, exclude: Rows | None) -> Ranked:
        """Return the best `k` for each row: of all tokens, never of a sample.

        Parameters
        ----------
        keys
            int64, rows of its keys; None for histories that belong to nobody.
        history
            The rows' histories.
        exclude
            Ids left out of each row's answer.
        """
        raise NotImplementedError

    def most_popular(self, n: int, k: int) -> Ranked:
        """Return the most frequent tokens, the same for each of n rows.

        Raises
        ------
        EmbedkitError
            If it is not known how often tokens occurred.
        """
        if self.counts is None:
            raise EmbedkitError("this model does not know how often its tokens occurred: there is no fallback.")
        ranked = popular(self.counts, k)
        return Ranked(ranked.ids.repeat(n, axis=0), ranked.scores.repeat(n, axis=0))


class Model(Ranker):
    """Embeddings, asked as `Embeddings.recommend` asks them."""

    def __init__(self, embeddings: Embeddings) -> None:
        super().__init__(embeddings.tokens, embeddings.counts, embeddings.keys, embeddings.histories)
        self._embeddings = embeddings

    def answers(self, keys: np.ndarray, history: History) -> np.ndarray:
        """Return bool; a learned key vector answers without a history too."""
        known = keys >= 0
        return known if self._embeddings.key_vectors is not None else known & (np.diff(history.indptr) > 0)

    def best(self, keys: np.ndarray | None, history: History, k: int, exclude: Rows | None) -> Ranked:
        """Return the tokens with the greatest dot products of query and target."""
        emb = self._embeddings
        parts = []
        for start, stop in _blocks(len(history), _ROWS):
            rows = np.arange(start, stop)
            queries = emb.query_vectors(history.take(rows)) if keys is None else emb.key_queries(keys[rows])
            left_out = None if exclude is None else Rows(exclude.indptr[start : stop + 1], exclude.indices)
            kernel = len(history) * len(self) >= WORTH_KERNEL or None
            parts.append(topk(queries, emb.targets, k, exclude=left_out, kernel=kernel))
        return _joined(parts)


class WholeRows(Ranker):
    """A ranker that makes the scores of some rows for all tokens at once."""

    def scores(self, history: History) -> np.ndarray:
        """Return float32 (n × n_tokens)."""
        raise NotImplementedError

    def best(self, keys: np.ndarray | None, history: History, k: int, exclude: Rows | None) -> Ranked:
        """Return the tokens with the greatest scores."""
        parts = []
        kernel = len(history) * len(self) >= WORTH_KERNEL
        for start, stop in _blocks(len(history), max(1, SCORES // len(self))):
            made = self.scores(history.take(np.arange(start, stop)))
            left_out = None if exclude is None else Rows(exclude.indptr[start : stop + 1], exclude.indices)
            parts.append(rank(copied(made), stop - start, len(self), k, exclude=left_out, kernel=kernel))
        return _joined(parts)


def copied(made: np.ndarray) -> Scorer:
    """Return a scorer that hands on scores that were made before."""

    def score(rows: slice, items: slice | np.ndarray, out: np.ndarray) -> None:
        out[:] = made[rows, items]

    return score


def _blocks(n: int, height: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + height, n)) for start in range(0, n, height))


def _joined(parts: list[Ranked]) -> Ranked:
    return Ranked(np.concatenate([p.ids for p in parts]), np.concatenate([p.scores for p in parts]))
