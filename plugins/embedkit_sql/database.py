"""A database behind a URL: connected to for reading alone, its errors told in one line without the password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from embedkit import OptionError, SourceError, did_you_mean, missing_extra

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
# A server that does not answer is given up after ten seconds, a silent one in the midst of rows after a minute.
_POSTGRESQL = {
    "application_name": "embedkit",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


class Database:
    """What a URL names.

    Attributes
    ----------
    name
        The URL as messages show it: without password and settings.
    copies
        Whether rows can come by PostgreSQL's COPY.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        shown = self._url.set(query={}, password=None).render_as_string()
        self.name = shown.replace("postgresql+psycopg:", "postgresql:")
        self.copies = self._url.get_backend_name() == "postgresql" and self._url.get_driver_name() == "psycopg"
        self._engine = self._made()

    def _made(self) -> Engine:
        from sqlalchemy import create_engine, exc, pool

        settings: dict[str, Any] = {}
        if self.copies:
            settings = {name: value for name, value in _POSTGRESQL.items() if name not in self._url.query}
        if self._url.get_backend_name() == "sqlite":
            self._check_file()
            settings = {"check_same_thread": False}
        kind = self._url.drivername
        try:
            return create_engine(self._url, poolclass=pool.NullPool, connect_args=settings)
        except exc.NoSuchModuleError:
            raise OptionError("url", f"names a kind of database that SQLAlchemy has no dialect for: {kind}.") from None
        except ImportError as error:
            if self.copies:
                raise missing_extra("psycopg", "sql", "reading PostgreSQL") from None
            raise SourceError(
                f"{self.name} needs the driver {error.name}, which is not installed; install it, or name another "
                f"driver in the URL ({self._url.get_backend_name()}+DRIVER://...)."
            ) from None
        except Exception as error:
            raise OptionError("url", f"is refused by SQLAlchemy: {self.told(error)}.") from None

    def _check_file(self) -> None:
        """Refuse a file that is not there, which SQLite would make."""
        path = self._url.database
        if not path or path == ":memory:":
            raise OptionError(
                "url", "names SQLite's database in memory, which is empty; name a file: sqlite:///shop.db."
            )
        if not Path(unquote(path.removeprefix("file:").removeprefix("//"))).is_file():
            raise SourceError(f"{path} does not exist; check the path (sqlite:///relative or sqlite:////absolute).")

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Give a connection in a read-only transaction, rolled back at the end; its errors become `SourceError`."""
        from sqlalchemy import exc

        try:
            with self._connect() as connection, _given_up(connection):
                if self._url.get_backend_name() == "postgresql":
                    connection = connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                if statement := _READ_ONLY.get(self._url.get_backend_name()):
                    connection.exec_driver_sql(statement)
                yield connection
        except (exc.SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise self.refused(error) from None

    def _connect(self) -> Connection:
        from sqlalchemy import exc

        try:
            return self._engine.connect()
        except exc.SQLAlchemyError as error:
            raise SourceError(
                f"cannot connect to {self.name}: {self.told(error)}; check the URL, and that the server runs."
            ) from None

    def refused(self, error: BaseException) -> SourceError:
        """Return the error for a statement that fails, or a connection that is lost while rows come."""
        return SourceError(f"{self.name}: {self.told(error)}.")

    def told(self, error: BaseException) -> str:
        """Return what a driver says, in one line, without the password and without SQLAlchemy's wrapping."""
        original = getattr(error, "orig", None) or error
        diagnostics = getattr(original, "diag", None)
        text = getattr(diagnostics, "message_primary", None) or str(original) or type(original).__name__
        if hint := getattr(diagnostics, "message_hint", None):
            text += f" ({hint})"
        text = re.sub(r"\bLINE \d+:.*", "", text, flags=re.DOTALL)
        text = re.sub(r"^connection (failed|is bad): ", "", text)
        for secret in self._secrets():
            text = text.replace(secret, "***")
        return " ".join(text.split())[:400].rstrip(".?")

    def _secrets(self) -> list[str]:
        """Return what of the URL is shown nowhere, in all its spellings."""
        found = [str(self._url.password or "")]
        for name, value in self._url.query.items():
            if re.search("pass|token|secret|key|credential", name, re.IGNORECASE):
                found += [value] if isinstance(value, str) else value
        return [spelling for secret in found if secret for spelling in (secret, quote(secret, safe=""))]


@contextmanager
def _given_up(connection: Connection) -> Iterator[None]:
    """Close a connection on which something failed or was left half-way: it takes no further command, no rollback."""
    try:
        yield
    except BaseException:
        connection.invalidate()
        raise


def _parsed(given: str) -> URL:
    """Return a URL; PostgreSQL's own forms (`postgres://`, `postgresql://`) take the driver that is installed here.

    Raises
    ------
    OptionError
        If it is no URL of a database.
    """
    try:
        from sqlalchemy import exc, make_url
    except ImportError as error:
        raise missing_extra("SQLAlchemy", "sql", "source sql") from error
    try:
        url = make_url(given)
    except (exc.ArgumentError, ValueError):
        raise OptionError(
            "url", "is no URL of a database, such as sqlite:///shop.db or postgresql://user@host/db."
        ) from None
    if "@" in (url.host or ""):  # what stands before it is a part of the password, and would be shown
        raise OptionError("url", "has an @ too many; write those in user and password as %40.")
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    return url


def table_sql(connection: Connection, given: str) -> str:
    """Return a table or view, given as `name` or `schema.name`, as quoted SQL.

    Raises
    ------
    SourceError
        If there is none, with the nearest names.
    """
    from sqlalchemy import inspect

    inspector = inspect(connection)
    schema, _, name = given.rpartition(".")
    for where, called in ((None, given), (schema or None, name)):
        if inspector.has_table(called, schema=where):
            return ".".join(quoted(connection, part) for part in (where, called) if part)
    there = [*inspector.get_table_names(), *inspector.get_view_names()]
    if schema in inspector.get_schema_names():
        there += [f"{schema}.{called}" for called in inspector.get_table_names(schema)]
    near = did_you_mean(given, there) or (f" There are: {', '.join(sorted(there)[:20])}." if there else "")
    raise SourceError(f"there is no table {given!r} in {connection.engine.url.database}.{near}")


def quoted(connection: Connection, name: str) -> str:
    """Return a name as an identifier of this database, whatever characters it holds."""
    preparer = connection.dialect.identifier_preparer
    if connection.dialect.requires_name_normalize:  # where plain names are upper case in the catalogue
        return str(preparer.quote(name))
    return str(preparer.quote_identifier(name))
