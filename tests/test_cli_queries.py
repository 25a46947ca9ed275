"""`recommend`, `similar`, `similarity`, `analogy`, `info`: answers to stdout, one clear line for each wrong call."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import embedkit
from embedkit.cli.app import app
from embedkit.contracts import History

# Two axes, so that every answer can be worked out by hand: fruit lies along x, tools along y.
TOKENS = ["apple", "pear", "saw", "axe", "-5", "=sum"]
VECTORS = np.array([[2, 0], [1, 0.5], [0, 3], [0.5, 1], [0.1, 0.1], [-1, -1]], np.float32)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command line beside a small model; `cat` likes fruit, `-dog` tools, `new` has no history."""
    monkeypatch.delenv("EMBEDKIT_MODEL", raising=False)
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "embedkit-toolkit")
    monkeypatch.chdir(tmp_path)
    embeddings = embedkit.Embeddings(
        TOKENS,
        VECTORS,
        counts=[60, 50, 40, 30, 20, 10],
        labels=["Apple", "Pear, ripe", "톱", "", "", "@evil\x1b[2J"],
        keys=["cat", "-dog", "new"],
        histories=History(np.array([0, 1, 3, 3]), np.array([0, 2, 3], np.int32)),
        config={"trainer": "by hand", "options": {"vector_size": 2}},
        losses=[1.5, 1.25],
    )
    embeddings.save("embedkit.safetensors")
    return lambda *args, **more: CliRunner().invoke(app, args, **more)


def answered(result):
    assert result.exit_code == 0, result.stderr
    return result.stdout


def rows(run, command, *args):
    return [json.loads(line) for line in answered(run(command, "--format", "jsonl", *args)).splitlines()]


def tokens(run, *args):
    return [row["token"] for row in rows(run, *args)]


def refused(result, code):
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("embedkit: ")
    return line.removeprefix("embedkit: ")


def test_recommend_to_a_key_leaves_its_history_out(run):
    assert rows(run, "recommend", "cat", "--topn", "2") == [
        {"key": "cat", "token": "pear", "label": "Pear, ripe", "score": 2.0},
        {"key": "cat", "token": "axe", "label": "", "score": 1.0},
    ]


def test_a_table_for_a_person(run):
    text = answered(run("recommend", "cat", "--topn", "2"))
    assert text.splitlines() == [
        "cat                    score",
        "  1  pear  Pear, ripe   2.00",
        "  2  axe                1.00",
    ]


def test_several_keys_and_one_that_begins_with_a_hyphen(run):
    found = rows(run, "recommend", "--topn", "1", "--", "cat", "-dog")
    assert [(row["key"], row["token"]) for row in found] == [("cat", "pear"), ("-dog", "pear")]
    text = answered(run("recommend", "--topn", "1", "--", "cat", "-dog"))
    assert "\n\n-dog " in text


def test_recommend_to_a_history(run):
    assert tokens(run, "recommend", "--item", "saw", "--item=axe", "--topn", "2") == ["pear", "apple"]
    assert tokens(run, "recommend", "--item", "-5", "--topn", "1") == ["saw"]


def test_items_from_standard_input(run):
    result = run("recommend", "--item", "-", "--topn", "1", "--format", "jsonl", input="saw\naxe\n")
    assert json.loads(answered(result))["query"] == "saw, axe"
    assert "standard input holds no token" in refused(run("recommend", "--item", "-", input="\n"), 1)


def test_filters(run, tmp_path):
    assert tokens(run, "recommend", "cat", "--topn", "2", "--exclude", "pear") == ["axe", "-5"]
    assert tokens(run, "recommend", "cat", "--only", "saw", "--only", "axe") == ["axe", "saw"]
    assert tokens(run, "recommend", "cat", "--include-seen", "--topn", "1") == ["apple"]
    Path("list.txt").write_text("\ufeffpear\r\naxe\n\n", encoding="utf-8")
    assert tokens(run, "recommend", "cat", "--exclude-from", "list.txt", "--topn", "1") == ["-5"]
    assert tokens(run, "recommend", "cat", "--only-from", "list.txt") == ["pear", "axe"]
    Path("empty.txt").write_text("")
    assert tokens(run, "recommend", "cat", "--only-from", "empty.txt") == []
    Path("bad.txt").write_bytes(b"pe\xe4r\n")
    assert "bad.txt is not UTF-8 text" in refused(run("recommend", "cat", "--only-from", "bad.txt"), 1)


def test_explain_tells_what_carried_a_score(run):
    found = rows(run, "recommend", "--topn", "1", "--explain", "--", "-dog")
    reasons = {reason["token"]: reason["score"] for reason in found[0]["because"]}
    assert set(reasons) == {"saw", "axe"}
    assert sum(reasons.values()) == pytest.approx(found[0]["score"])
    text = answered(run("recommend", "--topn", "1", "--explain", "--", "-dog"))
    assert "because of axe" in text or "because of 톱" in text
    history = rows(run, "recommend", "--item", "apple", "--topn", "1", "--explain")
    assert history[0]["because"][0]["label"] == "Apple"


def test_a_number_of_results_that_is_none_is_refused(run):
    assert "'1e3' is not a valid whole number" in refused(run("similar", "pear", "--topn", "1e3"), 2)


def test_results_do_not_replace_a_model(run):
    before = Path("embedkit.safetensors").read_bytes()
    line = refused(run("recommend", "--all", "--format", "csv", "--output", "embedkit.safetensors"), 1)
    assert line == "embedkit.safetensors is a model; name another --output for the results."
    assert Path("embedkit.safetensors").read_bytes() == before


def test_the_name_of_what_is_asked_for_is_shown_beside_it(run):
    assert answered(run("similar", "pear", "axe")).startswith("pear  Pear, ripe ")
    assert answered(run("recommend", "--item", "saw", "--item", "apple")).startswith("saw, apple  톱, Apple ")
    assert answered(run("similar", "--topn", "1", "axe")).split()[:2] == ["axe", "cosine"]


def test_all_keys_go_to_a_file_and_those_without_an_answer_are_named(run):
    result = run("recommend", "--all", "--topn", "2", "--output", "all.csv")
    assert answered(result) == ""
    with open("all.csv", encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["key", "token", "label", "score"]
    assert [row[:2] for row in table[1:]] == [["cat", "pear"], ["cat", "axe"], ["'-dog", "pear"], ["'-dog", "apple"]]
    assert "1 key got nothing, such as 'new'" in result.stderr


def test_all_agrees_with_one_by_one(run):
    everyone = rows(run, "recommend", "--all", "--topn", "3", "--fallback", "popular")
    one_by_one = rows(run, "recommend", "--topn", "3", "--fallback", "popular", "--", "cat", "-dog", "new")
    assert [(row["key"], row["token"], row["score"]) for row in everyone] == [
        (row["key"], row["token"], row["score"]) for row in one_by_one
    ]


def test_the_fallback_says_so(run):
    result = run("recommend", "new", "nobody", "cat", "--fallback", "popular", "--topn", "2")
    assert "  1  apple  Apple          60" in answered(result)
    assert "unknown or without a history: 'new', 'nobody'; the most frequent tokens stand in." in result.stderr


def test_parquet(run):
    answered(run("recommend", "cat", "--topn", "2", "--output", "x.parquet"))
    assert pq.read_table("x.parquet").to_pylist()[0] == {
        "key": "cat", "token": "pear", "label": "Pear, ripe", "score": 2.0,
    }  # fmt: skip


def test_labels_are_escaped_in_tables_and_defused_in_csv(run):
    table = answered(run("recommend", "--item", "apple", "--only", "=sum"))
    assert "\x1b" not in table
    assert "@evil\\x1b[2J" in table
    (_, row) = csv.reader(
        io.StringIO(answered(run("recommend", "--item", "apple", "--only", "=sum", "--format", "csv")))
    )
    assert row[1:3] == ["'=sum", "'@evil\x1b[2J"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([], 2, "say whom to recommend to: a KEY, a history with --item, or --all"),
        (["cat", "--all"], 2, "KEY and --all exclude each other"),
        (["cat", "--item", "saw"], 2, "KEY and --item exclude each other"),
        (["--all", "--explain"], 2, "--explain goes with a KEY or --item"),
        (["cta"], 1, "there is no key 'cta'. Did you mean 'cat'?"),
        (["apple"], 1, "There is a token of that name."),
        (["new"], 1, "key 'new' has no history"),
        (["--item", "appel"], 1, "there is no token 'appel'. Did you mean 'apple'?"),
        (["cat", "--exclude", "saww"], 1, "Did you mean 'saw'?"),
        (["cat", "--topn", "0"], 2, "--topn"),
        (["cat", "--topn", "many"], 2, "--topn"),
        (["cat", "--format", "xml"], 2, "xml"),
        (["cat", "--format", "parquet"], 2, "Parquet goes to a file: name it with --output"),
        (["cat", "--output", "answers"], 2, "tells no format; add --format"),
        (["cat", "--output", "nowhere/x.csv"], 1, "there is no folder"),
        (["cat", "--only-from", "nowhere.txt"], 2, "nowhere.txt"),
        (["-dog"], 2, "A name that begins with a hyphen goes behind --: embedkit recommend -- -dog"),
        (["cat", "--explian"], 2, "there is no flag --explian. Did you mean '--explain'?"),
        (
            ["cat", "--model", "nowhere.safetensors"],
            1,
            "there is no model nowhere.safetensors; make one with embedkit train",
        ),
    ],
)
def test_wrong_calls_of_recommend(run, args, code, words):
    assert words in refused(run("recommend", *args), code)


def test_similar_tokens_and_keys(run):
    assert tokens(run, "similar", "apple", "--topn", "2")[0] == "pear"
    assert [row["query"] for row in rows(run, "similar", "apple", "saw", "--topn", "1")] == ["apple", "saw"]
    (row,) = rows(run, "similar", "cat", "--keys", "--topn", "1")
    assert (row["query"], row["key"]) == ("cat", "-dog")
    assert "cosine" in answered(run("similar", "apple"))


def test_similar_tokens_and_analogies_can_be_filtered(run):
    assert tokens(run, "similar", "apple", "--exclude", "pear", "--topn", "1") != ["pear"]
    assert sorted(tokens(run, "similar", "apple", "--only", "saw", "--only", "axe")) == ["axe", "saw"]
    assert tokens(run, "analogy", "apple", "pear", "saw", "--only", "axe") == ["axe"]
    assert tokens(run, "analogy", "apple", "pear", "saw", "--exclude", "axe", "--topn", "1") != ["axe"]
    line = refused(run("similar", "cat", "--keys", "--only", "axe"), 2)
    assert line.startswith("--exclude and --only are for tokens, not for --keys")


def test_a_model_named_as_an_argument_is_told_how(run):
    line = refused(run("info", "embedkit.safetensors"), 2)
    assert line.endswith("(embedkit.safetensors). A model is named with --model. See embedkit info --help.")


def test_similarity_by_every_metric(run):
    assert answered(run("similarity", "apple", "saw")) == "0.00\n"
    assert answered(run("similarity", "apple", "pear", "--metric", "dot")) == "2.00\n"
    assert answered(run("similarity", "apple", "saw", "--metric", "euclidean")) == "3.61\n"
    found = json.loads(answered(run("similarity", "apple", "pear", "--format", "json")))
    assert found == {"a": "apple", "b": "pear", "metric": "cosine", "score": pytest.approx(2 / 5**0.5)}


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_analogy(run, method):
    found = rows(run, "analogy", "apple", "saw", "pear", "--method", method)
    assert found[0]["query"] == "apple : saw = pear : ?"
    assert {row["token"] for row in found} == {"axe", "-5", "=sum"}


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["similar", "aple"], 1, "Did you mean 'apple'?"),
        (["similar"], 2, "Missing argument"),
        (["similar", "-5"], 2, "embedkit similar -- -5"),
        (["similar", "apple", "--keys"], 1, "There is a token of that name."),
        (["similarity", "apple"], 2, "Missing argument"),
        (["similarity", "apple", "saw", "--metric", "cosin"], 2, "cosin"),
        (["analogy", "apple", "saw"], 2, "Missing argument"),
        (["analogy", "apple", "saw", "peer"], 1, "Did you mean 'pear'?"),
    ],
)
def test_wrong_questions(run, args, code, words):
    assert words in refused(run(*args), code)


def test_the_model_is_found_by_flag_environment_and_folder(run):
    Path("embedkit.safetensors").rename("other.safetensors")
    assert "there is no model embedkit.safetensors; make one with embedkit train" in refused(run("similar", "apple"), 1)
    assert answered(run("similar", "apple", "--model", "other.safetensors"))
    assert answered(run("similar", "apple", env={"EMBEDKIT_MODEL": "other.safetensors"}))
    line = refused(run("similar", "apple", "--model", "x.safetensors", env={"EMBEDKIT_MODEL": "other.safetensors"}), 1)
    assert "train --source NAME --output x.safetensors" in line


def test_info_shows_what_a_model_is(run):
    text = answered(run("info"))
    facts = dict(line.split(":", 1) for line in text.splitlines())
    assert facts["tokens"].strip() == "6"
    assert facts["keys"].strip() == "3"
    assert facts["vector size"].strip() == "2"
    assert facts["trainer"].strip() == "by hand"
    assert facts["losses"].strip() == "1.5, 1.25"
    assert facts["version"].strip() == embedkit.__version__
    told = json.loads(answered(run("info", "--format", "json")))
    assert told["options"] == {"vector_size": 2}
    assert told["bytes"] == Path("embedkit.safetensors").stat().st_size


def test_info_of_a_config_that_is_nested_deeply(run):
    options: list = [1]
    for _ in range(700):
        options = [options]
    embedkit.load("embedkit.safetensors").with_config(options=options).save("deep.safetensors")
    assert "options:     ...\n" in answered(run("info", "--model", "deep.safetensors"))


def test_info_verifies(run):
    result = run("info", "--verify")
    assert result.exit_code == 0
    assert "the file is whole" in result.stderr
    data = bytearray(Path("embedkit.safetensors").read_bytes())
    data[-1] ^= 1
    Path("embedkit.safetensors").write_bytes(data)
    assert "embedkit.safetensors" in refused(run("info", "--verify"), 1)


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x00" * 100])
def test_what_is_no_model_is_refused(run, content):
    Path("embedkit.safetensors").write_bytes(content)
    for command in (["info"], ["similar", "apple"], ["recommend", "cat"]):
        assert "embedkit.safetensors" in refused(run(*command), 1)


def test_a_folder_is_no_model(run, tmp_path):
    assert str(tmp_path) in refused(run("info", "--model", str(tmp_path)), 1)
