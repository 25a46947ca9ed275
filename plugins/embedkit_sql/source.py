"""The source and its options. Importing this module imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import embedkit

if TYPE_CHECKING:
    from embedkit_sql.rows import Rows

ENVIRONMENT = "EMBEDKIT_SQL_URL"
_OWN = ("url", "query", "table")


@dataclass(frozen=True)
class Options:
    """Which database, which rows of it, and how they are read: the columns as in source `sessions`."""

    url: str | None = embedkit.option(
        None,
        f"SQLAlchemy URL: sqlite:///shop.db, postgresql://user@host/db, ...; else ${ENVIRONMENT}, which keeps a "
        "password out of the command line.",
        metavar="URL",
        secret=True,
    )
    query: str | None = embedkit.option(None, "A SELECT whose rows are interactions.", metavar="SQL")
    table: str | None = embedkit.option(
        None, "A table or view to read instead of a query, with its schema if need be: shop.clicks.", metavar="NAME"
    )
    user_column: int | str | None = embedkit.option(
        None,
        "Column of users: a name, or a number from 1. Known names (user_id, customer, ...) are found.",
        metavar="COLUMN",
    )
    item_column: int | str | None = embedkit.option(
        None, "Column of items. Known names (item, product_id, ...) are found.", metavar="COLUMN"
    )
    time_column: int | str | None = embedkit.option(
        None,
        "Column of times, by which interactions are ordered. Known names (timestamp, created_at, ...) are found.",
        metavar="COLUMN",
    )
    weight_column: int | str | None = embedkit.option(
        None, "Column of weights above zero. Only one called 'weight' is found.", metavar="COLUMN"
    )
    item_label_column: int | str | None = embedkit.option(
        None, "Column that holds names to show for items. 'item_title', 'item_name' are found.", metavar="COLUMN"
    )
    time_format: str | None = embedkit.option(
        None, "Form of times that are text in the database and no ISO times, such as %d.%m.%Y %H:%M.", metavar="FORM"
    )
    bad_rows: Literal["refuse", "drop"] = embedkit.option(
        "refuse", "What to do with rows that cannot be read: stop and say which, or drop and count them."
    )
    session_gap: str | None = embedkit.option(
        None, "Begin a new session where a user pauses longer than this: 30min, 2h, 1d, or seconds.", metavar="DURATION"
    )
    min_interactions: int = embedkit.option(1, "Leave out users with fewer interactions than this.", minimum=1)
    min_weight: float | None = embedkit.option(None, "Leave out interactions whose weight is below this.", above=0)


class Sql(embedkit.Source):
    """Interactions of users with items, from a database: SQLite, PostgreSQL, whatever SQLAlchemy has a driver for.

    Rows are streamed in a read-only transaction, names to show in another, and become histories as those of source
    `sessions` do, so memory does not grow with their number.
    """

    name = "sql"
    Options = Options
    # Those of source `sessions`, whose rows these are.
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
        self._rows: Rows | None = None
        self._sessions: embedkit.Source | None = None

    def batches(self) -> Iterator[embedkit.SentenceBatch]:
        """Yield the sentences: one a session, tokens its items in order of time, key its user.

        Raises
        ------
        embedkit.SourceError
            If the database cannot be reached or refuses, or its rows are not what the options say.
        embedkit.OptionError
            If options are missing or contradict each other.
        """
        self._rows = self._opened()
        values = {f.name: getattr(self.options, f.name) for f in fields(self.options) if f.name not in _OWN}
        try:
            self._sessions = embedkit.make_source("sessions", input=self._rows, **values)
        except embedkit.UnknownNameError as error:
            raise embedkit.PluginError("source sql builds on source sessions: load that plugin as well.") from error
        self._sessions.work_dir = self.work_dir
        # One counter and one list, so that what is found out midway is seen here as well.
        self.dropped, self.notes = self._sessions.dropped, self._sessions.notes
        try:
            yield from self._sessions.batches() or ()
        except embedkit.SourceError as error:
            raise self._rows.failure or error from None

    def labels(self) -> Iterable[tuple[str, str]] | None:
        """Return each item's name: the most frequent one in the column that the options name."""
        if self._sessions is None or self._rows is None:
            return None
        try:
            return self._sessions.labels()
        except embedkit.SourceError as error:
            raise self._rows.failure or error from None

    def _opened(self) -> Rows:
        """Return the rows that the options name, their columns known already."""
        url = self.options.url or os.environ.get(ENVIRONMENT)
        if not url:
            raise embedkit.OptionError("url", f"is missing: say which database to read, or set {ENVIRONMENT}.")
        if (self.options.query is None) == (self.options.table is None):
            raise embedkit.OptionError("query", "or table must say which rows to read: give one of them.")
        from embedkit_sql.rows import open_rows

        return open_rows(url, self.options.query, self.options.table)
