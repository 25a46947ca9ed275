"""`embedkit tune` and `train --early-stopping`: what they print, and one line for every wrong call."""

import csv
import io
import json
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import embedkit
from embedkit.cli import stopping
from embedkit.cli.app import app
from embedkit.cli.text import width
from embedkit.cli.tune import Duration, tune
from embedkit.evaluation import SPLITS
from embedkit.evaluation.validation import LAYOUTS
from embedkit.plugins import RESERVED_OPTIONS, SHARED_OPTIONS

SMALL = ("--set", "als.workers=1", "--set", "als.vector-size=4", "--set", "epochs=3")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command line in a folder with clicks: twelve users of two kinds, one item a day."""
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "embedkit-toolkit")
    monkeypatch.chdir(tmp_path)
    rows = ["user,item,day"]
    for user in range(12):
        items = [i for i in range(user % 2, 20, 2) if i % 12 != user]
        rows += [f"u{user},i{item},2024-01-{1 + (day + user) % 28:02d}" for day, item in enumerate(items)]
    Path("my clicks.csv").write_text("\n".join(rows) + "\n")
    return lambda *args: CliRunner().invoke(app, args)


@pytest.fixture
def source():
    return ("--source", "sessions", "--input", "my clicks.csv", "--time-column", "day")


def done(result):
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(result, code=2):
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("embedkit: ")
    return line.removeprefix("embedkit: ")


def test_a_search_ends_with_a_table_and_the_command_that_trains(run, source):
    result = run("tune", *source, "--trainer", "als", "--metric", "ndcg@5", "--trials", "4", *SMALL)
    lines = done(result).splitlines()
    assert lines[0].split() == ["trial", "ndcg@5", "±", "trainer", "time", "options"]
    assert all(width(line) <= 80 for line in lines)
    assert any(line.split()[0] == "1" and line.endswith("defaults") for line in lines[1:])
    assert "vector_size" not in result.stdout  # what is fixed is the same in all
    told = result.stderr.splitlines()
    assert "Validation leave-one-out: 88 tokens to learn from, 12 held out; 12 keys to recommend to." in told
    assert "Trial 1 of 4, als with its defaults: ndcg@5 " in result.stderr
    assert told[-3].startswith("4 trials: ")
    assert "defaults" in told[-2]
    command = shlex.split(told[-1].removeprefix("Next: "))
    assert command[:6] == ["embedkit", "train", "--source", "sessions", "--trainer", "als"]
    assert "my clicks.csv" in command
    assert done(run(*command[1:])) == ""
    assert embedkit.load("embedkit.safetensors").vector_size == 4


def test_json_and_csv_hold_all_trials_and_the_study_is_gone_on_with(run, source):
    args = ("tune", *source, "--trainer", "als", "--metric", "ndcg@5", "--study", "s.sqlite", "--seed", "3", *SMALL)
    told = json.loads(done(run(*args, "--trials", "3", "--format", "json")))
    assert [trial["number"] for trial in told["trials"]] == [1, 2, 3]
    assert told["metric"] == "ndcg@5"
    assert "--seed 3" in told["command"]
    best = max(told["trials"], key=lambda trial: trial["value"] or 0)
    assert told["best"] == best["number"]
    again = run(*args, "--trials", "4", "--format", "csv")
    assert "s.sqlite holds 3 trials already." in again.stderr
    rows = list(csv.DictReader(io.StringIO(done(again))))
    assert [json.loads(row["options"]) for row in rows[:3]] == [trial["options"] for trial in told["trials"]]
    assert len(rows) == 4


def test_a_test_is_set_aside_first_and_asked_for_at_the_end(run, source):
    args = ("--trainer", "als", "--metric", "ndcg@5", "--trials", "2", *SMALL)
    result = run("tune", *source, *args, "--split", "leave-one-out", "--validation", "random")
    assert "Set aside as a test by leave-one-out: 12 interactions." in result.stderr
    assert "Validation random: " in result.stderr
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("On the test: "))
    command = shlex.split(line.removeprefix("On the test: "))
    assert command[:3] == ["embedkit", "evaluate", "recommendations"]
    assert done(run(*command[1:])).startswith("@5")
    named = run("tune", *source, *args, "--test", "none.csv")
    assert "--test none.csv" in named.stderr


def test_nothing_is_better_than_the_defaults_of_a_single_trial(run, source):
    result = run("tune", *source, "--trainer", "als", "--metric", "ndcg@5", "--trials", "1", *SMALL)
    assert "Nothing was better than the defaults of als." in result.stderr
    assert "1 trial: 1 complete." in result.stderr


def test_trainers_that_did_not_get_their_turn_are_named(run, source):
    flags = ("--trainer", "als", "--trainer", "spectral", "--metric", "ndcg@5", "--trials", "1", *SMALL)
    result = run("tune", *source, *flags)
    done(result)
    assert "Not tried to an end, for want of time or trials: spectral." in result.stderr


def test_trials_that_fail_are_told(run, source):
    result = run("tune", *source, "--trainer", "als", "--trials", "2", "--metric", "ndcg@5", "--set", "loss=explicit")
    assert "Trial 1 of 2, als with its defaults: failed: --loss explicit predicts ratings" in result.stderr
    assert "no trial is complete, so there is nothing to choose from" in refused(result, code=1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "say what to learn from: --source NAME"),
        (("--source", "sessions", "--metric", "ndgc@5"), "--metric must be METRIC@K"),
        (("--source", "sessions", "--trials", "0"), "--trials must be at least 1; got 0"),
        (("--source", "sessions", "--time-budget", "soon"), "'soon' is no time; write 90s, 10min or 2h"),
        (("--source", "sessions", "--split", "random", "--test", "t"), "--split and --test exclude each other"),
        (("--source", "sessions", "--share", ".2"), "--share goes with --split random or by-time or next-item"),
        (("--source", "sessions", "--set", "als.epocs=1"), "als has no option epocs. Did you mean 'epochs'?"),
        (("--source", "sessions", "--epochs", "3"), "give it as --set"),
        (
            ("--source", "sessions", "--validation", "leave-on"),
            "there is no file leave-on. Did you mean 'leave-one-out'",
        ),
        (("--source", "sessions", "--validation-layout", "lines"), "says how the lines of a --validation FILE read"),
        (("--source", "sessions", "--validation", "."), "--validation must be a split or a file; . is a folder"),
    ],
)
def test_a_wrong_call_is_told(run, args, message):
    assert message in refused(run("tune", *args))


@pytest.mark.parametrize(
    ("args", "message", "code"),
    [
        (("--set", "als.epochs=x"), "--set als.epochs=x: epochs must be a whole number of at least 1 and", 2),
        (("--set", "vector-size=0"), "--set vector-size=0: vector-size must be", 2),
        (("--study", "clicks"), "clicks is there already and is no study", 1),
        (("--study", "none/s.sqlite"), "there is no folder none", 1),
        (("--validation", "folder"), "--validation must be a split or a file; folder is a folder", 2),
    ],
)
def test_a_wrong_call_is_told_before_the_source_is_read(run, args, message, code):
    Path("clicks").write_text("one two\n")
    Path("folder").mkdir()
    assert message in refused(run("tune", "--source", "sessions", "--input", "not there.csv", *args), code)


def test_a_trainer_that_is_not_there(run):
    assert "there is no trainer 'asl'. Did you mean 'als'" in refused(
        run("tune", "--source", "sessions", "--trainer", "asl")
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10min", 600), ("1.5h", 5400), ("2 H", 7200), ("1d", 86_400)]
)
def test_times_as_people_write_them(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["0", "-3", "1h30", "min", ""])
def test_what_is_no_time(text):
    with pytest.raises(click.UsageError, match="is no time"):
        Duration().convert(text, None, None)


def test_early_stopping_keeps_the_best_epoch(run, source):
    flags = ("--trainer", "als", "--vector-size", "4", "--epochs", "30", "--workers", "1")
    result = run("train", *source, *flags, "--early-stopping", "ndcg@5", "--patience", "2")
    assert done(result) == ""
    lines = result.stderr.splitlines()
    epochs = [line for line in lines if line.startswith("Epoch ")]
    assert epochs[0].startswith("Epoch 1 of 30: ndcg@5 ")
    noted = embedkit.load("embedkit.safetensors").config["early_stopping"]
    assert len(epochs) == noted["epochs"] == noted["best_epoch"] + 2
    assert f"Best epoch {noted['best_epoch']} of {noted['epochs']}: ndcg@5 {noted['value']:.4f}." in lines
    assert any("--retrain learns again from everything" in line for line in lines)
    retrained = run("train", *source, *flags, "--early-stopping", "ndcg@5", "--patience", "2", "--retrain")
    assert f"Learning again from everything, for {noted['best_epoch']} epoch" in retrained.stderr


def test_early_stopping_of_words(run):
    Path("pairs.csv").write_text("king,queen,9\nduke,prince,8\nking,bread,1\nqueen,rain,2\n")
    flags = ("--source", "text", "--vector-size", "8", "--epochs", "3", "--min-count", "1")
    result = run("train", *flags, "--early-stopping", "words", "--validation", "pairs.csv")
    assert "Epoch 3 of 3: words " in result.stderr
    assert "held out" not in result.stderr
    done(run("train", *flags, "--early-stopping", "loss"))
    assert "--early-stopping loss or words" in refused(run("train", *flags, "--early-stopping", "ndcg@20"), code=1)


@pytest.mark.parametrize(
    ("args", "message", "code"),
    [
        (("--patience", "3"), "--patience goes with --early-stopping METRIC@K", 2),
        (("--patience", "0"), "--patience goes with --early-stopping METRIC@K", 2),
        (("--validation-share", "0"), "--validation-share goes with --early-stopping METRIC@K", 2),
        (("--retrain",), "--retrain goes with --early-stopping METRIC@K", 2),
        (("--early-stopping", "ndcg"), "--early-stopping must be METRIC@K", 2),
        (("--early-stopping", "ndcg@5", "--patience", "0"), "--patience must be a whole number of at least 1", 2),
        (("--early-stopping", "ndcg@5", "--validation", "by-tim"), "Did you mean 'by-time'", 2),
        (("--early-stopping", "words"), "needs a file of similarities or analogies", 2),
        (("--early-stopping", "ndcg@5", "--trainer", "spectral"), "'spectral' does not learn in epochs", 1),
        (("--early-stopping", "ndcg@500", "--trainer", "als"), "--early-stopping asks for the best 500 of 18", 2),
    ],
)
def test_early_stopping_that_does_not_apply(run, source, args, message, code):
    result = run("train", *source, *args)
    assert message in refused(result, code)
    assert not Path("embedkit.safetensors").exists()


def test_the_flags_name_what_there_is():
    assert set(stopping.SPLITS) == set(SPLITS)
    assert set(stopping._LAYOUTS) == set(LAYOUTS)


def test_no_plugin_can_take_a_flag_of_these_commands():
    from embedkit.cli.evaluate import recommendations
    from embedkit.cli.train import train

    for command in (train, tune, recommendations):
        flags = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        names = {flag[2:].replace("-", "_") for flag in flags if flag.startswith("--") and not flag.startswith("--no-")}
        assert names <= RESERVED_OPTIONS | SHARED_OPTIONS, command.name


def test_help_has_a_section_for_what_is_held_out(run):
    assert "Early stopping:" in run("train", "--source", "sessions", "--help").stdout
    text = run("tune", "--source", "sessions", "--help").stdout
    assert "Validation:" in text
    assert "Options of source sessions" in text
