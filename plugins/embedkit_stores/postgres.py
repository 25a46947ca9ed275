"""PostgreSQL with pgvector: a table that is filled beside the old one and takes its place in one transaction."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import embedkit
from embedkit_stores import metrics
from embedkit_stores.rows import Rows, blocks, one_line

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

_MARK = "embedkit"
_MOST_NUMBERS, _MOST_INDEXED = 16_000, 2_000  # of a pgvector `vector`, and of one that HNSW takes
_LONGEST_NAME = 50  # bytes: PostgreSQL's 63 less what the names of indexes add
_CLASSES = {"cosine": "vector_cosine_ops", "inner-product": "vector_ip_ops", "euclidean": "vector_l2_ops"}
_OPERATORS = {"cosine": "<=>", "inner-product": "<#>", "euclidean": "<->"}
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)


@dataclass(frozen=True)
class Options:
    """Which table, and how it is searched."""

    table: str = embedkit.option(
        "embeddings", "The table, or SCHEMA.TABLE; replaced if embedkit wrote it.", metavar="NAME"
    )
    metric: metrics.Metric = embedkit.option("auto", metrics.HELP)
    index: Literal["hnsw", "none"] = embedkit.option(
        "hnsw", "The index for that metric; none: searches are exact, and slow above 100,000 rows."
    )


class PgVector(embedkit.Exporter):
    """A table of PostgreSQL with pgvector (postgresql://USER@HOST/DATABASE): token, vector, label, count."""

    name = "pgvector"
    Options = Options
    keeps = frozenset({"labels", "counts"})

    def write(self, embeddings: embedkit.Embeddings, target: str, options: Any) -> None:
        """Fill a new table and let it take the place of the old one, all in one transaction.

        Raises
        ------
        embedkit.EmbedkitError
            If the server cannot be reached, refuses, has no pgvector, or there is a table that embedkit did not write.
        embedkit.OptionError
            If the table's name is none.
        """
        schema, table = _split(options.table)
        width = embeddings.vector_size
        if width > _MOST_NUMBERS:
            raise embedkit.EmbedkitError(
                f"pgvector holds up to {_MOST_NUMBERS:,} numbers a vector; these have {width:,}."
            )
        for names in (embeddings.tokens, embeddings.labels):
            if names is not None and (names.utf8 == 0).any():
                raise embedkit.EmbedkitError(
                    "PostgreSQL's text holds no NUL, and a token or label does; rename it first."
                )
        metric = metrics.chosen(options.metric, self.vectors)
        indexed = options.index == "hnsw" and width <= _MOST_INDEXED
        if options.index == "hnsw" and not indexed:
            self.run.say(f"No index: pgvector's HNSW takes up to {_MOST_INDEXED:,} numbers a vector, not {width:,}.")
        with self._connected(target) as connection:
            new = _NewTable(connection, schema, table)
            new.create(embeddings)
            new.fill(embeddings, self.run)
            if indexed:
                self.run.say(f"Building the index over {len(embeddings):,} rows.")
                new.add_index(_CLASSES[metric])
            new.take_place(f"{_MARK}: {metric}")
        self.run.say(f"Nearest first, by {metric}: ORDER BY vector {_OPERATORS[metric]} '[...]'")

    @contextmanager
    def _connected(self, target: str) -> Iterator[psycopg.Connection]:
        """Open a connection whose work counts only if the block ends well; errors are told without the password."""
        try:
            import psycopg
        except ImportError as error:
            raise embedkit.missing_extra("psycopg", "stores", "exporting to PostgreSQL") from error
        where = self.shown(target)
        _check_url(target, where)
        try:
            connection = psycopg.connect(target, connect_timeout=10)
        except psycopg.Error as error:
            told = one_line(error).partition(" Is the server running")[0]
            raise embedkit.EmbedkitError(
                f"{where} cannot be reached: {told}. Check host, port, user, database and password."
            ) from error
        try:
            with connection:
                yield connection
        except psycopg.Error as error:
            told = error.diag.message_primary or one_line(error)
            raise embedkit.EmbedkitError(f"{where} refused: {told.rstrip('.')}; nothing there has changed.") from error


def _check_url(target: str, where: str) -> None:
    """Refuse what libpq would misread, or complain about in words that hold the password."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    authority = target.partition("://")[2].partition("/")[0]
    readable = target.startswith(("postgresql://", "postgres://")) and target.count("@") == authority.count("@") <= 1
    try:
        conninfo_to_dict(target if readable else "=")
    except ProgrammingError:
        raise embedkit.EmbedkitError(
            f"{where} cannot be read as the URL of a database: name it postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with @ : / % in a password as %40 %3A %2F %25."
        ) from None


def _split(name: str) -> tuple[str | None, str]:
    """Return schema, or None, and table of a name."""
    parts = name.split(".")
    if len(parts) > 2 or not all(parts) or any(len(p.encode()) > _LONGEST_NAME or "\0" in p for p in parts):
        raise embedkit.OptionError(
            "table", f"must be NAME or SCHEMA.NAME of up to {_LONGEST_NAME} bytes; got {name!r}."
        )
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])


class _NewTable:
    """A table under a name of its own until it takes the place of another."""

    def __init__(self, connection: psycopg.Connection, schema: str | None, table: str) -> None:
        self._connection = connection
        self._schema = schema or str(self._value("SELECT current_schema()"))
        self._table = table
        self._name = f"embedkit_{secrets.token_hex(8)}"
        self._n_columns = 0

    def create(self, embeddings: embedkit.Embeddings) -> None:
        """Create the table, and the extension where the database has not got it yet."""
        self._refuse_others()
        if self._value("SELECT count(*) FROM pg_type WHERE typname = 'vector'") == 0:
            if self._value("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == 0:
                raise embedkit.EmbedkitError(
                    "this PostgreSQL has no pgvector: install it on the server (https://github.com/pgvector/pgvector)."
                )
            self._do("CREATE EXTENSION vector")
        columns = ["token text PRIMARY KEY", f"vector vector({embeddings.vector_size}) NOT NULL"]
        columns += ["label text"] * (embeddings.labels is not None)
        columns += ["count bigint NOT NULL"] * (embeddings.counts is not None)
        self._n_columns = len(columns)
        self._do(f"CREATE TABLE {{new}} ({', '.join(columns)})")

    def fill(self, embeddings: embedkit.Embeddings, run: embedkit.Run) -> None:
        """Send all rows in PostgreSQL's binary form."""
        with (
            self._connection.cursor() as cursor,
            cursor.copy(self._sql("COPY {new} FROM STDIN (FORMAT binary)")) as copy,
        ):
            copy.write(_COPY_HEADER)
            for rows in blocks(embeddings, run):
                copy.write(_encoded(rows, self._n_columns))
            copy.write(_COPY_END)

    def add_index(self, operators: str) -> None:
        """Build an HNSW index."""
        self._do(f"CREATE INDEX {{new_index}} ON {{new}} USING hnsw (vector {operators})")

    def take_place(self, comment: str) -> None:
        """Drop the old table, if there is one, and take its name; who was granted what on it is granted it again."""
        from psycopg import sql

        self._grant_as_before()
        self._do("DROP TABLE IF EXISTS {old}")
        self._do("ALTER TABLE {new} RENAME TO {table}")
        self._do("ALTER INDEX {new_key} RENAME TO {key}")
        self._do("ALTER INDEX IF EXISTS {new_index_there} RENAME TO {index}")
        self._connection.execute(self._sql("COMMENT ON TABLE {old} IS ") + sql.Literal(comment))
        self._do("ANALYZE {old}")

    def _grant_as_before(self) -> None:
        """Grant on the new table what was granted on the old one."""
        from psycopg import sql

        granted = self._connection.execute(
            "SELECT a.privilege_type, r.rolname, a.is_grantable FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) a "
            "LEFT JOIN pg_roles r ON r.oid = a.grantee "
            "WHERE n.nspname = %s AND c.relname = %s AND a.grantee <> c.relowner",
            (self._schema, self._table),
        ).fetchall()
        for privilege, role, grantable in granted:
            grantee = sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
            option = sql.SQL(" WITH GRANT OPTION" if grantable else "")
            self._connection.execute(
                sql.SQL("GRANT {} ON ").format(sql.SQL(privilege)) + self._sql("{new} TO ") + grantee + option
            )

    def _refuse_others(self) -> None:
        """Refuse to replace a table that embedkit did not write."""
        found = self._connection.execute(
            "SELECT c.relkind::text, obj_description(c.oid, 'pg_class') FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
            (self._schema, self._table),
        ).fetchone()
        if found and (found[0] != "r" or not str(found[1]).startswith(_MARK)):
            raise embedkit.EmbedkitError(
                f"there is a {self._schema}.{self._table} already that embedkit did not write; name another --table."
            )

    def _value(self, query: str) -> Any:
        row = self._connection.execute(query).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None

    def _do(self, statement: str) -> None:
        self._connection.execute(self._sql(statement))

    def _sql(self, statement: str) -> sql.Composed:
        """Return a statement with the names of tables and indexes, quoted."""
        from psycopg import sql

        new, old = self._name, self._table
        within = {"new": new, "old": old, "new_key": f"{new}_pkey", "new_index_there": f"{new}_i"}
        bare = {"table": old, "key": f"{old}_pkey", "index": f"{old}_vector", "new_index": f"{new}_i"}
        names = {k: sql.Identifier(self._schema, name) for k, name in within.items()}
        return sql.SQL(statement).format(**names, **{k: sql.Identifier(name) for k, name in bare.items()})  # type: ignore[arg-type]


def _encoded(rows: Rows, n_columns: int) -> bytes:
    """Return rows as PostgreSQL's COPY takes them in binary: big-endian, each field behind its length."""
    size = rows.vectors.shape[1]
    numbers = rows.vectors.astype(">f4").tobytes()
    columns = struct.pack(">h", n_columns)
    head = struct.pack(">ihh", 4 + 4 * size, size, 0)
    parts: list[bytes] = []
    for i, token in enumerate(rows.tokens):
        parts += (columns, _text(token), head, numbers[4 * size * i : 4 * size * (i + 1)])
        if rows.labels is not None:
            parts.append(_text(rows.labels[i]) if rows.labels[i] else _NULL)
        if rows.counts is not None:
            parts.append(struct.pack(">iq", 8, rows.counts[i]))
    return b"".join(parts)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">i", len(encoded)) + encoded
