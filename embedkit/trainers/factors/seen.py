"""The interactions that a matrix is factorised from: whose rows they are, and what each is worth."""

from __future__ import annotations

import numpy as np

from embedkit.contracts import History
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.queries.histories import interactions

_LIGHTEST, _HEAVIEST = 1e-9, 1e9  # whose squares' products float32 still holds
_BLOCK = 1 << 22


def rows_of(corpus: Corpus, weighting: str) -> History:
    """Return a row of distinct tokens for each key, and after them for each sentence that belongs to nobody.

    Without keys every sentence is a row. Weights are as `embedkit.queries.interactions` makes them.

    Raises
    ------
    EmbedkitError
        If there are fewer than two rows or two tokens, so that nothing can be told apart, or weights are out of range.
    """
    rows = histories_of(corpus)
    what = "sentence" if corpus.keys is None else "key"
    for number, name in ((len(rows), what), (len(corpus.tokens), "token")):
        if number < 2:
            raise EmbedkitError(f"there is a single {name}, so nothing to tell apart; this trainer needs two or more.")
    seen = interactions(rows, weighting)
    assert seen.weights is not None
    check_weights(seen.weights)
    return seen


def check_weights(weights: np.ndarray) -> None:
    """Refuse weights whose products float32 cannot hold."""
    low, high = float(weights.min()), float(weights.max())
    if low < _LIGHTEST or high > _HEAVIEST:
        raise EmbedkitError(
            f"interactions weigh from {low:g} to {high:g}, and float32 cannot reckon with that; "
            f"bring them between {_LIGHTEST:g} and {_HEAVIEST:g}."
        )


def check_remembers_all(start: Embeddings, trainer: str) -> None:
    """Refuse to grow a model whose histories are not all that it learned from.

    They are all that an update learns from besides the new sentences, so it would erase what sentences of nobody, which
    no model keeps, have told. Histories may hold more than was learned: early stopping adds what it held out.

    Raises
    ------
    EmbedkitError
        If there are no histories, or a token occurred more often than in them.
    """
    if start.histories is None:
        raise EmbedkitError(
            f"{trainer} learns from all interactions, and this model keeps none: its sentences were nobody's. Train "
            "anew."
        )
    if start.counts is None:
        return
    kept, indices = np.zeros(len(start), np.int64), start.histories.indices
    for begin in range(0, len(indices), _BLOCK):
        kept += np.bincount(indices[begin : begin + _BLOCK], minlength=len(start))
    forgotten = int(np.maximum(start.counts - kept, 0).sum())
    if forgotten:
        raise EmbedkitError(
            f"{trainer} learns from all interactions, and this model keeps all but {forgotten:,}: those of sentences "
            "without a key, which an update would erase. Train anew, on old and new data together."
        )


def check_all_owned(corpus: Corpus, trainer: str) -> None:
    """Refuse to grow a model by sentences of nobody: no model keeps them, so that the next update would erase them.

    Raises
    ------
    EmbedkitError
        If a sentence has no key.
    """
    owned = corpus.sentence_keys is not None and bool((corpus.sentence_keys >= 0).all())
    if not owned:
        raise EmbedkitError(
            f"some of the new sentences have no key, so no model keeps them, and what {trainer} learns from them would "
            "be erased by the next update: give each a key, leave them out, or train anew on all data."
        )


def histories_of(corpus: Corpus) -> History:
    """Return the tokens of each key, oldest first, and after them those of each sentence that belongs to nobody.

    Without keys every sentence is a row, as it lies in the corpus' files.
    """
    sentences = History(corpus.offsets, corpus.ids, corpus.weights, corpus.times)
    histories = corpus.histories()
    if histories is None or corpus.sentence_keys is None:
        return sentences
    return _joined(histories, sentences.take(np.flatnonzero(corpus.sentence_keys < 0)))


def touched_histories_of(corpus: Corpus) -> History:
    """Return those of the rows of `histories_of` that have a sentence in the corpus: all but those of a grown one."""
    rows = histories_of(corpus)
    if corpus.keys is None or corpus.sentence_keys is None:
        return rows
    owners = np.unique(corpus.sentence_keys)
    return rows.take(np.concatenate((owners[owners >= 0], np.arange(len(corpus.keys), len(rows)))))


def _joined(first: History, second: History) -> History:
    if len(second) == 0:
        return first
    indptr = np.concatenate((first.indptr, first.indptr[-1] + second.indptr[1:]))
    columns = ((first.weights, second.weights), (first.times, second.times))
    weights, times = (None if one is None or other is None else np.concatenate((one, other)) for one, other in columns)
    return History(indptr, np.concatenate((first.indices, second.indices)), weights, times)
