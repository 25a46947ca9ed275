"""What questions to embeddings are answered with: names and scores, never ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedkit.names import Names
from embedkit.scoring import Ranked

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class Block:
    """Answers to some queries, as arrays that can be written out without a Python object for each.

    Attributes
    ----------
    queries
        The names of the queries.
    names
        What the ids stand for.
    ids
        int32 (n_queries × k), best first, -1 where there are fewer answers.
    scores
        float32 of that shape.
    columns
        What the queries and the answers are called in a table: `key` and `token`.
    """

    queries: list[str]
    names: Names
    ids: np.ndarray
    scores: np.ndarray
    columns: tuple[str, str] = ("key", "token")

    @property
    def unanswered(self) -> list[str]:
        """The queries without any answer."""
        none = (self.ids < 0).all(axis=1)
        return [self.queries[row] for row in np.flatnonzero(none).tolist()]

    def pairs(self, row: int = 0) -> list[tuple[str, float]]:
        """Return the names and scores that answer one query."""
        found = self.ids[row] >= 0
        return list(zip(self.names[self.ids[row][found]], self.scores[row][found].tolist(), strict=True))

    def to_frame(self) -> pd.DataFrame:
        """Return a table: query, answer and score, best first."""
        import pandas as pd

        rows, tokens, scores = self._columns()
        query, answer = self.columns
        asked = np.array([*self.queries, None], object)[:-1]
        return pd.DataFrame({query: asked[rows], answer: tokens, "score": scores})

    def to_arrow(self) -> pa.Table:
        """Return the same table for Arrow."""
        import pyarrow as pa

        rows, tokens, scores = self._columns()
        asked = pa.array(self.queries, pa.string()).take(pa.array(rows))
        names = [*self.columns, "score"]
        return pa.Table.from_arrays([asked, pa.array(tokens, pa.string()), pa.array(scores)], names=names)

    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row, the name and the score of every answer."""
        found = self.ids >= 0
        rows = np.nonzero(found)[0]
        distinct, place = np.unique(self.ids[found], return_inverse=True)
        tokens = np.array([*self.names[distinct], None], object)[:-1]
        return rows, tokens[place], self.scores[found]


@dataclass(frozen=True)
class Explanation:
    """Which tokens of a history carried a score.

    Attributes
    ----------
    item
        The token whose score is explained.
    score
        Its score.
    parts
        Tokens of the history and what each adds, the greatest first.
    rest
        What the tokens beyond `topn` add together.
    exact
        True: the parts and the rest sum to the score. False: each part is by how much the score falls
        without that token, which does not sum to it.
    """

    item: str
    score: float
    parts: list[tuple[str, float]]
    rest: float
    exact: bool


def block_of(
    queries: Sequence[str], names: Names, ranked: Ranked, columns: tuple[str, str] = ("query", "token")
) -> Block:
    """Return a ranking with the names of its queries and answers."""
    return Block(list(queries), names, ranked.ids, ranked.scores, columns)
