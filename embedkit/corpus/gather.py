"""Sentences that come one by one, gathered into columns."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.contracts import Sentence, SentenceBatch
from embedkit.errors import EmbedkitError, SourceError
from embedkit.names import Names

if TYPE_CHECKING:
    import pyarrow as pa


def in_batches(sentences: Iterable[Sentence | Sequence[str]], batch_tokens: int = 1 << 17) -> Iterator[SentenceBatch]:
    """Gather sentences, or plain lists of tokens, into batches of about `batch_tokens` tokens."""
    gatherer = _Gatherer()
    for sentence in sentences:
        gatherer.add(sentence)
        if len(gatherer.tokens) >= batch_tokens:
            yield gatherer.batch()
            gatherer = _Gatherer(gatherer.n_before + len(gatherer.lengths))
    if gatherer.lengths:
        yield gatherer.batch()


@contextmanager
def closed(*given: Iterable) -> Iterator[None]:
    """Close those that are generators behind the context.

    After an error they would stay open, with their files and threads, for as long as somebody holds its traceback.
    """
    generators = [one for one in given if isinstance(one, Generator)]
    try:
        yield
    except BaseException:
        for one in generators:
            with suppress(Exception):  # what went wrong first is what is told
                one.close()
        raise
    for one in generators:
        one.close()


class _Gatherer:
    def __init__(self, n_before: int = 0) -> None:
        self.n_before = n_before
        self.tokens: list[str] = []
        self.lengths: list[int] = []
        self.keys: list[str | None] = []
        self.weights: list[float] = []
        self.times: list[int] = []

    def add(self, sentence: Sentence | Sequence[str]) -> None:
        if not isinstance(sentence, Sentence):
            self._refuse_text(sentence)
            sentence = Sentence(sentence)
        self._refuse_text(sentence.tokens)
        try:
            n = len(sentence.tokens)
        except TypeError:
            raise self._error(f"has tokens without a length ({type(sentence.tokens).__name__}); give a list") from None
        for name in ("weights", "times"):
            values = getattr(sentence, name)
            if values is not None:
                if len(values) != n:
                    raise self._error(f"has {len(values)} {name} for {n} tokens; give one for each token")
                getattr(self, name).extend(values)
        self.tokens.extend(sentence.tokens)
        self.lengths.append(n)
        self.keys.append(sentence.key)

    def batch(self) -> SentenceBatch:
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.array(self.lengths, np.int64))))
        keys = None if all(key is None for key in self.keys) else self._strings(self.keys, "key")
        return SentenceBatch(
            self._strings(self.tokens, "token"),
            offsets,
            keys,
            self._numbers("weights", np.float32),
            self._numbers("times", np.int64),
        )

    def _strings(self, values: list[Any], kind: str) -> pa.Array:
        # Not by pa.array, which imports pandas. No key and an empty one are the same.
        try:
            return Names.from_strings("" if value is None and kind == "key" else value for value in values).to_arrow()
        except EmbedkitError:
            raise _wrong_string(values, kind) from None

    def _numbers(self, name: str, dtype: type) -> np.ndarray | None:
        values = getattr(self, name)
        if not values:
            return None
        if len(values) != len(self.tokens):
            raise SourceError(f"some sentences come with {name} and some without; give all of them {name} or none.")
        try:
            return np.asarray(values).astype(dtype, casting="same_kind" if dtype is np.float32 else "safe")
        except (TypeError, ValueError):
            wanted = "numbers" if name == "weights" else "whole numbers, microseconds since 1970"
            raise SourceError(f"{name} must be {wanted}; got {values[0]!r}.") from None

    def _refuse_text(self, tokens: object) -> None:
        if isinstance(tokens, str | bytes):
            raise self._error(f"is a text ({tokens[:20]!r}), not a list of tokens; split it first")

    def _error(self, what: str) -> SourceError:
        return SourceError(f"sentence {self.n_before + len(self.lengths) + 1} {what}.")


def _wrong_string(values: list[Any], kind: str) -> SourceError:
    """Return the error for the first of `values` that is no string, or no text that UTF-8 can write."""
    for value in values:
        if value is None and kind == "key":
            continue
        if not isinstance(value, str):
            return SourceError(f"a {kind} is {value!r}, of type {type(value).__name__}; convert it with str().")
        if not _is_unicode(value):
            return SourceError(f"{kind} {value!r} is no valid Unicode text; mend or drop it.")
    return SourceError(f"a {kind} is no text; convert all of them with str().")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
