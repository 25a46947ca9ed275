"""Splits written to files, so that others can check figures with programs of their own."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from embedkit.contracts import History
from embedkit.corpus import Corpus
from embedkit.embeddings.replacing import replacing
from embedkit.errors import EmbedkitError, OptionError
from embedkit.evaluation.heldout import HeldOut
from embedkit.evaluation.splits import Split
from embedkit.names import Names

Layout = Literal["table", "lines"]
_AT_ONCE = 1 << 16


def write_split(
    split: Split, folder: str | Path, layout: Layout = "table", columns: tuple[str, str] = ("key", "token")
) -> tuple[Path, Path]:
    """Write both parts of a split into a folder, which is made where it is not there.

    `table`: `train.tsv` and `test.tsv`, a row an interaction under a header, with times (ISO, UTC) and weights where
    there are any. `lines`: `train.txt` and `test.txt`, a line a key, `key token token ...`. A test of prefixes is
    always written as `test.txt`, a line a row, `token token ...<TAB>target`, with the sentences of train as lines
    without keys.

    Parameters
    ----------
    columns
        What the header of a table calls keys and tokens.

    Returns
    -------
    The paths of train and test.

    Raises
    ------
    EmbedkitError
        If a file cannot be written, or a name with blanks would have to go into a line.
    """
    if layout not in ("table", "lines"):
        raise OptionError("split_layout", f"must be 'table' or 'lines'; got {layout!r}.")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbedkitError(f"cannot make the folder {folder}: {error.strerror}; name another.") from error
    train, test = split.train, split.test
    ending = "tsv" if layout == "table" and test.prefixes is None else "txt"
    paths = folder / f"train.{ending}", folder / f"test.{ending}"
    if test.prefixes is not None:
        parts = _sentence_lines(train), _prefix_lines(test)
    elif layout == "lines":
        histories, keys, rows = _keyed(train, test)
        parts = (_key_lines(keys, train.tokens, histories), _key_lines(test.keys or keys, test.tokens, rows))
    else:
        histories, keys, rows = _keyed(train, test)
        parts = (
            _table_lines(keys, train.tokens, histories, columns),
            _table_lines(test.keys or keys, test.tokens, rows, columns),
        )
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(replacing(path)) for path in paths]  # both take their places at the end, or none
        for file, lines in zip(files, parts, strict=True):
            for text in lines:
                file.write(text.encode())
    return paths


def _keyed(train: Corpus, test: HeldOut) -> tuple[History, Names, History]:
    """Return the histories of train with their keys, and the rows of test as histories."""
    histories = train.histories()
    assert histories is not None
    assert train.keys is not None
    return histories, train.keys, History(test.targets.indptr, test.targets.indices, test.weights, test.times)


def _sentence_lines(train: Corpus) -> Iterator[str]:
    names = _plain(train.tokens)
    for start in range(0, train.n_sentences, _AT_ONCE):
        rows = History(train.offsets, train.ids).take(np.arange(start, min(start + _AT_ONCE, train.n_sentences)))
        yield "".join(" ".join([names[i] for i in row.tolist()]) + "\n" for row in rows)


def _prefix_lines(test: HeldOut) -> Iterator[str]:
    assert test.prefixes is not None
    names = _plain(test.tokens)
    targets = test.targets.indices
    for start in range(0, len(test), _AT_ONCE):
        stop = min(start + _AT_ONCE, len(test))
        rows = zip(test.prefixes.take(np.arange(start, stop)), targets[start:stop].tolist(), strict=True)
        yield "".join(f"{' '.join([names[i] for i in row.tolist()])}\t{names[target]}\n" for row, target in rows)


def _key_lines(keys: Names, tokens: Names, rows: History) -> Iterator[str]:
    owners, names = _plain(keys), _plain(tokens)
    for owner, row in zip(owners, rows, strict=True):
        if len(row):
            yield f"{owner} {' '.join([names[i] for i in row.tolist()])}\n"


def _table_lines(keys: Names, tokens: Names, rows: History, columns: tuple[str, str]) -> Iterator[str]:
    extra = [(name, getattr(rows, f"{name}s")) for name in ("time", "weight") if getattr(rows, f"{name}s") is not None]
    yield _tsv([[*columns, *(name for name, _ in extra)]])
    owners = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
    key_names, token_names = list(keys), list(tokens)
    for start in range(0, len(owners), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        cells: list[Sequence[object]] = [
            [key_names[i] for i in owners[part].tolist()],
            [token_names[i] for i in rows.indices[part].tolist()],
            *(_texts(values[part]) for _, values in extra),
        ]
        yield _tsv(zip(*cells, strict=True))


def _texts(values: np.ndarray) -> list[object]:
    """Return weights as numbers, and times as ISO text: nobody has to guess the unit."""
    texts: list[object] = (values.astype("M8[us]").astype(str) if values.dtype.kind == "i" else values).tolist()
    return texts


def _tsv(rows: object) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()


def _plain(names: Names) -> list[str]:
    """Return the names, none of which may hold a blank, as lines are parted by them."""
    plain = list(names)
    for name in plain:
        if len(name.split()) != 1 or name != name.strip():
            raise EmbedkitError(f"{name!r} holds blanks, which part the names of a line; write the split as a table.")
    return plain
