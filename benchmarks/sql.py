"""Interactions from PostgreSQL to sessions: source `sql` beside a copy to CSV that source `sessions` reads.

    python benchmarks/sql.py [--rows 1000000] [--rounds 3]

A server of the benchmark's own is made in a temporary folder, run as an ordinary user on a free port of loopback, and
removed (`initdb` must be on the path, and `psql` for the copy). Users, items and times are drawn at random, so the rows
of one user lie scattered over the table. Each reading is a process of its own, warm (compiled kernels at hand, modules
imported); the copy's time counts, the server's memory does not. The last column shows whether memory grows with rows:
its peak with four times as many.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import Measured, in_turn, markdown, median, note, parser, whole_process

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

TABLE = """
SELECT setseed(0.5);
CREATE TABLE clicks AS
SELECT 'user' || (random() ^ 2 * 50000)::int AS user_id, (random() ^ 2 * 20000)::int AS item_id,
       timestamptz '2024-01-01' + random() * interval '300 days' AS ts
FROM generate_series(1, {rows})
"""


def child(way: str, url: str, folder: str, limit: str) -> None:
    """Read once and report."""
    import embedkit

    query = f"SELECT user_id, item_id, ts FROM clicks LIMIT {limit}"
    embedkit.Corpus.from_sentences([["warm", "up"]])
    embedkit.read("sessions")
    embedkit.read("sql", url=url, query="SELECT 'a' AS user_id, 1 AS item_id")
    start = time.perf_counter()
    corpus = WAYS[way](url, query, Path(folder))
    took = time.perf_counter() - start
    print(json.dumps({"seconds": took, "tokens": corpus.n_tokens, "different": len(corpus.tokens)}))


def streamed(url: str, query: str, folder: Path) -> object:
    """Read with source `sql`, by COPY."""
    import embedkit

    return embedkit.read("sql", url=url, query=query)


def by_cursor(url: str, query: str, folder: Path) -> object:
    """Read with source `sql` as from databases that have no COPY."""
    import embedkit
    from embedkit_sql.database import Database

    made = Database.__init__

    def without_copy(database: Database, url: str) -> None:
        made(database, url)
        database.copies = False

    Database.__init__ = without_copy  # type: ignore[method-assign]
    return embedkit.read("sql", url=url, query=query)


def through_csv(url: str, query: str, folder: Path) -> object:
    """Copy to CSV with psql and read that with source `sessions`."""
    import embedkit

    path = folder / "clicks.csv"
    subprocess.run(["psql", "-q", "-d", url, "-c", f"\\copy ({query}) to '{path}' csv header"], check=True)
    return embedkit.read("sessions", input=path)


def through_pandas(url: str, query: str, folder: Path) -> object:
    """Read with pandas into memory and hand the DataFrame to source `sessions`."""
    import pandas as pd
    import sqlalchemy

    import embedkit

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    return embedkit.read("sessions", input=pd.read_sql_query(query, engine))


WAYS: dict[str, Callable] = {
    "source sql (COPY)": streamed,
    "COPY to CSV, source sessions": through_csv,
    "source sql (cursor)": by_cursor,
    "pandas.read_sql, source sessions": through_pandas,
}


def main() -> None:
    """Measure and print the table."""
    from postgres_server import running

    args = parser(__doc__, "", needs_data=False)
    args.add_argument("--rows", type=int, default=1_000_000)
    given = args.parse_args()
    with running() as server, tempfile.TemporaryDirectory() as folder:
        note(f"making a table of {4 * given.rows:,} rows")
        with server.connect() as connection:
            connection.execute(TABLE.format(rows=4 * given.rows))
            connection.execute("VACUUM ANALYZE clicks")

        def reading(way: str, rows: int) -> Measured:
            return whole_process([sys.executable, __file__, "--child", way, server.url(), folder, str(rows)])

        ways = {way: (lambda way=way: reading(way, given.rows)) for way in WAYS}
        results = in_turn(ways, given.rounds)
        larger = {way: reading(way, 4 * given.rows) for way in WAYS}
    rows = []
    for way, runs in results.items():
        took = [m.report["seconds"] for m in runs]
        assert {m.report["tokens"] for m in runs} == {given.rows}
        rows.append([
            way, f"{median(took):.2f} s", f"{min(took):.2f}–{max(took):.2f}", f"{given.rows / median(took) / 1e6:.2f}",
            f"{median([m.peak for m in runs]):.0f} MiB",
            f"{larger[way].report['seconds']:.2f} s", f"{larger[way].peak:.0f} MiB",
        ])  # fmt: skip
    header = ["way", "median", "range", "million rows/s", "peak memory", "4 × the rows", "peak memory"]
    print(markdown(header, rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
