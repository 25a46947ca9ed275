"""`embedkit evaluate`: tables, JSON and CSV, what is told of a test, and one line for every wrong call."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from embedkit import Embeddings, History, load
from embedkit.cli import evaluate
from embedkit.cli.app import app
from embedkit.cli.comparison import train_command
from embedkit.cli.scores import decimals
from embedkit.cli.text import width
from embedkit.evaluation import SPLITS
from embedkit.evaluation.metrics import METRICS


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "embedkit-toolkit")
    monkeypatch.delenv("EMBEDKIT_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, ["evaluate", *args])


@pytest.fixture
def clicks():
    """Twelve users of two kinds, who like the items of their kind, one a day."""
    rows = ["user,item,day"]
    for user in range(12):
        items = [i for i in range(user % 2, 20, 2) if i % 12 != user]
        rows += [f"u{user},i{item},2024-01-{1 + (day + user) % 28:02d}" for day, item in enumerate(items)]
    Path("clicks.csv").write_text("\n".join(rows) + "\n")
    return ("recommendations", "--source", "sessions", "--input", "clicks.csv", "--time-column", "day")


@pytest.fixture
def model():
    """Two users and four items: `a` and `b` are alike, `c` and `d` are."""
    vectors = np.array([[1, 0.1], [0.9, 0], [0.1, 1], [0, 0.9]], np.float32)
    history = History(np.array([0, 1, 2]), np.array([0, 3], np.int32))
    counts = np.array([1, 2, 3, 1])
    made = Embeddings(["a", "b", "c", "d"], vectors, counts=counts, keys=["u", "v"], histories=history)
    made.save("embedkit.safetensors")
    Path("test.txt").write_text("u b\nv c\n")
    return made


def done(result):
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(result, code=2):
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    line = result.stderr.splitlines()[-1]
    assert line.startswith("embedkit: ")
    assert "Traceback" not in result.stderr
    return line.removeprefix("embedkit: ")


def test_trainers_stand_beside_the_baselines(run, clicks):
    settings = ("--set", "epochs=2", "--set", "cbow.vector-size=6", "--k", "3", "--k", "5")
    result = run(*clicks, "--split", "leave-one-out", "--trainer", "skipgram", "--trainer", "cbow", *settings)
    lines = done(result).splitlines()
    assert lines[0].split() == ["@3", "recall", "prec", "hit", "ndcg", "mrr", "map", "cover", "pop"]
    names = ["popularity", "ItemKNN", "EASE", "skipgram", "cbow"]
    assert [line.split()[0] for line in lines[1:6]] == names
    assert lines[7].startswith("@5")
    assert all(width(line) <= 80 for line in lines)
    assert all("±" in line for line in lines[1:6])
    assert "Test: 12 users with 12 targets" in result.stderr
    assert "Split leave-one-out:" in result.stderr
    assert "row by row" in result.stderr
    assert "no gain over a baseline here" in result.stderr or "cannot be told apart" in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Next: compare others with --trainer ")
    assert "skipgram" not in last


def test_the_command_that_trains_the_best():
    options = {"input": ("a b.csv", "c.csv"), "min_count": "2", "header": False, "shrink_windows": True}
    assert train_command("sessions", "cbow", options) == (
        "embedkit train --source sessions --trainer cbow --input 'a b.csv' --input c.csv --min-count 2 --no-header "
        "--shrink-windows"
    )


def test_json_and_csv_hold_the_same_numbers(run, clicks):
    args = (
        *clicks,
        "--split",
        "random",
        "--share",
        ".3",
        "--seed",
        "4",
        "--trainer",
        "skipgram",
        "--set",
        "epochs=1",
        "--k",
        "4",
    )
    told = json.loads(done(run(*args, "--format", "json")))
    rows = list(csv.DictReader(io.StringIO(done(run(*args, "--format", "csv")))))
    assert [s["name"] for s in told["systems"]] == [r["system"] for r in rows]
    for system, row in zip(told["systems"], rows, strict=True):
        assert float(row["ndcg"]) == system["measures"]["ndcg@4"]["value"]
        assert float(row["recall_low"]) == system["measures"]["recall@4"]["low"]
        assert row["k"] == "4"
        assert system["test"]["evaluated"] == int(row["rows"]) == 12
    assert told["left_out"] == {}


def test_next_item_and_by_time(run, clicks):
    sessions = run(
        *clicks, "--split", "next-item", "--share", ".2", "--trainer", "skipgram", "--set", "epochs=1", "--k", "5"
    )
    assert "prefixes with" in sessions.stderr
    done(sessions)
    timed = run(
        *clicks, "--split", "by-time", "--until", "2024-01-14", "--trainer", "skipgram", "--set", "epochs=1", "--k", "5"
    )
    assert "Split by-time:" in timed.stderr
    done(timed)


@pytest.mark.parametrize("layout", ["table", "lines"])
def test_a_written_split_gives_the_same_figures(run, clicks, layout):
    args = ("--trainer", "skipgram", "--set", "epochs=1", "--k", "5", "--format", "csv")
    split = run(*clicks, "--split", "leave-one-out", "--split-output", "parts", "--split-layout", layout, *args)
    ending = {"table": "tsv", "lines": "txt"}[layout]
    assert f"Wrote parts/train.{ending} and parts/test.{ending}." in split.stderr
    source = ("recommendations", "--source", "sessions", "--input", f"parts/train.{ending}", "--layout", layout)
    given = run(*source, "--test", f"parts/test.{ending}", *args)
    figures = [
        {r["system"]: float(r["recall"]) for r in csv.DictReader(io.StringIO(done(result)))}
        for result in (split, given)
    ]
    assert set(figures[0]) == {"popularity", "ItemKNN", "EASE", "skipgram"}
    assert figures[0]["ItemKNN"] == pytest.approx(figures[1]["ItemKNN"])


def test_a_model_on_a_test_of_its_own(run, model):
    Path("test.txt").write_text("u b new\nv c d\nstranger a\n")
    result = run("recommendations", "--test", "test.txt", "--k", "1", "--metric", "recall")
    lines = done(result).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["popularity", "ItemKNN", "EASE", "embedkit"]
    assert lines[4].split()[1] == ".7500"
    assert "Unknown users: 1, left out of the means." in result.stderr
    assert "Targets that are unknown items: 1, they count as missed." in result.stderr
    assert "Targets that are in the user's history or prefix already: 1, no targets" in result.stderr
    assert result.stderr.splitlines()[-1] == "Next: embedkit recommend u"
    fallback = run("recommendations", "--test", "test.txt", "--k", "1", "--fallback", "popular")
    assert "Unknown users: 1, answered by the most popular." in fallback.stderr


def test_models_side_by_side_and_a_table_read_by_a_source(run, model):
    model.save("other.safetensors")
    Path("test.csv").write_text("user,item\nu,b\nv,c\n")
    models = ("--model", "embedkit.safetensors", "--model", "other.safetensors", "--k", "1", "--ease-limit", "2")
    result = run("recommendations", *models, "--source", "sessions", "--test", "test.csv")
    lines = done(result).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["popularity", "ItemKNN", "embedkit", "other"]
    assert "The baselines learn from the histories in embedkit." in result.stderr
    assert "EASE is left out: there are 4 tokens; the limit is 2 (--ease-limit)." in result.stderr


def test_prefixes_need_no_keys(run, model):
    Path("prefix.txt").write_text("a\tb\nd d\tc\n")
    result = run("recommendations", "--test", "prefix.txt", "--test-layout", "prefix-target", "--k", "1")
    assert "Test: 2 prefixes with 2 targets." in result.stderr
    assert done(result).splitlines()[-1].split()[:3] == ["embedkit", "1.000", "1.000"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "say what to evaluate: --source NAME --split leave-one-out to learn and test"),
        (("--model", "m"), "a model has learned from what a split would hold out: bring a test with --test FILE"),
        (("--source", "sessions", "--split", "random", "--test", "t"), "--split and --test exclude each other"),
        (("--source", "nowhere"), "there is no source 'nowhere'"),
        (("--source", "sessions", "--trainer", "skipgran"), "Did you mean 'skipgram'"),
        (("--test", "t", "--trainer", "skipgram"), "--trainer needs --source NAME"),
        (("--test", "t", "--split-output", "d"), "--split-output needs --source NAME"),
        (("--source", "sessions", "--test", "t", "--split-output", "d"), "leave one of them out"),
        (("--test", "t", "--test-layout", "source"), "needs the source that reads the test"),
        (("--source", "sessions", "--share", ".2"), "--share goes with --split random or by-time or next-item"),
        (("--source", "sessions", "--split", "random", "--until", "2020"), "--until goes with --split by-time"),
        (("--source", "sessions", "--epochs", "3"), "give it as --set"),
        (("--source", "sessions", "--shore", "3"), "there is no flag --shore. Did you mean"),
        (("--user-column", "3"), "there is no flag --user-column. A source's flags come with --source NAME"),
        (("--source", "sessions", "--set", "epochs"), "is no TRAINER.OPTION=VALUE of a chosen trainer (spectral)"),
        (("--source", "sessions", "--set", "cbow.epochs=1"), "of a chosen trainer (spectral)"),
        (("--source", "sessions", "--set", "iteratons=1"), "has an option iteratons. Did you mean 'iterations'?"),
        (("--source", "sessions", "--set", "iterations=many"), "--iterations must be a whole number"),
    ],
)
def test_a_wrong_call_is_told_before_any_work(run, args, message):
    assert message in refused(run("recommendations", *args), code=1 if "Did you mean 'skip" in message else 2)


@pytest.mark.parametrize(
    ("test", "args", "message"),
    [
        ("", (), "test.txt holds no token to find"),
        ("u b\n", ("--k", "5"), "--k must be at most 4, the number of tokens to rank; got 5."),
        ("x a\ny b\n", ("--k", "1"), "knows not one key of the test: is it of another dataset?"),
        ("u p\nv q\n", ("--k", "1"), "knows not one token of the test"),
        ("u a\n", ("--k", "1"), "no row of the test can be evaluated"),
        (None, (), "cannot read test.txt: No such file or directory; check the path."),
    ],
)
def test_a_bad_test_is_told_in_one_line(run, model, test, args, message):
    Path("test.txt").unlink()
    if test is not None:
        Path("test.txt").write_text(test)
    assert message in refused(run("recommendations", "--test", "test.txt", *args), code=2 if "--k" in message else 1)


def test_no_model_and_a_model_without_keys(run):
    Path("test.txt").write_text("u b\n")
    assert "there is no model embedkit.safetensors" in refused(run("recommendations", "--test", "test.txt"), code=1)
    Embeddings(["a", "b"], np.eye(2, dtype=np.float32)).save("embedkit.safetensors")
    assert "has no keys" in refused(run("recommendations", "--test", "test.txt", "--k", "1"), code=1)


def test_a_split_that_needs_times_says_so(run):
    Path("plain.csv").write_text("user,item\nu,a\nu,b\nv,a\n")
    result = run("recommendations", "--source", "sessions", "--input", "plain.csv", "--split", "by-time")
    assert "a split by time needs times" in refused(result, code=1)


@pytest.fixture
def words(model):
    vectors = {
        "man": [1, 0, 0], "woman": [1, 1, 0], "king": [1, 0, 1], "queen": [1, 1, 1], "boy": [0.9, 0.1, 0],
    }  # fmt: skip
    Embeddings(list(vectors), np.array(list(vectors.values()), np.float32)).save("words.safetensors")
    Path("questions.txt").write_text(": royal\nman king woman queen\n: more\nMan king boy queen\nx y z w\n")
    Path("pairs.tsv").write_text("man\twoman\t8\nman\tboy\t9\nking\tcat\t1\nking\twoman\t2\n")
    return ("words", "questions.txt", "pairs.tsv", "--model", "words.safetensors")


def test_word_tests_are_told_apart_by_content(run, words):
    lines = done(run(*words)).splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["test", "measure", "value"],
        ["questions.txt", "accuracy", "1.000"],
        ["royal", "accuracy", "1.000"],
        ["more", "accuracy", "1.000"],
        ["pairs.tsv", "spearman", "1.000"],
    ]
    assert lines[1].endswith("2 of 3 (67%)")
    assert lines[3].endswith("1 of 2 (50%)")
    assert lines[4].endswith("3 of 4 (75%)")
    told = json.loads(done(run(*words, "--format", "json")))
    rows = list(csv.DictReader(io.StringIO(done(run(*words, "--format", "csv")))))
    assert [float(row["value"]) for row in rows] == [row["value"] for row in told]
    assert told[3]["value"] == pytest.approx(1.0)


def test_several_models_stand_side_by_side(run, words):
    emb = load("words.safetensors")
    Embeddings(emb.tokens, -np.asarray(emb.vectors[::-1])).save("other.safetensors")
    args = (*words, "--model", "other.safetensors")
    lines = done(run(*args)).splitlines()
    assert lines[0].split() == ["test", "measure", "words", "other"]
    assert lines[1].split()[:4] == ["questions.txt", "accuracy", "1.000", "(67%)"]
    told = json.loads(done(run(*args, "--format", "json")))
    assert [row["model"] for row in told] == ["words.safetensors"] * 4 + ["other.safetensors"] * 4
    single = json.loads(
        done(run("words", "questions.txt", "pairs.tsv", "--model", "other.safetensors", "--format", "json"))
    )
    assert told[4:] == single


def test_a_model_of_other_words_is_told(run, words):
    Path("other.txt").write_text("a b c d\n")
    result = run("words", "other.txt", *words[3:])
    assert done(result).splitlines()[1].split() == ["other.txt", "accuracy", "-", "0", "of", "1", "(0%)"]
    assert "knows the words of not one question or pair" in result.stderr


def test_the_flags_name_what_there_is():
    assert set(evaluate._SPLITS) == set(SPLITS)
    assert set(evaluate._METRICS) == set(METRICS)


def test_word_files_that_are_none(run, words):
    Path("empty.txt").write_text("\n")
    assert "empty.txt is empty; it needs questions" in refused(run("words", "empty.txt", *words[3:]), code=1)
    assert "cannot read none.txt" in refused(run("words", "none.txt", *words[3:]), code=1)
    Path("bytes.txt").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8" in refused(run("words", "bytes.txt", *words[3:]), code=1)
    Path("prose.txt").write_text("just a line of prose here\n")
    assert "prose.txt line 1 has 1 fields" in refused(run("words", "prose.txt", *words[3:]), code=1)


def test_help_shows_the_group_and_the_flags_of_a_source(run):
    assert "recommendations" in done(run())
    text = done(run("recommendations", "--source", "sessions", "--help"))
    assert "Options of source sessions" in text
    assert "--ease-limit" in text
    assert "--source NAME" in done(run("recommendations", "--help"))
    assert "Did you mean 'recommendations'" in refused(run("recomendations"))


@pytest.mark.parametrize(
    ("value", "signed", "shown"),
    [(0.19263, False, ".1926"), (1.0, False, "1.000"), (0.99999, False, "1.000"), (-0.5, True, "-.5000"),
     (0.25, True, "+.2500"), (float("nan"), False, "-"), (0.0, False, ".0000")],
)  # fmt: skip
def test_decimals(value, signed, shown):
    assert decimals(value, signed) == shown
