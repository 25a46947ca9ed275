"""Source `sql` on SQLite: rows through a driver's cursor; and what is told of a database, never its password."""

import sqlite3
import subprocess
import sys
import traceback
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from conftest import needs
from hypothesis import given, settings
from hypothesis import strategies as st

import embedkit
from embedkit.cli.comparison import train_command
from embedkit.options import build
from embedkit.plugins import discover
from embedkit_sessions import Sessions
from embedkit_sql import Options, Sql, fetching

needs("sqlalchemy")
from sql_sources import read, refused, source

COLUMNS = "user_id, item_id, ts, weight"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Return a function that makes shop.db of rows of `COLUMNS` and returns its URL."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EMBEDKIT_SQL_URL", raising=False)

    def make(rows, table="clicks", columns=COLUMNS):
        connection = sqlite3.connect("shop.db")
        quoted = table.replace('"', '""')
        connection.execute(f'CREATE TABLE "{quoted}" ({columns})')
        marks = ", ".join("?" for _ in columns.split(","))
        connection.executemany(f'INSERT INTO "{quoted}" VALUES ({marks})', rows)
        connection.commit()
        connection.close()
        return "sqlite:///shop.db"

    return make


def test_rows_become_histories_in_order_of_time(shop):
    url = shop([("ann", 3, 300, 1.5), ("bob", 1, 10, 1), ("ann", 2, 100, 2)])
    expected = [("ann", ["2", "3"], [2.0, 1.5], [100_000_000, 300_000_000]), ("bob", ["1"], [1.0], [10_000_000])]
    made = source(url=url, table="clicks")
    assert read(made) == expected
    assert made.notes[0].startswith("table clicks: users in user_id, items in item_id")
    assert read(made) == expected  # a second pass asks the database again
    assert read(source(url=url, query=f"SELECT {COLUMNS} FROM clicks;")) == expected


def test_the_training_defaults_are_those_of_sessions():
    assert Sql.defaults == Sessions.defaults


def test_the_columns_are_called_as_in_sessions():
    ours = {name for name in Options.__annotations__ if name.endswith("_column")}
    assert ours == {f"{role}_column" for role in ("user", "item", "time", "weight", "item_label")}
    sessions = Sessions.Options.__annotations__
    assert set(Options.__annotations__) - set(sessions) == {"url", "query", "table"}


def test_it_trains_and_recommends_with_names_to_show(shop):
    url = shop([(f"u{i % 8}", i % 5 + i % 2, f"Item {i % 5 + i % 2}") for i in range(80)], columns="u, i, name")
    emb = embedkit.train(
        "sql", url=url, table="clicks", user_column="u", item_column="i", item_label_column="name", vector_size=2
    )
    assert emb.labels is not None
    assert dict(zip(emb.tokens, emb.labels, strict=True))["1"] == "Item 1"
    assert len(emb.recommend("u1", topn=1, include_seen=True)) == 1


@pytest.mark.parametrize("table", ['we"ird', "with space", "a.b; DROP TABLE x --", "select", "표"])
def test_any_name_of_a_table_is_quoted(shop, table):
    url = shop([("ann", 1, 1, 1)], table)
    assert read(source(url=url, table=table))[0][:2] == ("ann", ["1"])


def test_values_become_the_text_that_the_database_would_print(shop):
    huge = 2**63 + 5
    rows = [("007", 7), ("  x ", 2**62), ("x", str(huge)), ("x", 2.5), ("x", True), (1, "한글"), (None, 1), ("x", None)]
    made = source(url=shop(rows, columns="user_id, item_id"), table="clicks")
    assert [s[:2] for s in read(made)] == [
        ("007", ["7"]), ("x", [str(2**62), str(huge), "2.5", "1"]), ("1", ["한글"])
    ]  # fmt: skip
    assert made.dropped == {"rows without a user": 1, "rows without an item": 1}


def test_values_of_a_driver_become_text():
    values = ("a", None, 5, 2**70, Decimal("1.10"), date(2024, 1, 2), datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), 1.0)
    assert fetching._text(values, "c").to_pylist() == [
        "a", None, "5", str(2**70), "1.10", "2024-01-02", "2024-01-02 03:04:05+00:00", "1.0"
    ]  # fmt: skip
    assert fetching._text((2**70, 3), "c").to_pylist() == [str(2**70), "3"]
    with pytest.raises(embedkit.SourceError, match="column 'c' holds bytes"):
        fetching._text((b"x",), "c")
    with pytest.raises(embedkit.SourceError, match="no Unicode"):
        fetching._text(("\ud800",), "c")


@settings(max_examples=8)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 5)), min_size=1))
def test_any_table_reads_as_the_same_frame_does(tmp_path_factory, rows):
    import pandas as pd

    path = tmp_path_factory.mktemp("shop") / "shop.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (user, item, time)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    frame = embedkit.make_source("sessions", input=pd.DataFrame(rows, columns=["user", "item", "time"]))
    assert read(source(url=f"sqlite:///{path}", table="t")) == read(frame)


def test_rows_come_in_batches(shop, monkeypatch):
    monkeypatch.setattr(fetching, "BATCH_ROWS", 7)
    url = shop([(f"u{i % 3}", i, i, 1) for i in range(50)])
    assert sorted(len(tokens) for _, tokens, *_ in read(source(url=url, table="clicks"))) == [16, 17, 17]


def test_a_query_stands_as_it_is_written(shop):
    url = shop([("ann", "50%", 1, 1), ("ann", "a:b", 2, 1), ("bob", "c", 3, 1)])
    query = "SELECT user_id, item_id FROM clicks WHERE item_id LIKE '%\\%' ESCAPE '\\' OR item_id = 'a:b' -- all; of it"
    assert [s[:2] for s in read(source(url=url, query=query))] == [("ann", ["50%", "a:b"])]


def test_options_that_are_missing_or_too_many(shop, monkeypatch):
    url = shop([("ann", 1, 1, 1)])
    assert refused(table="clicks").startswith("url is missing")
    assert "give one of them" in refused(url=url)
    assert "give one of them" in refused(url=url, table="clicks", query="SELECT 1")
    monkeypatch.setenv("EMBEDKIT_SQL_URL", url)
    assert len(read(source(table="clicks"))) == 1
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "sql")
    with pytest.raises(embedkit.PluginError, match="builds on source sessions"):
        read(source(table="clicks"))


def test_columns_that_are_not_there(shop):
    url = shop([("ann", 1, 1, 1)])
    has = "the query has no column 'who'; it has: user_id, item_id. Name it with --user-column."
    assert refused(url=url, query="SELECT user_id, item_id FROM clicks", user_column="who") == has
    assert "the query has no column 'item'" in refused(url=url, query="SELECT user_id, ts FROM clicks")
    assert "two columns called 'x'" in refused(url=url, query="SELECT user_id AS x, item_id AS x FROM clicks")
    assert "no such column: nix" in refused(url=url, query="SELECT nix FROM clicks")


def test_rows_that_cannot_be_read(shop):
    url = shop([("ann", 1, "gestern", 1), ("ann", 2, "2024-01-01", "x"), ("ann", 3, "2024-01-01", 1)])
    assert "row 1: 'gestern' in column 'ts' is no time" in refused(url=url, table="clicks")
    made = source(url=url, table="clicks", bad_rows="drop")
    assert [s[:2] for s in read(made)] == [("ann", ["3"])]
    assert made.dropped == {"rows with an unreadable time": 1, "rows with an unreadable weight": 1}


def test_databases_that_cannot_be_read(shop, tmp_path):
    url = shop([("ann", 1, 1, 1)])
    assert "there is no table 'click' in shop.db. Did you mean 'clicks'?" in refused(url=url, table="click")
    assert "it has no rows" in refused(url=url, query="SELECT * FROM clicks WHERE 0")
    assert 'near "SELEKT"' in refused(url=url, query="SELEKT 1")
    assert "nix.db does not exist" in refused(url="sqlite:///nix.db", table="clicks")
    assert not (tmp_path / "nix.db").exists()
    (tmp_path / "text.db").write_text("no database" * 1000)
    assert "not a database" in refused(url="sqlite:///text.db", table="clicks")
    assert "in memory" in refused(url="sqlite://", table="clicks")
    assert "no URL of a database" in refused(url="shop.db", table="clicks")
    assert "no dialect for: nix" in refused(url="nix://h/d", table="clicks")
    assert "needs the driver oracledb" in refused(url="oracle+oracledb://h/d", table="clicks")
    assert "holds bytes" in refused(url=url, query="SELECT x'00' AS user, 1 AS item")


@pytest.mark.parametrize("statement", ["DELETE FROM clicks", "DROP TABLE clicks", "SELECT 1; DROP TABLE clicks"])
def test_nothing_is_written(shop, statement):
    url = shop([("ann", 1, 1, 1)])
    assert refused(url=url, query=statement)
    assert len(read(source(url=url, table="clicks"))) == 1


def test_a_password_is_shown_nowhere(monkeypatch):
    secret = "ge/heim"
    for url in (
        "postgresql://u:ge%2Fheim@127.0.0.1:1/d",
        "postgresql://u@127.0.0.1:1/d?password=ge%2Fheim",
        "postgresql://u:ge%2Fheim@127.0.0.1:port/d",
        "nix://u:ge%2Fheim@h/d",
        "mysql+nix://u:ge%2Fheim@h/d",
    ):
        options = build(Options, {"url": url, "table": "t"})
        with pytest.raises(embedkit.EmbedkitError) as caught:
            list(Sql(options).batches())
        shown = "".join(traceback.format_exception(caught.value)) + repr(options)
        assert secret not in shown
        assert "ge%2Fheim" not in shown
    with pytest.raises(embedkit.OptionError, match="got something else") as caught:
        build(Options, {"url": [secret]})
    assert secret not in str(caught.value)
    printed = train_command("sql", "als", {"url": f"postgresql://u:{secret}@h/d", "table": "t"})
    assert printed.endswith("--url '***' --table t")


def test_nothing_of_the_url_is_kept_in_the_model(shop, tmp_path, monkeypatch):
    url = shop([("ann", 1, 1, 1), ("ann", 2, 2, 1), ("bob", 1, 1, 1), ("bob", 2, 2, 1)])
    embedkit.train("sql", url=f"{url}?timeout=77", table="clicks", vector_size=1).save("m.safetensors")
    assert b"timeout=77" not in (tmp_path / "m.safetensors").read_bytes()
    assert b"shop.db" not in (tmp_path / "m.safetensors").read_bytes()


def test_without_sqlalchemy_the_extra_is_named(shop, tmp_path):
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from embedkit.cli import main; sys.argv[1:] = "
        "['train', '--source', 'sql', '--url', 'sqlite:///shop.db', '--table', 't']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    expected = "embedkit: source sql needs SQLAlchemy, which is not installed: pip install '.[sql]'\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_the_plugin_is_registered():
    assert discover(["sql"]).sources["sql"] is Sql


def test_a_password_with_an_unquoted_at_is_refused_and_no_part_of_it_shown():
    message = refused(url="postgresql://owner:geh@eim@127.0.0.1/db", table="clicks")
    assert "%40" in message
    assert "geh" not in message
    assert "eim" not in message


def test_a_file_uri_makes_no_database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///file:nope.db?uri=true", "sqlite:///file:nope%20x.db?mode=rwc&uri=true"):
        assert "does not exist" in refused(url=url, table="clicks")
    assert not list(tmp_path.iterdir())


def test_a_file_uri_is_read(shop):
    shop([("u", "a", 1, 1.0)])
    assert [tokens for _, tokens, _, _ in read(source(url="sqlite:///file:shop.db?mode=ro&uri=true", table="clicks"))]


def test_rows_left_out_are_counted_in_the_corpus(shop):
    url = shop([("u", "a", 1, 1.0), ("u", None, 2, 1.0), ("u", "b", 3, 1.0)])
    assert embedkit.read("sql", url=url, table="clicks").dropped == {"rows without an item": 1}
