"""How an exporter is tested: what it writes is read back by the tool that it is meant for."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from embedkit_sqlite import SQLite

import embedkit
from embedkit.plugins import load_plugins


@pytest.fixture
def animals():
    vectors = np.array([[0.1, -2.5], [3e-7, 4.0]], np.float32)
    return embedkit.Embeddings(["cat", 'a "dog"'], vectors, counts=[20, 10], labels=["Cat", ""])


def rows_of(path, table="vectors"):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f'SELECT * FROM "{table}" ORDER BY count DESC').fetchall()


def test_the_installed_plugin_is_found():
    plugins = load_plugins()
    assert plugins.exporters["sqlite"] is SQLite
    assert not plugins.problems


def test_vectors_are_read_back_equal(tmp_path, animals):
    assert animals.export("sqlite", tmp_path / "animals.db") == []
    cat, dog = rows_of(tmp_path / "animals.db")
    assert cat[:3] == ("cat", "Cat", 20)
    assert dog[:3] == ('a "dog"', None, 10)
    assert (np.stack([np.frombuffer(row[3], "<f4") for row in (cat, dog)]) == animals.vectors).all()


def test_a_table_is_replaced_only_if_that_is_said(tmp_path, animals):
    path = tmp_path / "animals.db"
    animals.export("sqlite", path)
    with pytest.raises(embedkit.EmbedkitError, match="already exists; add --replace"):
        animals.export("sqlite", path)
    animals.export("sqlite", path, replace=True)
    assert len(rows_of(path)) == 2


def test_a_tables_name_may_hold_anything(tmp_path, animals):
    animals.export("sqlite", tmp_path / "animals.db", table="drop; table")
    assert len(rows_of(tmp_path / "animals.db", "drop; table")) == 2


def test_what_fails_leaves_nothing_half_written(tmp_path, animals):
    path = tmp_path / "animals.db"
    animals.export("sqlite", path)
    twice = embedkit.Embeddings(["x", "y"], np.ones((2, 2), np.float32))
    object.__setattr__(twice, "tokens", embedkit.Names.from_strings(["x", "x"]))
    with pytest.raises(embedkit.EmbedkitError, match="cannot write"):
        SQLite().write(twice, str(path), SQLite.Options(replace=True))
    assert len(rows_of(path)) == 2
    with pytest.raises(embedkit.EmbedkitError, match="check the target"):
        animals.export("sqlite", tmp_path / "nowhere" / "animals.db")
