"""What a query found, best first, and its ways out: a table for a person, JSON, CSV and Parquet for a program."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from embedkit.cli.flags import WholeNumber
from embedkit.cli.model import FILE, refuse_to_replace_model

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("table", "json", "jsonl", "csv", "parquet")
_ENDINGS = {".json": "json", ".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".txt": "table"}
_AT_ONCE = 2048
_FORMULA = frozenset("=+-@\t\r")


class Reason(NamedTuple):
    """A token of the history, the name to show for it (empty: none), and how much of a score it carried."""

    token: str
    label: str
    score: float


@dataclass(frozen=True)
class Ranking:
    """What was found for one query, best first.

    Attributes
    ----------
    query
        What was asked for: a key, a token, a history.
    tokens, scores, labels
        The results, their scores, and the names to show for them (or None).
    names
        What a program's columns with the query and the results are called.
    measure
        What the scores are: `score`, `cosine`, `count`.
    because
        For each result the tokens of the history that carried its score; or None.
    query_label
        The name to show for the query in a table; empty, or the query itself, where it has none.
    """

    query: str
    tokens: Sequence[str]
    scores: Sequence[float] | np.ndarray
    labels: Sequence[str] | None = None
    names: tuple[str, str] = ("query", "token")
    measure: str = "score"
    because: Sequence[Sequence[Reason]] | None = None
    query_label: str = ""


Columns = dict[str, list[Any]]


def in_columns(rankings: Sequence[Ranking]) -> Columns:
    """Return rankings of one kind in columns, a row for each result."""
    import numpy as np

    query, answer = rankings[0].names
    columns: Columns = {query: [], answer: []}
    for ranking in rankings:
        columns[query] += [ranking.query] * len(ranking.tokens)
        columns[answer] += ranking.tokens
    if any(ranking.labels is not None for ranking in rankings):
        columns["label"] = [label for r in rankings for label in r.labels or [""] * len(r.tokens)]
    columns["score"] = shortest(np.concatenate([np.asarray(ranking.scores, np.float32) for ranking in rankings]))
    if any(ranking.because is not None for ranking in rankings):
        reasons = [reasons for r in rankings for reasons in r.because or [()] * len(r.tokens)]
        columns["because"] = [[reason._asdict() for reason in of_one] for of_one in reasons]
    return columns


def _batches(rankings: Iterable[Ranking]) -> Iterator[Columns]:
    rankings = iter(rankings)
    while batch := list(islice(rankings, _AT_ONCE)):
        yield in_columns(batch)


def shortest(scores: Sequence[float] | np.ndarray) -> list[float]:
    """Return float32 scores as the numbers with the fewest digits that say the same."""
    import numpy as np

    return [float(text) for text in np.asarray(scores, np.float32).astype(str)]


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags `--topn`, `--format` and `--output`."""
    for decorator in (
        click.option(
            "--output",
            metavar="FILE",
            type=FILE,
            help="Write to this file instead of standard output; its ending tells the format.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(FORMATS),
            help="How to write the results; a table where not given. In CSV, a text that begins with = + - or @ "
            "gets a ' before it, so that no spreadsheet runs it.",
        ),
        click.option(
            "--topn", type=WholeNumber(min=1), default=10, show_default=True, metavar="INT", help="How many results."
        ),
    ):
        command = decorator(command)
    return command


def format_for(form: str | None, output: Path | None) -> str:
    """Return the format asked for, else the one that the file's ending tells, else a table.

    Raises
    ------
    click.UsageError
        If Parquet, which is no text, would go to standard output, or the file's ending tells no format.
    """
    if output is None:
        if form == "parquet":
            raise click.UsageError("Parquet goes to a file: name it with --output FILE.parquet")
        return form or "table"
    chosen = form or _ENDINGS.get(output.suffix.lower())
    if chosen is None:
        raise click.UsageError(f"the ending of {output} tells no format; add --format {'|'.join(FORMATS[1:])}")
    return chosen


def prepared(form: str | None, output: Path | None) -> str:
    """Return the format to write in, and make sure before any work that `output` can be written."""
    form = format_for(form, output)
    if output is not None and not _is_device(output):
        from embedkit.embeddings import check_writable

        check_writable(output)
        refuse_to_replace_model(output, [ending for ending, name in _ENDINGS.items() if name == form])
    return form


def write_rankings(rankings: Iterable[Ranking], form: str, output: Path | None) -> None:
    """Write rankings one after the other, in flat memory; a file appears whole or not at all."""
    with _destination(output) as file:
        _WRITERS[form](rankings, file)


def _write_table(rankings: Iterable[Ranking], file: IO[bytes]) -> None:
    from embedkit.cli.table import ranking_lines, terminal_width, wants_colours

    shown = file is sys.stdout.buffer
    encoding = sys.stdout.encoding if shown else "utf-8"
    columns, colours = terminal_width(), shown and wants_colours()
    for number, ranking in enumerate(rankings):
        lines = ranking_lines(ranking, columns, colours)
        text = "\n".join([*([""] if number else []), *lines, ""])
        file.write(text.encode(encoding, "backslashreplace"))


def _write_json(rankings: Iterable[Ranking], file: IO[bytes]) -> None:
    opening = b"[\n"
    for lines in _json_lines(rankings):
        file.write(opening + ",\n".join(lines).encode("utf-8", "backslashreplace"))
        opening = b",\n"
    file.write(b"[]\n" if opening == b"[\n" else b"\n]\n")


def _write_json_lines(rankings: Iterable[Ranking], file: IO[bytes]) -> None:
    for lines in _json_lines(rankings):
        file.write(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))


def _json_lines(rankings: Iterable[Ranking]) -> Iterator[list[str]]:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    for columns in _batches(rankings):
        if lines := [encode(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]:
            yield lines


def _write_csv(rankings: Iterable[Ranking], file: IO[bytes]) -> None:
    import codecs
    import csv

    text = codecs.getwriter("utf-8")(file, "backslashreplace")
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    header = None
    for columns in _batches(rankings):
        if header is None:
            plain.writerow(header := list(columns))
        cells = {name: values if name == "score" else _harmless(values) for name, values in columns.items()}
        # Before Python 3.13 a lone carriage return goes unquoted, and readers take it for the end of the row.
        returns = any("\r" in "".join(values) for name, values in cells.items() if name != "score")
        (quoting if returns else plain).writerows(zip(*cells.values(), strict=True))


def _harmless(values: list[Any]) -> list[str]:
    """Return texts (or lists of reasons, as text) that no spreadsheet takes for formulas."""
    if values and isinstance(values[0], list):
        values = ["; ".join(f"{reason['token']} {reason['score']:.6g}" for reason in reasons) for reasons in values]
    return [f"'{value}" if value[:1] in _FORMULA else value for value in values]


def _write_parquet(rankings: Iterable[Ranking], file: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for columns in _batches(rankings):
        schema = _schema(columns)
        writer = writer or pq.ParquetWriter(file, schema)
        writer.write_table(pa.table(columns, schema=schema))
    if writer is None:
        writer = pq.ParquetWriter(file, _schema(["query", "token", "score"]))
    writer.close()


def _schema(names: Iterable[str]) -> Any:
    import pyarrow as pa

    kinds = {
        "score": pa.float32(),
        "because": pa.list_(pa.struct([("token", pa.string()), ("label", pa.string()), ("score", pa.float32())])),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in names])


_WRITERS: dict[str, Callable[[Iterable[Ranking], IO[bytes]], None]] = {
    "table": _write_table,
    "json": _write_json,
    "jsonl": _write_json_lines,
    "csv": _write_csv,
    "parquet": _write_parquet,
}


@contextlib.contextmanager
def _destination(output: Path | None) -> Iterator[IO[bytes]]:
    """Open standard output, a device, or a file that takes its place when it is whole."""
    if output is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif _is_device(output):
        with output.open("wb") as device:
            yield device
    else:
        from embedkit.embeddings.replacing import replacing

        with replacing(output) as file:
            yield file


def _is_device(output: Path) -> bool:
    return output.exists() and not output.is_file() and not output.is_dir()
