"""`embedkit export`: its flags are the format's own, and whatever goes wrong is one line."""

import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from embedkit import Embeddings, load
from embedkit.cli.app import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Embeddings(["a", "b c"], np.eye(2, 3, dtype=np.float32), counts=[2, 1]).save("embedkit.safetensors")
    return lambda *args: CliRunner().invoke(app, ["export", *map(str, args)])


def refused(result, code=2):
    assert result.exit_code == code
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("embedkit: ")
    return result.stderr


def test_help_lists_the_formats_and_the_options_of_one(run):
    shown = run("--help").stdout
    assert all(name in shown for name in ("word2vec-binary", "parquet", "projector", "--vectors [input|context|keys]"))
    shown = run("--to", "parquet", "--help").stdout
    assert "Options of parquet:" in shown
    assert "--compression [zstd|snappy|none]" in shown


def test_it_says_what_was_written_and_what_was_left_out(run):
    done = run("--to", "word2vec", "out.txt", "--blanks", "_")
    assert done.exit_code == 0
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first == "Left out: counts."
    assert second.startswith("Wrote out.txt (22 B): 2 tokens, 3 numbers a vector, ")
    with open("out.txt", encoding="utf-8") as file:
        assert file.read() == "2 3\na 1 0 0\nb_c 0 1 0\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["x"], "say in which format: --to glove, "),
        (["--to", "parket", "x"], "there is no export format 'parket'. Did you mean 'parquet'?"),
        (["--to", "npz", "--blanks", "_", "x"], "--blanks is a flag of format "),
        (["--to", "npz", "--vector", "keys", "x"], "there is no flag --vector. Did you mean '--vectors'"),
        (["--to", "parquet", "--compression", "zst", "x"], "--compression must be one of 'zstd', 'snappy', 'none'"),
        (["--to", "npz"], "Missing argument 'TARGET'"),
        (["--to", "npz", "--vectors", "keys", "x"], "--vectors keys: this model was learned from sentences"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(run, args, said):
    assert said in refused(run(*args))
    assert os.listdir() == ["embedkit.safetensors"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--to", "word2vec", "x"], "the token 'b c' holds white space, which word2vec cannot tell"),
        (["--to", "vec", "-"], "standard output; name a file"),
        (["--to", "npz", "."], ". is a folder; name a file in it."),
        (["--to", "npz", "no/x"], "there is no folder"),
        (["--to", "npz", "/dev/full"], "/dev/full is no ordinary file"),
        (["--to", "projector", "embedkit.safetensors/x"], "cannot be made"),
        (["--to", "npz", "x", "--model", "other"], "there is no model other"),
        (["--to", "safetensors", "embedkit.safetensors"], "is the model that is exported; name another file"),
        (["--to", "vec", "other.safetensors"], "other.safetensors is a model; name another"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(run, args, said):
    load("embedkit.safetensors").save("other.safetensors")
    assert said in refused(run(*args), code=1)
    assert sorted(os.listdir()) == ["embedkit.safetensors", "other.safetensors"]
    assert "b c" in load("other.safetensors")


def test_formats_of_plugins_are_formats_like_any_other(run, monkeypatch):
    from pathlib import Path

    fake = Path(__file__).parent / "data" / "plugins"
    env = {**os.environ, "PYTHONPATH": str(fake), "EMBEDKIT_PLUGINS": "good"}
    call = [sys.executable, "-m", "embedkit", "export", "--to", "lines", "out"]
    done = subprocess.run(call, env=env, capture_output=True, text=True)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["Left", "Wrote"]
    with open("out", encoding="utf-8") as file:
        assert file.read() == "a\nb c\n"


def test_a_shell_completes_the_formats(run):
    env = {
        **os.environ,
        "_EMBEDKIT_COMPLETE": "bash_complete",
        "COMP_WORDS": "embedkit export --to word",
        "COMP_CWORD": "3",
    }
    done = subprocess.run([sys.executable, "-m", "embedkit"], env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["plain,word2vec", "plain,word2vec-binary"]


@pytest.mark.parametrize(
    ("form", "name", "endings"),
    [
        ("word2vec", "notes.md", ".txt or .vec or .w2v or .word2vec"),
        ("npz", "ratings.csv", ".npz"),
        ("vec", "notes", ".vec"),
    ],
)
def test_what_is_called_like_something_else_is_not_replaced(run, tmp_path, form, name, endings):
    (tmp_path / name).write_text("mine")
    told = refused(run("--to", form, name, *(["--blanks", "_"] if form != "npz" else [])), 1)
    assert f"{name} is there already, and its name does not end in {endings}, so it may be" in told
    assert "name another TARGET, or remove it first" in told
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("before", ["mine", ""])
def test_what_is_called_like_the_format_is_replaced_and_so_is_what_is_empty(run, tmp_path, before):
    name = "out.VEC" if before else "out"
    (tmp_path / name).write_text(before)
    assert run("--to", "vec", name, "--blanks", "_").exit_code == 0
    assert (tmp_path / name).read_text().startswith("2 3\n")


def test_a_model_replaces_a_model_and_nothing_else(run, tmp_path):
    (tmp_path / "notes.md").write_text("mine")
    assert "is no model; name another TARGET" in refused(run("--to", "safetensors", "notes.md"), 1)
    assert run("--to", "safetensors", "copy").exit_code == 0
    assert run("--to", "safetensors", "copy").exit_code == 0
