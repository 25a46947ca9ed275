"""A model and new sentences as one corpus: one vocabulary, counts together, histories that go on."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from embedkit.contracts import History, Run
from embedkit.corpus import Corpus
from embedkit.corpus.columns import Column
from embedkit.corpus.workdir import WorkFolder
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.memory import check_fits
from embedkit.names import Names

_CHUNK = 1 << 18


@dataclass(frozen=True)
class GrownCorpus(Corpus):
    """New sentences, numbered by the vocabulary that they and a model have together.

    `tokens`, `counts`, `keys`, `labels` and `histories()` are of both; `ids`, `offsets`, `sentence_keys`, `weights` and
    `times` of what is learned from now.

    Attributes
    ----------
    merged
        The histories of all keys, or None where there are no keys.
    goes_on
        Whether the sentences of keys are their whole histories, the model's tokens before the new ones.
    """

    merged: History | None = None
    goes_on: bool = False
    _renumbered: WorkFolder | None = None

    def histories(self) -> History | None:
        """Return each key's tokens, those of the model among them, in order of time."""
        return self.merged


@dataclass(frozen=True)
class _Numbers:
    """The names of a model and new ones, together.

    Attributes
    ----------
    names
        All of them.
    of_old, of_new
        int32: where the model's names, and the corpus', stand among all.
    """

    names: Names
    of_old: np.ndarray
    of_new: np.ndarray

    @classmethod
    def of(cls, old: Names | None, new: Names | None) -> _Numbers:
        """Put the model's names first, behind them those that are new, in order."""
        old, new = (names or Names.from_strings([]) for names in (old, new))
        places = old.find_all(new).astype(np.int32)
        unknown = np.flatnonzero(places < 0)
        places[unknown] = len(old) + np.arange(len(unknown), dtype=np.int32)
        return cls(old.followed_by(new.take(unknown)), np.arange(len(old), dtype=np.int32), places)

    def ordered(self, order: np.ndarray) -> _Numbers:
        """Return the same with `order` (positions) numbered 0, 1, ..."""
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        return _Numbers(self.names.take(order), place[self.of_old], place[self.of_new])


def join(model: Embeddings, corpus: Corpus, run: Run) -> GrownCorpus:
    """Return the new sentences with the vocabulary, counts, keys, histories and labels of both.

    Tokens are numbered by their counts together, ties as in the model and new ones last; new keys stand behind the
    model's. Where no key has two new sentences, a sentence is taken to be a key's whole history, as that of a user is,
    and goes on where the model's history ended.

    Parameters
    ----------
    run
        Is told what was left out; has the folder for temporary files.

    Raises
    ------
    EmbedkitError
        If the model's histories have times, or weights, and the new sentences have none; or if the histories together
        do not fit in memory.
    """
    assert model.counts is not None
    tokens = _Numbers.of(model.tokens, corpus.tokens)
    counts = np.zeros(len(tokens.names), np.int64)
    counts[tokens.of_old] = model.counts
    counts[tokens.of_new] += corpus.counts
    order = np.argsort(-counts, kind="stable")
    tokens, counts = tokens.ordered(order), counts[order]
    corpus = _alike(model, corpus, run)
    keys = None if model.keys is None and corpus.keys is None else _Numbers.of(model.keys, corpus.keys)
    goes_on = corpus.keys is not None and _one_sentence_each(corpus)
    if keys is not None:
        _check_histories_fit(model, corpus, keys, goes_on)
    merged = None if keys is None else _merged(model, corpus, tokens, keys)
    if again := 0 if keys is None else _known_before(model, corpus, tokens, keys):
        run.say(
            f"{again:,} of {corpus.n_tokens:,} new tokens are in the model's histories already, at the same times, and "
            "now count twice: was this input learned before?"
        )
    parts = {field.name: getattr(corpus, field.name) for field in fields(Corpus)}
    parts |= {"tokens": tokens.names, "counts": counts, "labels": _labels(model, corpus, tokens)}
    if keys is not None:
        parts |= {"keys": keys.names, "sentence_keys": _renumbered_keys(corpus, keys)}
    if goes_on and merged is not None:
        parts |= _whole_histories(corpus, merged, parts["sentence_keys"], tokens)
    else:
        folder = WorkFolder(run.work_dir)
        parts |= {"ids": _renumbered_ids(corpus, tokens, folder), "_renumbered": folder}
    return GrownCorpus(**parts, merged=merged, goes_on=goes_on)


def _alike(model: Embeddings, corpus: Corpus, run: Run) -> Corpus:
    """Return the corpus with times, and with weights, if the model's histories have them, and without if not."""
    if model.histories is None or corpus.keys is None or not len(model.histories.indices):
        return corpus
    parts = {field.name: getattr(corpus, field.name) for field in fields(Corpus)}
    for column in ("times", "weights"):
        ours, theirs = getattr(model.histories, column), parts[column]
        if ours is not None and theirs is None:
            raise EmbedkitError(
                f"the model's histories have {column}, and the new sentences have none; name their column, as with "
                f"--{column[:-1]}-column, or train anew."
            )
        if ours is None and theirs is not None:
            run.say(f"The model's histories have no {column}, so those of the new sentences are left out.")
            parts[column] = None
    return Corpus(**parts)


def _one_sentence_each(corpus: Corpus) -> bool:
    assert corpus.sentence_keys is not None
    owners = corpus.sentence_keys[corpus.sentence_keys >= 0]
    return len(owners) == len(np.unique(owners))


def _renumbered_keys(corpus: Corpus, keys: _Numbers) -> np.ndarray:
    """Return the number of each sentence's key among all, int32, -1 for none."""
    if corpus.sentence_keys is None:
        return np.full(corpus.n_sentences, -1, np.int32)
    return np.append(keys.of_new, np.int32(-1))[corpus.sentence_keys]


def _renumbered_ids(corpus: Corpus, tokens: _Numbers, folder: WorkFolder) -> np.ndarray:
    """Return the ids of the sentences' tokens among all, memory-mapped, as the corpus may be larger than memory."""
    column = Column(folder.path / "ids", np.int32)
    for start in range(0, corpus.n_tokens, _CHUNK):
        column.append(tokens.of_new[corpus.ids[start : start + _CHUNK]])
    return column.finish()


def _whole_histories(corpus: Corpus, merged: History, owners: np.ndarray, tokens: _Numbers) -> dict[str, object]:
    """Return the arrays of a corpus whose sentences are whole histories of their keys; those of nobody stay."""
    owned = np.flatnonzero(owners >= 0)
    histories = merged.take(owners[owned])
    sentences = History(corpus.offsets, corpus.ids, corpus.weights, corpus.times).take(np.flatnonzero(owners < 0))
    offsets = np.concatenate((histories.indptr, histories.indptr[-1] + sentences.indptr[1:]))
    return {
        "ids": np.concatenate((histories.indices, tokens.of_new[sentences.indices])),
        "offsets": offsets,
        "sentence_keys": np.concatenate((owners[owned], np.full(len(sentences), -1, np.int32))),
        "weights": _both(histories.weights, sentences.weights),
        "times": _both(histories.times, sentences.times),
    }


def _both(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    return None if one is None or other is None else np.concatenate((one, other))


def _check_histories_fit(model: Embeddings, corpus: Corpus, keys: _Numbers, goes_on: bool) -> None:
    """Refuse histories that do not fit in memory, by bytes an entry as measured under a limit of the process.

    The peak is where all are laid together, or where those that grow are sorted, looked through for what was learned
    before, or copied as the sentences that go on.
    """
    nothing = History(np.zeros(1, np.int64), np.zeros(0, np.int32))
    old, new = model.histories or nothing, corpus.histories() or nothing
    timed, weighted = (any(getattr(some, name) is not None for some in (old, new)) for name in ("times", "weights"))
    known = np.flatnonzero(keys.of_new < len(old)) if len(new) else np.zeros(0, np.int64)
    before = int(np.diff(old.indptr)[keys.of_new[known]].sum())
    again = before + int(np.diff(new.indptr)[known].sum())  # entries of keys that both have
    n, an_entry = len(old.indices) + len(new.indices), 4 + 4 * weighted + 8 * timed
    if timed:
        needed = max(
            (26 + 4 * weighted) * n,
            an_entry * n + 50 * (before + len(new.indices)),
            an_entry * n + (90 + 4 * weighted) * again,
        )
    else:
        needed = max((18 + 3 * weighted) * n, an_entry * n + 26 * (before + len(new.indices)) * goes_on)
    check_fits(
        needed,
        f"joining histories of {n:,} interactions",
        "learn the new sentences in several updates, or give it more",
    )


def _merged(model: Embeddings, corpus: Corpus, tokens: _Numbers, keys: _Numbers) -> History:
    """Return the histories of all keys: the model's entries, then the new ones; in order of time where there are times.

    What is not touched is copied as it is: only the rows that grow are put in order.
    """
    merged = _laid_out(model, corpus, tokens, keys)
    return merged if merged.times is None else _in_order(merged, np.unique(keys.of_new))


def _laid_out(model: Embeddings, corpus: Corpus, tokens: _Numbers, keys: _Numbers) -> History:
    """Return the histories of all keys: the model's entries, then the new ones."""
    new = corpus.histories() or History(np.zeros(1, np.int64), np.zeros(0, np.int32))
    old = model.histories
    if old is None or not len(old.indices):
        old = _like(new, 0 if model.keys is None else len(model.keys))
    elif corpus.keys is None:
        new = _like(old, 0)
    lengths = np.zeros(len(keys.names), np.int64)
    lengths[keys.of_old] = np.diff(old.indptr)
    behind = lengths.copy()
    lengths[keys.of_new] += np.diff(new.indptr)
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    at_old = _places(old, indptr[keys.of_old])
    at_new = _places(new, (indptr[:-1] + behind)[keys.of_new])

    def both(of_old: np.ndarray | None, of_new: np.ndarray | None) -> np.ndarray | None:
        if of_old is None or of_new is None:
            return None
        made = np.empty(indptr[-1], of_old.dtype)
        made[at_old], made[at_new] = of_old, of_new
        return made

    indices = both(tokens.of_old[old.indices], tokens.of_new[new.indices])
    assert indices is not None
    return History(indptr, indices, both(old.weights, new.weights), both(old.times, new.times))


def _known_before(model: Embeddings, corpus: Corpus, tokens: _Numbers, keys: _Numbers) -> int:
    """Return how many new entries of histories are in the model's at the same time; 0 where there are no times."""
    old, new = model.histories, corpus.histories()
    if old is None or old.times is None or new is None or new.times is None:
        return 0
    rows = np.flatnonzero(keys.of_new < len(old))
    old, new = old.take(keys.of_new[rows]), new.take(rows)
    assert old.times is not None
    assert new.times is not None
    owners = np.concatenate([np.repeat(np.arange(len(rows)), np.diff(some.indptr)) for some in (old, new)])
    ids = np.concatenate((tokens.of_old[old.indices], tokens.of_new[new.indices]))
    times = np.concatenate((old.times, new.times))
    order = np.lexsort((times, ids, owners))  # stable: of equal ones the model's stand first
    same = np.all([values[order][1:] == values[order][:-1] for values in (owners, ids, times)], axis=0)
    groups = np.concatenate((np.zeros(1, np.int64), np.cumsum(~same)))[: len(order)]
    is_old = order < len(old.indices)
    has_old = np.bincount(groups, is_old, len(order)) > 0
    return int(np.count_nonzero(has_old[groups] & ~is_old))


def _like(rows: History, n: int) -> History:
    """Return n empty rows with times and weights if these have them."""
    weights, times = (None if values is None else values[:0] for values in (rows.weights, rows.times))
    return History(np.zeros(n + 1, np.int64), np.zeros(0, np.int32), weights, times)


def _places(rows: History, begins: np.ndarray) -> np.ndarray:
    """Return where each entry comes to lie if row r begins at `begins[r]`."""
    return np.arange(len(rows.indices)) + np.repeat(begins - rows.indptr[:-1], np.diff(rows.indptr))


def _in_order(rows: History, touched: np.ndarray) -> History:
    """Sort the entries of some rows by time; those at one moment stay as they stand."""
    assert rows.times is not None
    lengths = np.diff(rows.indptr)[touched]
    inner = History(np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths))), np.zeros(lengths.sum(), np.int32))
    places = _places(inner, rows.indptr[touched])
    sorted_places = places[np.lexsort((rows.times[places], np.repeat(np.arange(len(touched)), lengths)))]
    for values in (rows.indices, rows.weights, rows.times):
        if values is not None:
            values[places] = values[sorted_places]
    return rows


def _labels(model: Embeddings, corpus: Corpus, tokens: _Numbers) -> Names | None:
    """Return the new labels, and where there is none the model's."""
    if model.labels is None and corpus.labels is None:
        return None
    labels = [""] * len(tokens.names)
    for names, places in ((model.labels, tokens.of_old), (corpus.labels, tokens.of_new)):
        if names is not None:
            for place, label in zip(places.tolist(), names, strict=True):
                labels[place] = label or labels[place]
    return Names.from_strings(labels)
