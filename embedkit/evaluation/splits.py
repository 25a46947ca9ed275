"""Splits of a corpus into what is learned from and what is held out; the same seed gives the same split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from embedkit.contracts import History
from embedkit.corpus import Corpus
from embedkit.errors import OptionError, SourceError
from embedkit.evaluation.heldout import HeldOut, one_each
from embedkit.names import Names


@dataclass(frozen=True)
class Split:
    """A corpus in two parts.

    Attributes
    ----------
    train
        The part to learn from; its vocabulary, counts and keys are those of this part alone.
    test
        The part held out. It names tokens and keys that `train` may not know.
    """

    train: Corpus
    test: HeldOut


def random(corpus: Corpus, share: float = 0.2, seed: int = 1) -> Split:
    """Hold out a share of each key's interactions, drawn without regard to time.

    A key with n of them gives round(share × n), at most n - 1: something is always left to go by.

    Raises
    ------
    OptionError
        If the share is not between 0 and 1.
    SourceError
        If the sentences have no keys, or nothing can be held out.
    """
    _check_share(share)
    positions = _positions(corpus)
    lengths = np.diff(positions.indptr)
    wanted = np.minimum(np.round(share * lengths), np.maximum(lengths - 1, 0)).astype(np.int64)
    held = _rank_in_row(positions, _draws(positions, seed)) < np.repeat(wanted, lengths)
    return _split_keys(corpus, positions, held, "random")


def leave_one_out(corpus: Corpus, seed: int = 1) -> Split:
    """Hold out one interaction of each key that has two: the last by time, a drawn one where there are no times.

    Of interactions at the same time the one that was read last is taken.

    Raises
    ------
    SourceError
        If the sentences have no keys, or no key has two interactions.
    """
    positions = _positions(corpus)
    lengths = np.diff(positions.indptr)
    if positions.times is None:
        held = _rank_in_row(positions, _draws(positions, seed)) == 0
    else:
        held = np.arange(len(positions.indices)) == np.repeat(positions.indptr[1:] - 1, lengths)
    how = "random" if positions.times is None else "latest"
    return _split_keys(corpus, positions, held & np.repeat(lengths > 1, lengths), how)


def by_time(corpus: Corpus, share: float = 0.2, until: str | int | None = None) -> Split:
    """Hold out all interactions from one moment on, the same for everybody.

    Parameters
    ----------
    share
        The moment is chosen so that about this share of the interactions is not earlier.
    until
        The moment itself: microseconds since 1970 (UTC), or ISO text (`2013-10-01`, UTC where it has no offset).

    Raises
    ------
    OptionError
        If the share or the moment is none.
    SourceError
        If there are no keys or no times, or one of the parts would be empty.
    """
    positions = _positions(corpus)
    if positions.times is None:
        raise SourceError("a split by time needs times, and these sentences have none; split another way.")
    if until is None:
        _check_share(share)
        place = min(round((1 - share) * len(positions.times)), len(positions.times) - 1)
        moment = int(np.partition(positions.times, place)[place])
    else:
        moment = _moment(until)
    held = positions.times >= moment
    if held.all():
        raise SourceError(f"everything happened at or after {_shown(moment)}: nothing is left to learn from.")
    return _split_keys(corpus, positions, held, "by-time")


def next_item(corpus: Corpus, share: float = 0.1) -> Split:
    """Hold out the last share of the sentences; each of their prefixes is asked for the token that comes next.

    The last are those that end last, or were read last where there are no times. A held-out sentence of n tokens
    gives n - 1 rows, whatever its key.

    Raises
    ------
    OptionError
        If the share is not between 0 and 1.
    SourceError
        If no sentence of two tokens would be held out, or none left.
    """
    _check_share(share)
    n = corpus.n_sentences
    ends = corpus.offsets[1:] - 1
    order = np.arange(n) if corpus.times is None else np.argsort(corpus.times[ends], kind="stable")
    chosen = np.sort(order[n - round(share * n) :])
    sentences = History(corpus.offsets, corpus.ids).take(chosen)
    prefixes, targets = _prefixes(sentences)
    if len(targets) == 0 or len(chosen) == n:
        raise SourceError(f"{share:g} of {n:,} sentences leave nothing to ask for or to learn from; change the share.")
    held = np.zeros(n, bool)
    held[chosen] = True
    train = _kept(corpus, ~np.repeat(held, np.diff(corpus.offsets)), "latest")
    notes = Counter({"held-out sentences of one token": int((np.diff(sentences.indptr) < 2).sum())})
    return Split(train, HeldOut(corpus.tokens, one_each(targets), prefixes=prefixes, notes=+notes))


SPLITS: dict[str, Callable[..., Split]] = {
    "random": random,
    "leave-one-out": leave_one_out,
    "by-time": by_time,
    "next-item": next_item,
}
"""The splits by name."""


def _prefixes(sentences: History) -> tuple[History, np.ndarray]:
    """Return each sentence's prefixes of 1, 2, ... tokens, and the token behind each."""
    lengths = np.diff(sentences.indptr)
    is_target = np.ones(len(sentences.indices), bool)
    is_target[sentences.indptr[:-1][lengths > 0]] = False
    ends = np.flatnonzero(is_target)
    starts = np.repeat(sentences.indptr[:-1], np.maximum(lengths - 1, 0))
    sizes = ends - starts
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    entries = np.repeat(starts - indptr[:-1], sizes) + np.arange(indptr[-1])
    return History(indptr, sentences.indices[entries]), sentences.indices[ends]


def _positions(corpus: Corpus) -> History:
    """Return the histories of a corpus with the places in `corpus.ids` instead of the ids there."""
    placed = replace(corpus, ids=np.arange(corpus.n_tokens))
    positions = placed.histories()
    if positions is None:
        raise SourceError("this split holds out interactions of keys, and these sentences have none; use next-item.")
    return positions


def _draws(rows: History, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(len(rows.indices))


def _rank_in_row(rows: History, values: np.ndarray) -> np.ndarray:
    """Return for each entry how many of its row have a smaller value."""
    lengths = np.diff(rows.indptr)
    order = np.lexsort((values, np.repeat(np.arange(len(lengths)), lengths)))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(rows.indptr[:-1], lengths)
    return rank


def _split_keys(corpus: Corpus, positions: History, held: np.ndarray, how: str) -> Split:
    """Hold out the marked entries of the histories."""
    if not held.any():
        raise SourceError("nothing is held out: no key has an interaction to spare; read more, or split another way.")
    assert corpus.keys is not None
    places = positions.indices[held]
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(held)))[positions.indptr]
    times, weights = (None if values is None else values[places] for values in (corpus.times, corpus.weights))
    rows = History(indptr, corpus.ids[places], weights, times)
    test = HeldOut.of_keys(corpus.keys, corpus.tokens, rows)
    kept = np.ones(corpus.n_tokens, bool)
    kept[places] = False
    notes = test.notes
    if whole := notes.pop("keys without a target", 0):
        notes["keys with nothing held out"] += whole
    return Split(_kept(corpus, kept, how), test)


def _kept(corpus: Corpus, kept: np.ndarray, how: str) -> Corpus:
    """Return the corpus of the marked places: tokens, keys and sentences that are left, tokens by their new counts.

    A trainer that holds out more, to choose among its own options, is to do it as this was held out.
    """
    counts = np.bincount(corpus.ids[kept], minlength=len(corpus.tokens))
    left = np.flatnonzero(counts)
    left = left[np.argsort(-counts[left], kind="stable")]
    new_id = np.full(len(counts), -1, np.int32)
    new_id[left] = np.arange(len(left))
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(kept)))[corpus.offsets]
    real = np.diff(ends) > 0
    keys, sentence_keys = _kept_keys(corpus, real)
    times, weights = (None if values is None else values[kept] for values in (corpus.times, corpus.weights))
    return Corpus(
        tokens=corpus.tokens.take(left),
        counts=counts[left],
        ids=new_id[corpus.ids[kept]],
        offsets=np.append(np.zeros(1, np.int64), ends[1:][real]),
        keys=keys,
        sentence_keys=sentence_keys,
        weights=weights,
        times=times,
        labels=None if corpus.labels is None else corpus.labels.take(left),
        defaults={**corpus.defaults, "holdout": how},
        source=corpus.source,
    )


def _kept_keys(corpus: Corpus, sentences: np.ndarray) -> tuple[Names | None, np.ndarray | None]:
    """Return the keys of the marked sentences, in their old order, and those sentences' new key numbers."""
    if corpus.keys is None or corpus.sentence_keys is None:
        return None, None
    owners = corpus.sentence_keys[sentences]
    used = np.zeros(len(corpus.keys) + 1, bool)
    used[owners] = True
    used[-1] = False
    new = np.where(used, np.cumsum(used) - 1, -1).astype(np.int32)
    return corpus.keys.take(np.flatnonzero(used)), new[owners]


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise OptionError("share", f"must be a number above 0 and below 1; got {share!r}.")


def _moment(until: str | int) -> int:
    """Return microseconds since 1970 (UTC)."""
    if isinstance(until, int):
        return until
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        raise OptionError("until", f"must be a moment such as 2013-10-01 or 2013-10-01T12:00; got {until!r}.") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _shown(moment: int) -> str:
    return str(np.datetime64(moment, "us"))
