"""What is ranked over: all vectors, by dot product or by cosine, and the quickest way through them."""

from __future__ import annotations

import numpy as np

from embedkit.errors import EmbedkitError
from embedkit.memory import available_bytes
from embedkit.server.codes import Codes
from embedkit.server.kernels import LANES, best_of_all
from embedkit.server.kernels_codes import AVAILABLE, best_by_codes

MOST = 2 * LANES
"""How many questions one pass takes."""

_WORTH = 0.04  # of all scores, those that codes may leave to be worked out; with more, plain products are quicker
_LARGEST = 3e38  # about what float32 holds


class Space:
    """Vectors, and what their dot products are multiplied with.

    Parameters
    ----------
    vectors
        float32 (n × d).
    scale
        float32 (n), or of length 0.
    codes
        The vectors' codes, scaled alike, or None for doing without.
    """

    def __init__(self, vectors: np.ndarray, scale: np.ndarray, codes: Codes | None) -> None:
        self.codes = codes
        self._vectors, self._scale = vectors, scale
        self.share = 0.0

    def __len__(self) -> int:
        return len(self._vectors)

    def best(
        self, queries: np.ndarray, topn: int, indptr: np.ndarray, excluded: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids and scores of the best candidates of each of up to `MOST` queries, in no order.

        Parameters
        ----------
        queries
            float32 (rows × d).
        topn
            How many of each.
        indptr, excluded
            Compressed rows of int32 ids that are left out, each ascending.

        Returns
        -------
        tuple of ndarray
            int32 and float32 (rows × min(topn, n)); -1 and -inf where there are fewer.

        Raises
        ------
        EmbedkitError
            If a score is not finite.
        """
        ids = np.full((len(queries), min(topn, len(self))), -1, np.int32)
        scores = np.full(ids.shape, -np.inf, np.float32)
        width = -(-len(queries) // LANES) * LANES
        if self.codes is None:
            columns = np.zeros((queries.shape[1], width), np.float32)
            columns[:, : len(queries)] = queries.T
            if best_of_all(columns, self._vectors, self._scale, indptr, excluded, ids, scores) >= 0:
                raise _too_large()
            return ids, scores
        asked, lanes = self.codes.asked(queries, width)
        if not (lanes[1].astype(np.float64) * self.codes.longest < _LARGEST).all():
            raise _too_large()
        worked_out = best_by_codes(
            self.codes.codes, self.codes.about, self._vectors, self._scale, asked, lanes, queries,
            indptr, excluded, ids, scores,
        )  # fmt: skip
        self.share = worked_out / (len(queries) * len(self))
        return ids, scores

    def choose(self, queries: np.ndarray) -> None:
        """Try some queries, which compiles what they need, and give up the codes where they rule out too little.

        That depends on the vectors: where one number of them is much larger than all others, codes tell little.
        """
        nothing = np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int32)
        self.best(queries, 10, *nothing)
        if self.codes is not None and self.share > max(_WORTH, 200 / len(self)):
            self.codes = None
            self.best(queries, 10, *nothing)


def spaces_of(vectors: np.ndarray, targets: np.ndarray, inverse: np.ndarray) -> tuple[Space, Space]:
    """Return the space of recommendations, by dot product over `targets`, and that of cosines over `vectors`.

    Codes, which make answers faster, are left out where there is no memory for them.
    """
    nothing = np.empty(0, np.float32)
    coded = of_targets = None
    tables = 1 if targets is vectors else 2
    free = available_bytes()
    fit = free is None or tables * Codes.bytes_for(*vectors.shape) < free
    if AVAILABLE and vectors.shape[1] <= Codes.WIDEST and fit:
        coded = Codes.of(vectors)
        of_targets = coded if targets is vectors else Codes.of(targets)
    return Space(targets, nothing, of_targets), Space(vectors, inverse, coded and coded.scaled(inverse))


def _too_large() -> EmbedkitError:
    return EmbedkitError("a score is not finite: the model holds numbers that are too large; train it again.")
