"""Lines of tokens as sentences, the first token of each its key or not; a line of any length in flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedkit import EmptyInputError, SentenceBatch, SourceError
from embedkit_sessions.findings import Findings
from embedkit_sessions.ids import refuse_nul
from embedkit_sessions.inputs import File, Inputs, text_encoding, transcoded, wrong_encoding

if TYPE_CHECKING:
    from embedkit_sessions.source import Options

BLOCK = 1 << 22
_SPACES = b" \t\r\x0b\x0c"


def read_lines(inputs: Inputs, options: Options, folder: Path, findings: Findings) -> Iterator[SentenceBatch]:
    """Yield a sentence a line, its tokens parted by ASCII whitespace.

    Raises
    ------
    SourceError
        If the input is no text, or holds no tokens.
    """
    if inputs.table is not None:
        raise SourceError("a table has no lines; leave --layout lines out.")
    some = False
    for file in inputs.files:
        if file.kind == "parquet":
            raise SourceError(f"{file.name} is a Parquet file, not lines; leave --layout lines out.")
        encoding = text_encoding(file, options.encoding)
        if encoding not in ("utf-8", "ascii"):
            file = transcoded(file, encoding, folder)
        for batch in _Lines(file, options, findings).batches():
            some = some or bool(len(batch.tokens))
            yield batch
    findings.notes.append("a line's first token is its key" if options.key == "first" else "lines have no keys")
    if not some:
        raise EmptyInputError(
            "nothing is left of the input: no line has a token"
            + (" besides its key." if options.key == "first" else ".")
        )


class _Lines:
    """One file's lines, in batches."""

    def __init__(self, file: File, options: Options, findings: Findings) -> None:
        self.file = file
        self.options = options
        self.dropped = findings.dropped
        self.line = 1
        self._open_key: str | None = None
        self._open = False

    def batches(self) -> Iterator[SentenceBatch]:
        """Yield the batches; where a line is longer than a block, the last sentence goes on in the next batch."""
        rest = b""
        for block in _chunks(self.file):
            text = rest + block
            cut, whole = _cut(text)
            if not block:
                cut, whole = len(text), True
            rest = text[cut:]
            if cut or (self._open and not block):
                yield self._batch(text[:cut], goes_on=not whole)

    def _batch(self, text: bytes, *, goes_on: bool) -> SentenceBatch:
        lines = self._split(text)
        offsets = lines.offsets.to_numpy().astype(np.int64)
        tokens = lines.values
        # An empty line is split into one empty text.
        filled = pc.not_equal(tokens, "").to_numpy(zero_copy_only=False)
        offsets = np.concatenate(([0], np.cumsum(filled)))[offsets]
        tokens = tokens.filter(pa.array(filled))
        keys = None
        if self.options.key == "first":
            tokens, offsets, keys = self._keyed(tokens, offsets)
        was_open, self._open = self._open, goes_on
        if goes_on and keys is not None:
            self._open_key = keys[-1].as_py()
        return self._finish(tokens, offsets, keys, was_open=was_open, goes_on=goes_on)

    def _split(self, text: bytes) -> pa.ListArray:
        """Return each line's tokens."""
        if self.line == 1 and text.startswith(b"\xef\xbb\xbf"):
            text = text[3:]
        try:
            whole = pa.array([text], pa.large_binary()).cast(pa.large_string())
        except pa.ArrowInvalid as error:
            raise self._undecodable(text) from error
        self.line += text.count(b"\n")
        lines = pc.split_pattern(whole, "\n").values
        if text.endswith(b"\n"):
            lines = lines[:-1]
        return pc.ascii_split_whitespace(pc.ascii_trim_whitespace(lines))

    def _undecodable(self, text: bytes) -> SourceError:
        try:
            text.decode()
        except UnicodeDecodeError as error:
            return wrong_encoding(self.file.name, self.line + text[: error.start].count(b"\n"), "utf-8")
        return SourceError(f"{self.file.name} is no text.")

    def _keyed(self, tokens: pa.Array, offsets: np.ndarray) -> tuple[pa.Array, np.ndarray, pa.Array]:
        """Take each line's first token as its key; a line that goes on from the last batch has its key already."""
        lengths = np.diff(offsets)
        if self._open:
            kept = np.flatnonzero((lengths > 0) | (np.arange(len(lengths)) == 0))
        else:
            kept = np.flatnonzero(lengths > 0)
        starts, lengths = offsets[:-1][kept], lengths[kept]
        takes_key = np.ones(len(kept), bool)
        if self._open:
            takes_key[0] = False
        is_token = np.ones(len(tokens), bool)
        is_token[starts[takes_key]] = False
        keys = pc.utf8_normalize(tokens.take(pa.array(starts[takes_key])), form="NFC")
        if self._open:
            keys = pa.concat_arrays([pa.array([self._open_key], keys.type), keys])
        new_offsets = np.concatenate(([0], np.cumsum(lengths - takes_key))).astype(np.int64)
        return tokens.filter(pa.array(is_token)), new_offsets, keys

    def _finish(
        self, tokens: pa.Array, offsets: np.ndarray, keys: pa.Array | None, *, was_open: bool, goes_on: bool
    ) -> SentenceBatch:
        """Leave out lines with too few tokens, and normalise the tokens (each distinct one once)."""
        lengths = np.diff(offsets)
        keep = lengths >= self.options.min_interactions
        # A sentence that is cut in two by the batches is long.
        if was_open:
            keep[0] = True
        if goes_on:
            keep[-1] = True
        short = ~keep & (lengths > 0) if keys is None else ~keep
        if short.any():
            reason = f"lines with fewer than {self.options.min_interactions} tokens"
            self.dropped[reason] += int(np.count_nonzero(short))
        if not keep.all():
            tokens = tokens.filter(pa.array(np.repeat(keep, lengths)))
            keys = None if keys is None else keys.filter(pa.array(keep))
            offsets = np.concatenate(([0], np.cumsum(lengths[keep]))).astype(np.int64)
        encoded = tokens.dictionary_encode()
        plain = pc.utf8_normalize(encoded.dictionary, form="NFC")
        refuse_nul(plain, self.file.name)
        tokens = pa.DictionaryArray.from_arrays(encoded.indices, plain)
        return SentenceBatch(tokens, offsets, keys, continues=goes_on)


def _chunks(file: File) -> Iterator[bytes]:
    yield from file.blocks(BLOCK)
    yield b""


def _cut(text: bytes) -> tuple[int, bool]:
    """Return where to cut a block: behind its last whole line, else behind a space; and whether a line ends there."""
    end = text.rfind(b"\n")
    if end >= 0:
        return end + 1, True
    if len(text) < BLOCK:
        return 0, True
    return 1 + max(text.rfind(bytes([space])) for space in _SPACES), False
