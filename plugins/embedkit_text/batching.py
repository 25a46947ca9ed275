"""From files to batches of sentences: blocks cut where no token is, sentences that go on from block to block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

import embedkit
from embedkit_text.decoding import utf8_chunks
from embedkit_text.naming import Keys, as_arrow
from embedkit_text.tokenizers import FILE_END, Split

if TYPE_CHECKING:
    from embedkit_text.files import TextFile
    from embedkit_text.tokenizers import Tokenizer

_LONGEST = 1 << 25  # bytes without a blank or a punctuation mark


def make_batches(
    files: Iterable[TextFile],
    tokenizer: Tokenizer,
    encoding: str,
    size: int,
    dropped: Counter[str],
    keys: Keys | None = None,
) -> Generator[embedkit.SentenceBatch, None, None]:
    """Yield the sentences of all files, none of them empty.

    Parameters
    ----------
    size
        Bytes in a block; memory is some times that, and that of the longest token (of the longest line for `regex`).
    dropped
        Receives how many files are empty.
    keys
        Names the sentences; without it they have no keys.
    """
    held: embedkit.SentenceBatch | None = None
    for block in _blocks(files, tokenizer, encoding, size, dropped):
        split = tokenizer.split(block)
        names = keys.of(block, np.append(split.places, [len(block)] * split.is_open)) if keys else None
        # Only the next token tells whether a sentence goes on, as its end may be the next thing to come.
        if held is not None and split.break_first:
            held.continues = False
        if len(split.tokens) == 0:
            continue
        if held is not None:
            yield held
        held = _batch(split, names)
    if held is not None:
        held.continues = False
        yield held


def _batch(split: Split, names: list[str] | None) -> embedkit.SentenceBatch:
    offsets = np.concatenate(([0], split.ends, [len(split.tokens)] * split.is_open)).astype(np.int64)
    keys = None if names is None else as_arrow(names)
    return embedkit.SentenceBatch(split.tokens, offsets, keys, continues=split.is_open)


def _blocks(
    files: Iterable[TextFile], tokenizer: Tokenizer, encoding: str, size: int, dropped: Counter[str]
) -> Iterator[bytes]:
    """Yield settled text in blocks of about `size`, small files together."""
    parts: list[bytes] = []
    length = 0
    for file in files:
        empty = True
        for block in _settled(file, tokenizer, encoding, size):
            empty = False
            parts.append(block)
            length += len(block)
            if 2 * length >= size:
                yield b"".join(parts)
                parts, length = [], 0
        if empty:
            dropped["empty files"] += 1
        parts.append(FILE_END)
        length += 1
    yield b"".join(parts)


def _settled(file: TextFile, tokenizer: Tokenizer, encoding: str, size: int) -> Iterator[bytes]:
    """Yield a file's blocks as the tokenizer wants them, or raise for what is no text, naming the line."""
    lines_before = 0
    for block in _cut(utf8_chunks(file, encoding, size), tokenizer.cuts, file.name):
        nul = block.find(b"\0")
        try:
            settled = tokenizer.settle(block if nul < 0 else block[:nul])
        except UnicodeDecodeError as error:
            if nul >= 0:
                told = f"{file.name} is binary, not text; unpack or convert it, or name its --encoding."
                raise embedkit.SourceError(told) from error
            line = 1 + lines_before + _lines(block[: error.start])
            raise embedkit.SourceError(
                f"{file.name} line {line} is not UTF-8 (byte 0x{block[error.start]:02X}); "
                "say what it is with --encoding, such as cp949."
            ) from error
        if nul >= 0:
            line = 1 + lines_before + _lines(block[:nul])
            raise embedkit.SourceError(
                f"{file.name} is no text: byte 0x00 in line {line}. If it is UTF-16, say so with --encoding utf-16."
            )
        lines_before += _lines(block)
        yield settled


def _lines(block: bytes) -> int:
    lines = int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))  # six times as fast as bytes.count
    return lines + block.count(b"\r") - block.count(b"\r\n") if b"\r" in block else lines


def _cut(chunks: Iterable[bytes], cuts: tuple[tuple[bytes, ...], ...], name: str) -> Iterator[bytes]:
    """Yield the same bytes, cut only where the tokenizer allows it; what has no such place grows until it has.

    Where spaces are such places, a stretch without any that is longer than any word is refused.
    """
    rest: list[bytes] = []
    parted_by_spaces = any(b" " in group for group in cuts)
    for chunk in chunks:
        end = _last_cut(chunk, cuts)
        if end == 0:
            rest.append(chunk)
            if parted_by_spaces and sum(map(len, rest)) > _LONGEST:
                raise embedkit.SourceError(f"{name} is no text: it has {_LONGEST >> 20} MB without a space.")
            continue
        yield b"".join([*rest, memoryview(chunk)[:end]])
        rest = [chunk[end:]]
    if block := b"".join(rest):
        yield block


def _last_cut(chunk: bytes, cuts: tuple[tuple[bytes, ...], ...]) -> int:
    """Return the last place to cut at, 0 where there is none."""
    for group in cuts:
        found = max(at + len(cut) if (at := chunk.rfind(cut)) >= 0 else 0 for cut in group)
        if found:
            return found
    return 0


def ahead(batches: Generator[embedkit.SentenceBatch, None, None]) -> Iterator[embedkit.SentenceBatch]:
    """Yield the same batches, the next one made in a thread while the caller uses this one.

    Where the caller goes away, the thread ends with the batch that it is at, and nobody waits for it: the garbage
    collector closes forgotten generators wherever it happens to run, even under locks that the end of a thread takes.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="embedkit-text")  # no context: its end would wait
    try:
        future = pool.submit(next, batches, None)
        while (batch := future.result()) is not None:
            future = pool.submit(next, batches, None)
            yield batch
    except Exception:  # not GeneratorExit, by which a generator is closed
        pool.shutdown(wait=False)
        raise
    pool.shutdown()
