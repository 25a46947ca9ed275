"""The source and its options. Importing this module imports nothing heavy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import embedkit
from embedkit_sessions.findings import Findings
from embedkit_sessions.temporary import full_disk_told


@dataclass(frozen=True)
class Options:
    """How interactions are read."""

    input: object = embedkit.option(
        None,
        "Files, folders or globs of CSV, TSV, '::'-delimited text, JSON lines or Parquet (.gz, .bz2, .xz, .zst too), "
        "here or in an object store (s3://, gs://); - is standard input; from Python also a DataFrame, an Arrow table "
        "or a Hugging Face dataset.",
        metavar="PATH",
    )
    layout: Literal["table", "lines"] = embedkit.option(
        "table", "table: a row an interaction; lines: a line a sentence, tokens parted by whitespace."
    )
    key: Literal["first", "none"] = embedkit.option(
        "first", "With --layout lines: whether a line's first token is its key."
    )
    user_column: int | str | None = embedkit.option(
        None,
        "Column of users: a name, or a number from 1. Known names (user_id, customer, ...) are found.",
        metavar="COLUMN",
    )
    item_column: int | str | None = embedkit.option(
        None, "Column of items. Known names (item, product_id, movieId, ...) are found.", metavar="COLUMN"
    )
    time_column: int | str | None = embedkit.option(
        None,
        "Column of times, by which interactions are ordered. Known names (timestamp, date, ...) are found.",
        metavar="COLUMN",
    )
    weight_column: int | str | None = embedkit.option(
        None,
        "Column of weights above zero. Only one called 'weight' is found: ratings and quantities must be named.",
        metavar="COLUMN",
    )
    invoice_column: int | str | None = embedkit.option(
        None,
        "Column of invoice numbers, where C and digits mark a cancellation, which is left out. "
        "'invoice', 'invoiceno' are found.",
        metavar="COLUMN",
    )
    time_format: str | None = embedkit.option(
        None, "Form of the times where they are no ISO times or Unix numbers, such as %d.%m.%Y %H:%M.", metavar="FORM"
    )
    delimiter: str | None = embedkit.option(
        None,
        "What parts the columns, or its name: comma, tab, semicolon, pipe. Found in the first lines.",
        metavar="TEXT",
    )
    header: bool | None = embedkit.option(None, "Whether the first line names the columns. Found in the first lines.")
    quoting: bool | None = embedkit.option(
        None, 'Whether "..." holds a value together. Yes, but for files delimited by ::.'
    )
    encoding: str | None = embedkit.option(
        None, "Encoding of the text; UTF-8, or UTF-16 where a file looks like it.", metavar="NAME"
    )
    bad_rows: Literal["refuse", "drop"] = embedkit.option(
        "refuse", "What to do with rows that cannot be read: stop and say where, or drop and count them."
    )
    session_gap: str | None = embedkit.option(
        None, "Begin a new session where a user pauses longer than this: 30min, 2h, 1d, or seconds.", metavar="DURATION"
    )
    min_interactions: int = embedkit.option(1, "Leave out users with fewer interactions than this.", minimum=1)
    min_weight: float | None = embedkit.option(None, "Leave out interactions whose weight is below this.", above=0)
    item_label_column: int | str | None = embedkit.option(
        None,
        "Column of the same table that holds names to show for items. 'item_title', 'item_name' are found.",
        metavar="COLUMN",
    )
    labels: str | None = embedkit.option(None, "A second file with names to show for items.", metavar="FILE")
    labels_id_column: int | str = embedkit.option(1, "Its column of items.", metavar="COLUMN")
    labels_name_column: int | str = embedkit.option(2, "Its column of names.", metavar="COLUMN")


class Sessions(embedkit.Source):
    """Interactions of users with items, from tables (CSV, Parquet, JSON lines, DataFrames) or lines.

    Users come in the order in which they are first met. Memory grows with the numbers of users and items and with the
    longest history, not with the number of interactions, which are grouped and ordered on disk.
    """

    name = "sessions"
    Options = Options
    # A session is no prose: all of it is the window, no item is a stop word, and its best noise is flatter than that of
    # words. Chosen on a validation part of Gowalla; see docs/recommending.md.
    defaults: ClassVar[dict[str, Any]] = {
        "trainer": "spectral",
        "min_count": 1,
        **{
            f"{trainer}.{name}": value
            for trainer in ("skipgram", "cbow")
            for name, value in (
                ("window", "sentence"),
                ("shrink_windows", False),
                ("epochs", 60),
                ("sample", 0.0),
                ("ns_exponent", 0.25),
                ("alpha", 0.1),
            )
        },
        "glove.window": "sentence",
        "glove.unmet_weight": 0.1,
        "spectral.window": "sentence",
    }

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._input: Any = None
        self._findings = Findings(self.dropped, self.notes)

    def batches(self) -> Iterator[embedkit.SentenceBatch]:
        """Yield the sentences: one a session, tokens its items in order of time, key its user.

        Raises
        ------
        embedkit.SourceError
            If the input is missing, damaged, or not what the options say.
        embedkit.OptionError
            If options contradict each other or the layout.
        """
        from embedkit_sessions.lines import read_lines
        from embedkit_sessions.sessions import read_sessions

        _check(self.options)
        self.dropped.clear()
        self.notes.clear()
        self._findings = Findings(self.dropped, self.notes)
        read = read_lines if self.options.layout == "lines" else read_sessions
        with full_disk_told(self.work_dir), self._folder() as folder:
            yield from read(self._opened(), self.options, Path(folder), self._findings)

    def labels(self) -> Iterable[tuple[str, str]] | None:
        """Return each item's name: the most frequent one of the column or file that the options name."""
        if not self._findings.labelled and self.options.labels is None:
            return None
        from embedkit_sessions.labels import read_labels

        with full_disk_told(self.work_dir), self._folder() as folder:
            return read_labels(self._opened(), self.options, Path(folder))

    def divided(self, n: int) -> list[embedkit.Source] | None:
        """Return sources of files, of row groups of Parquet, and of stretches of lines."""
        from embedkit_sessions.dividing import divide

        _check(self.options)
        if self.options.min_interactions > 1:
            raise embedkit.OptionError("min_interactions", "needs all rows of a user at once, which a part has not.")
        parts = []
        for inputs in divide(self._opened(), n, self.options.layout, self.options.encoding):
            part = type(self)(replace(self.options, input=None))
            part._input = inputs
            parts.append(part)
        return list(parts)

    @classmethod
    def sample(cls) -> Any:
        """Return an Arrow table of 400 users' interactions with 300 invented films, songs and books."""
        from embedkit_sessions.sample import interactions

        return interactions()

    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="sessions-", dir=self.work_dir)

    def _opened(self) -> Any:
        """Return what there is to read; standard input is spooled once and read again from there."""
        if self._input is None:
            from embedkit_sessions.inputs import find_inputs

            self._input = find_inputs(self.options.input, self.options.layout, self.work_dir)
            if self.options.labels is not None:
                find_inputs(self.options.labels, "table")  # a missing file is told of before anything is read
        return self._input


def _check(options: Options) -> None:
    """Refuse options that belong to the other layout, or to nothing."""
    if options.layout == "lines":
        columns = [name for name in vars(options) if name.endswith("_column") and not name.startswith("labels_")]
        for name in [*columns, "session_gap", "min_weight", "time_format", "delimiter", "header"]:
            if getattr(options, name) is not None:
                raise embedkit.OptionError(name, "belongs to --layout table; lines have no columns. Leave it out.")
    if options.item_label_column is not None and options.labels is not None:
        raise embedkit.OptionError("labels", "and item_label_column cannot both be given. Choose one.")
    if options.min_weight is not None and options.weight_column is None:
        raise embedkit.OptionError("min_weight", "needs weights: name their column with --weight-column.")
