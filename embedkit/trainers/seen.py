"""The interactions that a matrix is factorised from: whose rows they are, and what each is worth."""

from __future__ import annotations

import numpy as np

from embedkit.contracts import History
from embedkit.corpus import Corpus
from embedkit.errors import EmbedkitError
from embedkit.queries.histories import interactions

_LIGHTEST, _HEAVIEST = 1e-9, 1e9  # whose squares' products float32 still holds


def rows_of(corpus: Corpus, weighting: str) -> History:
    """Return a row of distinct tokens for each key, and after them for each sentence that belongs to nobody.

    Without keys every sentence is a row. Weights are as `embedkit.queries.interactions` makes them.

    Raises
    ------
    EmbedkitError
        If there are fewer than two rows or two tokens, so that nothing can be told apart, or weights are out of range.
    """
    sentences = History(corpus.offsets, corpus.ids, corpus.weights)
    histories = corpus.histories()
    if histories is None or corpus.sentence_keys is None:
        rows, what = sentences, "sentence"
    else:
        rows, what = _joined(histories, sentences.take(np.flatnonzero(corpus.sentence_keys < 0))), "key"
    for number, name in ((len(rows), what), (len(corpus.tokens), "token")):
        if number < 2:
            raise EmbedkitError(f"there is a single {name}, so nothing to tell apart; this trainer needs two or more.")
    seen = interactions(rows, weighting)
    assert seen.weights is not None
    low, high = float(seen.weights.min()), float(seen.weights.max())
    if low < _LIGHTEST or high > _HEAVIEST:
        raise EmbedkitError(
            f"interactions weigh from {low:g} to {high:g}, and float32 cannot reckon with that; "
            f"bring them between {_LIGHTEST:g} and {_HEAVIEST:g}."
        )
    return seen


def _joined(first: History, second: History) -> History:
    if len(second) == 0:
        return first
    weights = None
    if first.weights is not None and second.weights is not None:
        weights = np.concatenate((first.weights, second.weights))
    indptr = np.concatenate((first.indptr, first.indptr[-1] + second.indptr[1:]))
    return History(indptr, np.concatenate((first.indices, second.indices)), weights)
