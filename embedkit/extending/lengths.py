"""How long predicted vectors are to be, chosen by what a model's own histories say.

Each token is taken for a new one: it has the vector that is predicted for it without looking at it. Keys are asked by
their histories without the last token, and that token is what they should find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from embedkit.contracts import History
from embedkit.embeddings import Embeddings

_KEYS = 1000
_BATCH = 250
_TOP = 20
_SCALES = 2.0 ** np.arange(-2, 4.01, 1 / 8)
_SHARE = 0.2  # of tokens that are taken for new when they compete with the others


class Trial:
    """The keys of a model that are asked, and the tokens they are asked for.

    Parameters
    ----------
    tokens
        int64 (n) ids of the tokens for which there are predictions.
    """

    def __init__(self, emb: Embeddings, tokens: np.ndarray, rng: np.random.Generator) -> None:
        self._emb = emb
        self._tokens = tokens
        self._new = rng.random(len(tokens)) < _SHARE
        self._place = np.full(len(emb), -1)
        self._place[tokens] = np.arange(len(tokens))
        history = emb.histories or History(np.zeros(1, np.int64), np.zeros(0, np.int32))
        asked = np.flatnonzero(np.diff(history.indptr) >= 2)
        asked = asked[self._place[history.indices[history.indptr[asked + 1] - 1]] >= 0]
        self._histories = history.take(np.sort(rng.permutation(asked)[:_KEYS]))

    def __len__(self) -> int:
        return len(self._histories)

    def best(self, candidates: Sequence[np.ndarray]) -> int:
        """Return which of the predictions (float32, n × d) ranks the last tokens best among all of its own.

        Ranks are valued by 1 / log2(1 + rank), as in NDCG.
        """
        values = np.zeros(len(candidates))
        for queries, history in self._batches():
            for which, predicted in enumerate(candidates):
                values[which] += self._value(queries @ predicted.T, history)
        return int(np.argmax(values))

    def scale(self, predicted: np.ndarray, sized: np.ndarray | None = None) -> float:
        """Return what to multiply predictions by, so that new tokens get the share of recommendations that is theirs.

        A part of the tokens, drawn, is taken for new and competes with the learned vectors of the others. Their share
        of the top 20 is to be what it is of the last tokens of the histories. Only those numbers are multiplied that
        are `sized` (bool d, all where None); what the others add to scores is that of the best at a factor of 1.
        """
        fixed = np.zeros(predicted.shape[1], bool) if sized is None else ~sized
        learned = np.asarray(self._emb.targets[self._tokens[~self._new]])
        best: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        added: list[np.ndarray] = []
        theirs = 0
        for queries, history in self._batches():
            last = self._place[history.indices[history.indptr[1:] - 1]]
            theirs += int(self._new[last].sum())
            for side, kept in enumerate((self._new, ~self._new)):
                scores = queries @ (predicted[kept] if side == 0 else learned).T
                _hide(scores, _without_last(history), np.where(kept, np.cumsum(kept) - 1, -1)[self._place], self._place)
                first = np.argsort(-scores, axis=1)[:, :_TOP]
                best[side].append(np.take_along_axis(scores, first, axis=1))
                if side == 0:
                    offsets = queries[:, fixed] @ predicted[kept][:, fixed].T
                    added.append(np.take_along_axis(offsets, first, axis=1))
        new, offset = np.concatenate(best[0]), np.concatenate(added)
        return _scale_for_share(new - offset, np.concatenate(best[1]), theirs / len(self), offset)

    def _batches(self) -> Iterator[tuple[np.ndarray, History]]:
        for start in range(0, len(self), _BATCH):
            history = self._histories.take(np.arange(start, min(start + _BATCH, len(self))))
            yield self._emb.query_vectors(_without_last(history)), history

    def _value(self, scores: np.ndarray, history: History) -> float:
        last = self._place[history.indices[history.indptr[1:] - 1]]
        own = scores[np.arange(len(scores)), last].copy()
        _hide(scores, history, self._place, self._place)
        return float((1 / np.log2(2 + (scores > own[:, None]).sum(axis=1))).sum())


def _hide(scores: np.ndarray, history: History, column: np.ndarray, place: np.ndarray) -> None:
    """Let no history's own tokens be answers; `column` is that of each token, -1 for none."""
    rows = np.repeat(np.arange(len(history)), np.diff(history.indptr))
    columns = np.where(place[history.indices] >= 0, column[history.indices], -1)
    scores[rows[columns >= 0], columns[columns >= 0]] = -np.inf


def _scale_for_share(new: np.ndarray, learned: np.ndarray, share: float, offset: np.ndarray | float = 0.0) -> float:
    """Return the factor of the scores in `new` (rows × k, best first) at which that share of the top k is theirs.

    `offset` is added to these afterwards.

    Where several come as near, it is the one nearest to 1. Negative scores rise as they are scaled down, so the share
    need not grow with the factor: all are tried.
    """
    best = _SCALES[0]
    nearest = np.inf
    for scale in sorted(_SCALES, key=lambda scale: abs(np.log(scale))):
        both = np.hstack((new * np.float32(scale) + offset, learned))
        k = min(_TOP, both.shape[1])
        first = np.argpartition(-both, k - 1, axis=1)[:, :k]
        miss = abs((first < new.shape[1]).mean() - share)
        if miss < nearest - 1e-9:
            best, nearest = scale, miss
    return float(best)


def _without_last(history: History) -> History:
    kept = np.ones(len(history.indices), bool)
    kept[history.indptr[1:] - 1] = False
    indptr = history.indptr - np.arange(len(history.indptr))
    weights = None if history.weights is None else history.weights[kept]
    times = None if history.times is None else history.times[kept]
    return History(indptr, history.indices[kept], weights, times)
