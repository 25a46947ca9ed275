"""The command itself: help, version, plugins, and failures that become one line and an exit code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import embedkit
from embedkit.cli.app import app
from embedkit.cli.failures import Interrupted, told

FAKE = Path(__file__).parent / "data" / "plugins"
COMMANDS = [
    "train", "recommend", "similar", "similarity", "analogy", "info", "sources", "trainers", "plugins", "completion",
]  # fmt: skip


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command line in an empty folder; of the fake plugins `good` is loaded."""
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "embedkit-toolkit,good")
    monkeypatch.delenv("EMBEDKIT_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *args, **more: CliRunner().invoke(app, args, **more)


def said(result):
    """The one line on standard error."""
    (line,) = result.stderr.splitlines()
    return line


def test_help_names_every_command(run):
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.stdout
    assert run("-h").stdout == result.stdout
    assert run().stdout == result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_fits_eighty_columns(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_list_of_commands_says_what_their_own_help_says(run):
    listed = run("--help").stdout
    for command in COMMANDS:
        first = run(command, "--help").stdout.split("\n\n")[1].strip()
        (line,) = [line for line in listed.splitlines() if line.startswith(f"  {command} ")]
        assert line.split(maxsplit=1)[1].split()[0] == first.split()[0]


def test_version(run):
    assert run("--version").stdout == f"embedkit {embedkit.__version__}\n"


def test_an_unknown_command_is_refused_with_the_nearest(run):
    result = run("trian")
    assert result.exit_code == 2
    assert "there is no command 'trian'. Did you mean 'train'" in said(result)
    assert "The commands are: train, recommend" in said(run("xyzzy"))


def test_an_unknown_flag_is_refused(run):
    result = run("info", "--verfy")
    assert result.exit_code == 2
    assert "--verfy" in said(result)
    assert "--verify" in said(result)


def test_a_missing_argument_names_the_commands_help(run):
    result = run("similar")
    assert result.exit_code == 2
    assert "See embedkit similar --help." in said(result)


def test_sources_and_trainers_are_listed_with_who_provides_them(run):
    lines = run("sources", env={"COLUMNS": "200"}).stdout.splitlines()
    assert lines[0].split() == ["name", "from", "summary"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["graph", "embedkit-toolkit"],
        ["letters", "embedkit-good"],
        ["sessions", "embedkit-toolkit"],
        ["sql", "embedkit-toolkit"],
        ["text", "embedkit-toolkit"],
    ]
    trainers = [line.split()[0] for line in run("trainers", env={"COLUMNS": "200"}).stdout.splitlines()[1:]]
    assert {"cbow", "skipgram", "random"} <= set(trainers)


def test_plugins_are_listed_with_their_hooks_and_problems(run):
    result = run("plugins", env={"EMBEDKIT_PLUGINS": "good,broken"})
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert any(line.split()[:4] == ["good", "ok", "embedkit-good", "1.2"] for line in lines)
    assert any(line.split()[:4] == ["broken", "problem", "embedkit-broken", "0.1"] for line in lines)
    assert "plugin 'broken' of embedkit-broken: ModuleNotFoundError" in lines[-1]
    assert result.stderr == ""


def test_a_broken_plugin_is_told_in_one_line_and_the_command_works(run):
    result = run("trainers", env={"EMBEDKIT_PLUGINS": "embedkit-toolkit,broken"})
    assert result.exit_code == 0
    assert "skipgram" in result.stdout
    assert said(result).startswith("embedkit: plugin 'broken' of embedkit-broken: ModuleNotFoundError")


@pytest.mark.parametrize("command", ["trainers", "plugins", "info"])
def test_strict_plugins_makes_it_an_error(run, command):
    result = run("--strict-plugins", command, env={"EMBEDKIT_PLUGINS": "broken"})
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "plugin 'broken' of embedkit-broken" in said(result)


def test_strict_plugins_may_stand_behind_the_command(run):
    env = {"EMBEDKIT_PLUGINS": "broken"}
    assert "plugin 'broken'" in said(run("trainers", "--strict-plugins", env=env))
    assert "there is no model" in said(run("similar", "--", "--strict-plugins", env=env))


def test_no_plugins_at_all(run):
    result = run("sources", env={"EMBEDKIT_PLUGINS": ""})
    assert (result.exit_code, result.stdout) == (0, "")
    assert said(result) == "embedkit: no source is installed."


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run, shell):
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_EMBEDKIT_COMPLETE" in result.stdout
    assert result.stdout.startswith("# To use it, ")
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=result.stdout, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "word", "completed"),
    [
        ("embedkit ", 1, "plain,recommend"),
        ("embedkit sim", 1, "plain,similarity"),
        ("embedkit train --source letters --up", 4, "plain,--upper"),
        ("embedkit train --source nowhere --ep", 4, ""),
        ("embedkit train --source let", 3, "plain,letters"),
        ("embedkit train --source text --trainer skip", 5, "plain,skipgram"),
        ("embedkit train --source text --tokenizer ", 5, "plain,whitespace"),
        ("embedkit train --source text --input some", 5, "file,some"),
        ("embedkit train --output some", 3, "file,some"),
        ("embedkit sources preview se", 3, "plain,sessions"),
    ],
)
def test_completion_knows_commands_and_the_flags_of_a_source(words, word, completed):
    path = os.pathsep.join([str(FAKE), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "_EMBEDKIT_COMPLETE": "bash_complete", "COMP_WORDS": words}
    done = subprocess.run(
        [sys.executable, "-m", "embedkit"],
        capture_output=True,
        text=True,
        env={**env, "COMP_CWORD": str(word)},
    )
    assert completed in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "word", "completed"),
    [
        ("embedkit similar ki", 2, ["plain,king", "plain,kings"]),
        ("embedkit similar --keys k", 3, ["plain,karl"]),
        ("embedkit recommend --item ki", 3, ["plain,king", "plain,kings"]),
        ("embedkit recommend ka", 2, ["plain,karl"]),
        ("embedkit analogy queen ki", 3, ["plain,king", "plain,kings"]),
        ("embedkit similar --model missing.safetensors ki", 4, []),
    ],
)
def test_completion_knows_the_names_in_a_model(words, word, completed, tmp_path):
    names = ["king", "queen", "kings"]
    embedkit.Embeddings(names, np.eye(3, dtype=np.float32), keys=["karl"], key_vectors=np.ones((1, 3))).save(
        tmp_path / "embedkit.safetensors"
    )
    env = {**os.environ, "_EMBEDKIT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(word)}
    done = subprocess.run([sys.executable, "-m", "embedkit"], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.stdout.split() == completed
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        ("memory", "not enough memory: Unable to allocate 8.00 EiB. Less input, a smaller"),
        ("disk", "vectors.tmp: the disk is full; free some space"),
        (
            "bug",
            "this is a bug in embedkit, please report it: RuntimeError: the vectors are upside down (set EMBEDKIT_TR",
        ),
    ],
)
def test_what_goes_wrong_inside_is_one_line(run, fail, words, tmp_path):
    (tmp_path / "words.txt").write_text("abc bcd")
    result = run("train", "--source", "letters", "--trainer", "random", "--input", "words.txt", "--fail", fail)
    assert result.exit_code == 1
    assert words in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "embedkit.safetensors").exists()


def test_a_traceback_shows_when_it_is_asked_for(run, tmp_path):
    (tmp_path / "words.txt").write_text("abc bcd")
    args = ["train", "--source", "letters", "--trainer", "random", "--input", "words.txt", "--fail", "bug"]
    result = run(*args, env={"EMBEDKIT_TRACEBACK": "1"})
    assert "Traceback (most recent call last)" in result.stderr
    assert result.exit_code == 1


def test_what_a_failure_leaves_half_way_is_closed_when_it_is_told(capsys):
    closed = []

    def reading():
        try:
            yield "a sentence"
        finally:
            closed.append(True)

    def fails():
        rows = reading()
        next(rows)
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as held:  # noqa: PT012 - as the commands do it
        try:
            fails()
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted: nothing is saved.") from error
    assert not closed
    assert told(held.value) == 130
    assert closed
    assert capsys.readouterr().err == "embedkit: interrupted: nothing is saved.\n"
