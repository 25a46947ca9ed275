"""Source `sql` on a real PostgreSQL server: COPY and the cursor, and what becomes of a server that goes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import needs
from postgres_server import PASSWORD

import embedkit
from embedkit_sql import copying
from embedkit_sql.database import Database

needs("sqlalchemy", "psycopg", programs=("initdb",))
import sql_sources
from sql_sources import read, source

ROWS = """
CREATE TABLE shop.clicks (user_id text, item_id bigint, at timestamptz, weight real, item_name text, note text);
INSERT INTO shop.clicks VALUES
  ('ann', 7, '2024-01-02 03:04:05.5+09', 1.5, 'Seven', 'x'),
  ('ann', 9223372036854775807, '2024-01-01', 1, 'Huge', NULL),
  ('bo"b, junior' || chr(10) || 'II', 7, '1969-12-31 23:59:59Z', 2, 'Seven', ''),
  ('한글', -1, '2024-01-01', 1, NULL, 'x'),
  ('NA', 5, '2024-01-01', 1, 'Five', 'x'),
  ('', 5, '2024-01-01', 1, 'Five', 'x'),
  (NULL, 5, '2024-01-01', 1, 'Five', 'x'),
  ('ann', NULL, '2024-01-01', 1, NULL, 'x'),
  ('ann', 5, NULL, 1, 'Five', 'x'),
  ('ann', 5, '2024-01-01', NULL, 'Five', 'x');
"""
EXPECTED = [
    ("ann", [str(2**63 - 1), "7"], [1.0, 1.5], [1_704_067_200_000_000, 1_704_132_245_500_000]),
    ('bo"b, junior\nII', ["7"], [2.0], [-1_000_000]),
    ("한글", ["-1"], [1.0], [1_704_067_200_000_000]),
    ("NA", ["5"], [1.0], [1_704_067_200_000_000]),
]
DROPPED = {
    "rows without a user": 2,
    "rows without an item": 1,
    "rows without a time": 1,
    "rows without a weight": 1,
}


@pytest.fixture(scope="module")
def shop(postgres):
    with postgres.connect() as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute(ROWS)
        connection.execute("GRANT USAGE ON SCHEMA shop TO reader")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA shop TO reader")
        connection.execute('CREATE TABLE "Per""sons; --" (user_id int, "item id" uuid)')
        connection.execute('INSERT INTO "Per""sons; --" VALUES (7, gen_random_uuid())')
    return postgres


def refused(**options):
    """Return the one line that reading ends with, which tells no password."""
    message = sql_sources.refused(**options)
    assert PASSWORD not in message
    return message


@pytest.mark.parametrize("copies", [True, False], ids=["copy", "cursor"])
def test_every_kind_of_value(shop, monkeypatch, copies):
    opened = Database.__init__

    def without_copy(database, url):
        opened(database, url)
        database.copies = copies

    monkeypatch.setattr(Database, "__init__", without_copy)
    made = source(url=shop.url(), table="shop.clicks", time_column="at")
    assert read(made) == EXPECTED
    assert made.dropped == DROPPED
    assert dict(made.labels()) == {"7": "Seven", str(2**63 - 1): "Huge", "5": "Five"}


def test_a_reader_with_a_password_needs_no_more_than_select(shop):
    given = {"query": "SELECT * FROM shop.clicks", "time_column": "at"}
    assert read(source(url=shop.url("reader", PASSWORD), **given)) == EXPECTED


def test_blocks_of_any_size_hold_whole_rows(shop, monkeypatch):
    monkeypatch.setattr(copying, "BLOCK", 50)
    assert read(source(url=shop.url(), table="shop.clicks", time_column="at")) == EXPECTED


def test_times_do_not_hang_on_the_settings_of_the_server(shop):
    with shop.connect() as connection:
        connection.execute("ALTER ROLE reader SET datestyle = 'SQL, DMY'")
        connection.execute("ALTER ROLE reader SET timezone = 'Asia/Seoul'")
    url = shop.url("reader", PASSWORD)
    query = "SELECT 1 AS u, 2 AS i, timestamp '2024-02-01 00:00' AS t UNION SELECT 1, 3, date '2024-01-02'"
    [sentence] = read(source(url=url, query=query, user_column="u", item_column="i", time_column="t"))
    assert sentence[3] == [1_704_153_600_000_000, 1_706_745_600_000_000]
    assert read(source(url=url, table="shop.clicks", time_column="at")) == EXPECTED


def test_only_the_columns_that_are_needed_leave_a_table(shop):
    with shop.connect() as connection:
        connection.execute(
            "CREATE VIEW shop.trap AS SELECT user_id, item_id, 1 / (item_id - item_id) AS x FROM shop.clicks"
        )
    assert len(read(source(url=shop.url(), table="shop.trap"))) == 4
    assert "division by zero" in refused(url=shop.url(), query="SELECT * FROM shop.trap")


def test_a_name_with_quotes_is_found(shop):
    [sentence] = read(source(url=shop.url(), table='Per"sons; --', item_column="item id"))
    assert sentence[0] == "7"
    assert len(sentence[1][0]) == 36
    assert "Did you mean 'shop.clicks'?" in refused(url=shop.url(), table="shop.click")


def test_a_query_stands_as_it_is_written(shop):
    query = "SELECT user_id, item_id, ':x' FROM shop.clicks WHERE user_id LIKE 'a%' ORDER BY 2 -- the end;"
    assert [s[:2] for s in read(source(url=shop.url(), query=query))] == [("ann", ["5", "5", "7", str(2**63 - 1)])]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("DELETE FROM shop.clicks RETURNING user_id, item_id", "read-only transaction"),
        ("DROP TABLE shop.clicks", "gives no rows"),
        ("SELECT 1; DROP TABLE shop.clicks", "multiple commands"),
        ("SELECT 1 AS u, 2) TO STDOUT; DROP TABLE shop.clicks; COPY (SELECT 1", "syntax error"),
        ("", "gives no rows"),
        ("SELECT user_id FROM shop.clicks", "no column 'item'"),
        ("SELECT 1 AS user_id, 2 AS item_id WHERE false", "it has no rows"),
        ("SELECT 1 AS user_id, 1 / (g - 5) AS item_id FROM generate_series(1, 9) g", "division by zero"),
        ("SELECT 1 AS user_id, ARRAY[1] AS item_id", "several values a row"),
        ("SELECT 1 AS user_id, '\\x00'::bytea AS item_id", "holds bytes"),
        ("SELECT 1 AS user_id, 2 AS item_id, 'infinity'::timestamp AS ts", "'infinity' is a time"),
        ("SELECT 1 AS user_id, 2 AS item_id, 'gestern' AS ts", "row 1: 'gestern' in column 'ts' is no time"),
    ],
)
def test_queries_that_give_no_sessions(shop, query, told):
    assert told in refused(url=shop.url(), query=query)
    with shop.connect() as connection:
        assert connection.execute("SELECT count(*) FROM shop.clicks").fetchone() == (10,)


def test_servers_that_do_not_let_one_in(shop):
    from postgres_server import _free_port

    assert "password authentication failed" in refused(url=shop.url("reader", "falsch" + PASSWORD), table="shop.clicks")
    assert "password" in refused(url=shop.url("reader"), table="shop.clicks")
    assert 'database "nix" does not exist' in refused(url=shop.url(database="nix"), table="shop.clicks")
    assert "Connection refused" in refused(url=shop.url(port=_free_port()), table="shop.clicks")
    assert "permission denied" in refused(url=shop.url("reader", PASSWORD), query='SELECT * FROM "Per""sons; --"')


def test_no_connection_is_left_behind(shop):
    with pytest.raises(embedkit.SourceError):
        read(
            source(
                url=shop.url(), query="SELECT g AS user_id, 1 AS item_id, 'x' AS ts FROM generate_series(1, 300000) g"
            )
        )
    batches = source(url=shop.url(), query="SELECT g AS user_id, 1 AS item_id FROM generate_series(1, 9) g").batches()
    next(batches)
    batches.close()
    assert _left(shop) == 0


# The server falls asleep behind so many rows that some have been sent, and is ended there.
MIDWAY = """
SELECT g % 100 AS user_id, g AS item_id, CASE WHEN g = 200000 THEN pg_sleep(60)::text END AS note
FROM generate_series(1, 400000) g
"""


def test_a_server_that_goes_midway_is_told(shop):
    killer = threading.Thread(target=_kill_sleeper, args=(shop,))
    killer.start()
    told = refused(url=shop.url(), query=MIDWAY)
    killer.join()
    assert told.startswith("the query: postgresql://owner@127.0.0.1")
    assert "terminating connection due to administrator command" in told


@pytest.mark.slow
def test_a_connection_that_drops_midway_leaves_nothing(shop, tmp_path):
    model, scratch = tmp_path / "m.safetensors", tmp_path / "scratch"
    model.write_text("the model of yesterday")
    scratch.mkdir()
    command = [
        sys.executable, "-m", "embedkit", "train", "--source", "sql", "--query", MIDWAY, "--output", str(model),
        "--work-dir", str(scratch),
    ]  # fmt: skip
    environment = {**os.environ, "EMBEDKIT_SQL_URL": shop.url("reader", PASSWORD)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killer = threading.Thread(target=_kill_sleeper, args=(shop,))
    killer.start()
    out, err = process.communicate(timeout=60)
    killer.join()
    assert (process.returncode, out) == (1, "")
    last = err.splitlines()[-1]
    assert "the query: postgresql://reader:***@127.0.0.1" in last
    assert "terminating connection due to administrator command" in last
    assert "Traceback" not in err
    assert PASSWORD not in err
    assert model.read_text() == "the model of yesterday"
    assert sorted(os.listdir(tmp_path)) == ["m.safetensors", "scratch"]
    assert not list(Path(scratch).rglob("*"))


def _kill_sleeper(server):
    with server.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", _wait_for_sleeper(server))


def _wait_for_sleeper(server):
    """Return the process that sleeps for embedkit, once there is one."""
    asleep = "SELECT pid FROM pg_stat_activity WHERE application_name = 'embedkit' AND wait_event = 'PgSleep'"
    until = time.monotonic() + 50
    with server.connect() as connection:
        while (found := connection.execute(asleep).fetchone()) is None:
            assert time.monotonic() < until
            time.sleep(0.02)
    return found


def _left(server):
    """Return how many connections are left of embedkit's; the server takes a moment to see that one is closed."""
    until = time.monotonic() + 10
    with server.connect() as connection:
        while True:
            count = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'embedkit'")
            (left,) = count.fetchone()
            if not left or time.monotonic() > until:
                return left
            time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_ends_it_here_and_on_the_server(shop, tmp_path):
    command = [sys.executable, "-m", "embedkit", "train", "--source", "sql", "--query", MIDWAY]
    environment = {**os.environ, "EMBEDKIT_SQL_URL": shop.url()}
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    _wait_for_sleeper(shop)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert os.listdir(tmp_path) == []
    assert _left(shop) == 0


MANY = "SELECT g % 1000 AS user_id, g % 777 AS item_id FROM generate_series(1, 2000000) g"


def _interrupted(after):
    """Make a trace function that is Ctrl-C at that line of the readers' code; it counts the lines that are passed."""
    passed = [0]

    def at(frame, event, _):
        if "embedkit_s" not in frame.f_code.co_filename:
            return None
        if event == "line":
            passed[0] += 1
            if passed[0] == after:
                raise KeyboardInterrupt(f"at {frame.f_code.co_filename}:{frame.f_lineno}")
        return at

    return at, passed


def _read_traced(shop, trace):
    made = source(url=shop.url(), query=MANY)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for _ in made.batches():
            pass
    finally:
        sys.settrace(before)


@pytest.mark.slow
def test_ctrl_c_at_any_line_leaves_no_connection_and_no_thread(shop):
    for _ in range(2):  # the first time modules are loaded, of which each line counts
        trace, passed = _interrupted(after=None)
        _read_traced(shop, trace)
    whole = 0.9 * passed[0]  # how often the server is waited for differs
    # Most of what can go wrong lies near the beginning.
    lines = {*np.geomspace(1, whole, 8).astype(int), *np.linspace(1, whole, 12).astype(int)}
    for line in sorted(int(line) for line in lines):
        trace, _ = _interrupted(line)
        with pytest.raises(KeyboardInterrupt) as held:  # with all that its traceback holds on to
            _read_traced(shop, trace)
        assert _left(shop) == 0, line
        assert not _busy("embedkit-sql"), line
        del held


def _busy(name):
    """Tell whether a thread of that name is left; one that was told to end may take a moment."""
    until = time.monotonic() + 10
    while any(thread.name.startswith(name) for thread in threading.enumerate()):
        if time.monotonic() > until:
            return True
        time.sleep(0.02)
    return False
