"""Reads sentences once: numbers tokens and keys as they come, then drops the rare ones and orders the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embedkit.contracts import SentenceBatch
from embedkit.corpus.columns import Column
from embedkit.corpus.vocabulary import GrowingVocabulary
from embedkit.corpus.workdir import check_room
from embedkit.errors import SourceError
from embedkit.names import Names

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Encoded:
    """What became of the sentences; see `Corpus` for the arrays."""

    tokens: Names
    counts: np.ndarray
    ids: np.ndarray
    offsets: np.ndarray
    keys: Names | None
    sentence_keys: np.ndarray | None
    weights: np.ndarray | None
    times: np.ndarray | None
    dropped: Counter[str]


class Encoder:
    """Takes batches of sentences one after another, in memory that does not grow with them.

    What it holds is the vocabulary of tokens and of keys; all else goes to files in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokens = GrowingVocabulary()
        self._keys = GrowingVocabulary("keys")
        self._ids = Column(folder / "ids", np.int32)
        self._ends = Column(folder / "ends", np.int64)
        self._sentence_keys = Column(folder / "sentence_keys", np.int32)
        self._weights: Column | None = None
        self._times: Column | None = None
        self._open_sentence = False
        self._saw_batch = False

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *exception: object) -> None:
        for column in (self._ids, self._ends, self._sentence_keys, self._weights, self._times):
            if column is not None:
                column.close()

    @property
    def n_tokens(self) -> int:
        """How many tokens came so far."""
        return self._ids.length

    def add(self, batch: SentenceBatch) -> None:
        """Encode a batch and write it down.

        Raises
        ------
        SourceError
            If the batch does not keep to the contract.
        """
        offsets = np.asarray(batch.offsets, np.int64)
        _check_offsets(offsets, len(batch.tokens))
        base = self._ids.length
        self._add_numbers(batch)
        self._ids.append(self._tokens.encode(batch.tokens))
        # A sentence that goes on has no end yet, and what goes on brings its key only once.
        goes_on = self._open_sentence
        ends = base + offsets[1:]
        keys = np.full(len(ends), -1, np.int32) if batch.keys is None else self._keys.encode(batch.keys)
        if len(keys) != len(ends):
            raise SourceError(f"a batch gives {len(keys)} keys for {len(ends)} sentences; give one a sentence or None.")
        self._sentence_keys.append(keys[1:] if goes_on else keys)
        self._ends.append(ends[:-1] if batch.continues else ends)
        self._open_sentence = batch.continues and (goes_on or len(ends) > 0)

    def _add_numbers(self, batch: SentenceBatch) -> None:
        first = not self._saw_batch
        self._saw_batch = True
        n = len(batch.tokens)
        for name, values, dtype in (("weights", batch.weights, np.float32), ("times", batch.times, np.int64)):
            column: Column | None = getattr(self, f"_{name}")
            if first and values is not None:
                column = Column(self._folder / name, dtype)
                setattr(self, f"_{name}", column)
            if (column is None) != (values is None):
                raise SourceError(f"some sentences come with {name} and some without; give all of them {name} or none.")
            if column is None or values is None:
                continue
            if len(values) != n:
                raise SourceError(f"a batch gives {len(values)} {name} for {n} tokens; give one for each token.")
            if name == "weights" and not (np.isfinite(values).all() and (np.asarray(values) > 0).all()):
                raise SourceError("a weight is zero, negative or no number; weights are positive finite numbers.")
            column.append(np.asarray(values))

    def finish(self, min_count: int, dropped: Counter[str], known: Names | None = None) -> Encoded:
        """Drop tokens that occur less often than `min_count` and sentences left empty; order tokens by count.

        Those that are `known` stay however rare they are.
        """
        if self._open_sentence:
            self._ends.append(np.array([self._ids.length]))
        self._tokens.close()
        self._keys.close()
        raw_counts = self._tokens.counts
        often = raw_counts >= min_count
        kept = np.flatnonzero(often if known is None else often | (known.find_all(self._tokens.names()) >= 0))
        kept = kept[np.argsort(-raw_counts[kept], kind="stable")]
        new_id = np.full(len(raw_counts) + 1, -1, np.int32)
        new_id[kept] = np.arange(len(kept), dtype=np.int32)

        empty = self._ids.length - int(raw_counts.sum())
        if empty:
            dropped["empty tokens"] += empty
        rare = len(raw_counts) - len(kept)
        if rare:
            occurrences = int(raw_counts.sum() - raw_counts[kept].sum())
            dropped[f"occurrences of {rare:,} tokens seen fewer than {min_count} times"] += occurrences
        columns = self._filter(new_id)
        lost = self._ends.length - len(columns["offsets"]) + 1
        if lost:
            dropped["sentences without a token"] += lost
        keys, sentence_keys = self._number_keys(columns["keys"], dropped)
        return Encoded(
            tokens=self._tokens.names().take(kept),
            counts=raw_counts[kept],
            ids=columns["ids"],
            offsets=columns["offsets"],
            keys=keys,
            sentence_keys=sentence_keys,
            weights=columns.get("weights"),
            times=columns.get("times"),
            dropped=dropped,
        )

    def _filter(self, new_id: np.ndarray) -> dict[str, np.ndarray]:
        """Rewrite the columns without the tokens whose new id is -1 and without empty sentences, chunk by chunk."""
        raw = {"ids": self._ids.finish(), "ends": self._ends.finish(), "keys": self._sentence_keys.finish()}
        extra = {
            name: column.finish()
            for name, column in (("weights", self._weights), ("times", self._times))
            if column is not None
        }
        check_room(
            self._folder.parent, sum(a.nbytes for a in (raw | extra).values()), "the corpus, once more in order,"
        )
        kept_dtypes = {name: a.dtype.type for name, a in (raw | extra).items() if name != "ends"}
        out = {name: Column(self._folder / f"kept_{name}", dtype) for name, dtype in kept_dtypes.items()}
        out_offsets = Column(self._folder / "kept_offsets", np.int64)
        out_offsets.append(np.zeros(1, np.int64))
        at_sentence, total, last_end = 0, 0, 0
        for start in range(0, max(len(raw["ids"]), 1), _CHUNK):
            stop = min(start + _CHUNK, len(raw["ids"]))
            ids = new_id[raw["ids"][start:stop]]
            kept = ids >= 0
            out["ids"].append(ids[kept])
            for name, values in extra.items():
                out[name].append(values[start:stop][kept])
            until = int(np.searchsorted(raw["ends"], stop, side="right"))
            before = np.concatenate((np.zeros(1, np.int64), np.cumsum(kept)))
            ends = total + before[raw["ends"][at_sentence:until] - start]
            real = np.diff(ends, prepend=last_end) > 0
            out_offsets.append(ends[real])
            out["keys"].append(raw["keys"][at_sentence:until][real])
            at_sentence, total, last_end = until, total + int(before[-1]), int(ends[-1]) if len(ends) else last_end
        for name in ("ids", "ends", "sentence_keys", "weights", "times"):
            (self._folder / name).unlink(missing_ok=True)
        return {name: column.finish() for name, column in out.items()} | {"offsets": out_offsets.finish()}

    def _number_keys(self, sentence_keys: np.ndarray, dropped: Counter[str]) -> tuple[Names | None, np.ndarray | None]:
        """Drop keys none of whose sentences is left; the rest keep their order of first appearance."""
        n = len(self._keys)
        if n == 0:
            return None, None
        used = np.zeros(n + 1, bool)
        for start in range(0, len(sentence_keys), _CHUNK):
            used[sentence_keys[start : start + _CHUNK]] = True
        used[n] = False
        if n > used.sum():
            dropped["keys without a token"] += n - int(used.sum())
        new_key = np.append(np.cumsum(used) - 1, -1).astype(np.int32)
        new_key[n] = -1
        column = Column(self._folder / "numbered_keys", np.int32)
        for start in range(0, len(sentence_keys), _CHUNK):
            column.append(new_key[sentence_keys[start : start + _CHUNK]])
        return self._keys.names().take(np.flatnonzero(used[:n])), column.finish()


def _check_offsets(offsets: np.ndarray, n: int) -> None:
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != n or (np.diff(offsets) < 0).any():
        raise SourceError(f"a batch of {n} tokens needs offsets that rise from 0 to {n}; got {offsets[:5]}...")
