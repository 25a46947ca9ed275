"""Rankings as JSON, CSV, Parquet and tables; files appear whole or not at all."""

import csv
import io
import json
import os
import stat
from pathlib import Path

import click
import numpy as np
import pyarrow.parquet as pq
import pytest

from embedkit.cli.rankings import Ranking, Reason, format_for, prepared, shortest, write_rankings
from embedkit.errors import ModelError

RANKINGS = [
    Ranking("user,1", ["=cmd()", "고양이"], np.array([0.83, -0.1], np.float32), ['a "b"', "+x"], ("key", "token")),
    Ranking("-u2", ["c"], [1.5], [""], ("key", "token")),
]


def written(form, rankings, path):
    write_rankings(iter(rankings), form, path)
    return path.read_bytes().decode()


def test_scores_have_as_few_digits_as_say_the_same():
    scores = np.array([0.1, 1 / 3, 1e-20, 123456.789], np.float32)
    assert shortest(scores)[0] == 0.1
    assert np.array_equal(np.array(shortest(scores), np.float32), scores)


def test_json_is_an_array_of_flat_objects_in_utf8(tmp_path):
    text = written("json", RANKINGS, tmp_path / "x.json")
    assert "고양이" in text
    assert json.loads(text) == [
        {"key": "user,1", "token": "=cmd()", "label": 'a "b"', "score": 0.83},
        {"key": "user,1", "token": "고양이", "label": "+x", "score": -0.1},
        {"key": "-u2", "token": "c", "label": "", "score": 1.5},
    ]
    assert json.loads(written("json", [], tmp_path / "empty.json")) == []


def test_json_lines_hold_one_object_each(tmp_path):
    lines = written("jsonl", RANKINGS, tmp_path / "x.jsonl").splitlines()
    assert [json.loads(line)["token"] for line in lines] == ["=cmd()", "고양이", "c"]


def test_csv_quotes_commas_and_defuses_formulas_but_not_numbers(tmp_path):
    rows = list(csv.reader(io.StringIO(written("csv", RANKINGS, tmp_path / "x.csv"))))
    assert rows == [
        ["key", "token", "label", "score"],
        ["user,1", "'=cmd()", 'a "b"', "0.83"],
        ["user,1", "고양이", "'+x", "-0.1"],
        ["'-u2", "c", "", "1.5"],
    ]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_every_beginning_of_a_formula_is_defused(text, tmp_path):
    content = written("csv", [Ranking("q", [text], [1.0])], tmp_path / "x.csv")
    rows = list(csv.reader(io.StringIO(content, newline="")))
    assert rows[1][1] == "'" + text


def test_parquet_holds_columns_with_their_types(tmp_path):
    path = tmp_path / "x.parquet"
    write_rankings((ranking for ranking in RANKINGS * 3000), "parquet", path)
    table = pq.read_table(path)
    assert table.column_names == ["key", "token", "label", "score"]
    assert table.num_rows == 9000
    assert table.schema.field("score").type == "float"
    write_rankings([], "parquet", path)
    assert pq.read_table(path).num_rows == 0


def test_reasons_go_into_every_format(tmp_path):
    ranking = [Ranking("q", ["a"], [1.0], because=[[Reason("b", "", 0.75)]])]
    assert json.loads(written("json", ranking, tmp_path / "x"))[0]["because"] == [
        {"token": "b", "label": "", "score": 0.75}
    ]
    assert written("csv", ranking, tmp_path / "x") == "query,token,score,because\nq,a,1.0,b 0.75\n"
    write_rankings(ranking, "parquet", tmp_path / "x")
    assert pq.read_table(tmp_path / "x").to_pylist()[0]["because"] == [{"token": "b", "label": "", "score": 0.75}]


@pytest.mark.parametrize(
    ("form", "output", "chosen"),
    [
        (None, None, "table"),
        ("csv", None, "csv"),
        (None, "a.CSV", "csv"),
        (None, "a.pq", "parquet"),
        ("json", "a", "json"),
    ],
)
def test_the_format_is_what_was_asked_for_or_what_the_ending_tells(form, output, chosen, tmp_path):
    assert format_for(form, output and tmp_path / output) == chosen


def test_a_format_that_cannot_be_told_or_shown_is_refused(tmp_path):
    with pytest.raises(click.UsageError, match="tells no format; add --format"):
        format_for(None, tmp_path / "results")
    with pytest.raises(click.UsageError, match="Parquet goes to a file"):
        format_for("parquet", None)


def failing():
    yield RANKINGS[0]
    raise RuntimeError("halfway")


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "parquet"])
def test_what_fails_halfway_leaves_the_old_file_and_nothing_else(form, tmp_path):
    path = tmp_path / "old"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="halfway"):
        write_rankings(failing(), form, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_a_file_gets_the_usual_permissions_and_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("")
    link.symlink_to(real)
    write_rankings(RANKINGS, "csv", link)
    assert link.is_symlink()
    assert real.read_text().startswith("key,")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(not os.path.exists(os.devnull), reason="no device to write to")
def test_a_device_is_written_to_and_not_replaced():
    write_rankings(RANKINGS, "csv", Path(os.devnull))
    assert not Path(os.devnull).is_file()


def test_what_is_called_like_something_else_is_not_replaced(tmp_path):
    for name in ("notes.md", "x.csv", "empty.md"):
        (tmp_path / name).write_text("" if name == "empty.md" else "mine")
    with pytest.raises(ModelError, match=r"notes\.md is there already, and its name does not end in \.csv"):
        prepared("csv", tmp_path / "notes.md")
    assert prepared("csv", tmp_path / "x.csv") == prepared("csv", tmp_path / "empty.md") == "csv"
