"""`embedkit train` and `embedkit sources preview`: flags of source and trainer, what they say, Ctrl-C, bad calls."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import embedkit
from embedkit.cli.app import app
from embedkit.cli.report import duration, next_command, plural, size
from embedkit.cli.terminal import short

FAKE = Path(__file__).parent / "data" / "plugins"
MODEL = Path("embedkit.safetensors")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command line in a folder with two files of words, with the fake plugin `good`."""
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "embedkit-toolkit,good")
    monkeypatch.delenv("EMBEDKIT_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("one.txt").write_text("anna bell cello d4ta")
    Path("two.txt").write_text("berta eel")
    return lambda *args, **more: CliRunner().invoke(app, args, **more)


def train(run, *args):
    return run("train", "--source", "letters", "--trainer", "random", *args)


def refused(result, code=2):
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("embedkit: ")
    return line.removeprefix("embedkit: ")


def test_help_alone_shows_the_general_flags_and_how_to_see_the_rest(run):
    text = run("train", "--help").stdout
    assert "--min-count INT" in text
    assert "--vector-size" not in text
    assert "Sources: graph, letters, sessions, sql, text." in text
    (trainers,) = re.findall(r"Trainers: ([^.]*)\.", " ".join(text.split()))
    assert {"cbow", "random", "skipgram"} <= set(trainers.split(", "))
    assert "embedkit train --source NAME" in text


def test_help_of_a_source_shows_its_flags_with_the_defaults_in_force(run):
    text = run("train", "--source", "letters", "--trainer", "random", "--help").stdout
    assert "Options of source letters:" in text
    assert "Options of trainer random:" in text
    assert "--input FILE..." in text
    assert "--upper / --no-upper" in text
    assert "--cut INT|never" in text
    assert "--order [forward|backward]" in text
    squeezed = " ".join(text.split())
    assert "Numbers in a vector. [default: 4; at least 1]" in squeezed
    assert "Passes over the corpus. [default: 2; at least 1]" in squeezed


def test_help_of_a_trainer_alone(run):
    text = run("train", "--trainer", "random", "--help").stdout
    assert "Numbers in a vector. [default: 100; at least 1]" in " ".join(text.split())


def test_training_writes_a_model_and_says_what_was_made_and_what_to_do_next(run):
    result = train(run, "--input", "one.txt", "two.txt", "--vector-size", "3")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    read, left_out, wrote, following = result.stderr.splitlines()
    assert read.startswith("Read 21 tokens (9 different) in 5 sentences of 2 keys, ")
    assert left_out == "Left out: 1 words that are not of letters."
    assert wrote.startswith("Wrote embedkit.safetensors (")
    assert "9 tokens, 2 keys, 3 numbers a vector; random" in wrote
    assert following == "Next: embedkit recommend anna"
    embeddings = embedkit.load(MODEL)
    assert embeddings.vectors.shape == (9, 3)
    assert embeddings.config["options"]["vector_size"] == 3


def test_the_command_that_is_proposed_works(run):
    result = train(run, "--input", "one.txt", "--output", "my model.safetensors")
    command = result.stderr.splitlines()[-1].removeprefix("Next: embedkit ")
    assert command == "recommend --model 'my model.safetensors' anna"
    assert run("recommend", "--model", "my model.safetensors", "anna").exit_code == 0


@pytest.mark.parametrize(
    ("tokens", "keys", "command"),
    [
        (["a"], ["-u", "u 1"], "embedkit recommend 'u 1'"),
        (["a"], ["-u"], "embedkit recommend -- -u"),
        (["it's"], None, """embedkit similar 'it'"'"'s'"""),
        (["2015", "the", "of", "왕이", "kingdom", "so", "나라를"], None, "embedkit similar kingdom"),
        (["의", "the", "10", "kingdom", "왕이"], None, "embedkit similar '왕이'"),
        (["7", "3"], None, "embedkit similar 3"),
    ],
)
def test_a_proposed_command_is_quoted_for_the_shell(tokens, keys, command):
    import numpy as np

    from embedkit.contracts import History

    histories = None
    if keys:
        histories = History(np.arange(len(keys) + 1), np.zeros(len(keys), np.int32))
    embeddings = embedkit.Embeddings(tokens, np.ones((len(tokens), 2), np.float32), keys=keys, histories=histories)
    assert next_command(embeddings, MODEL) == command


def test_flags_reach_the_source_the_corpus_and_the_trainer(run):
    result = train(
        run, "--input", "one.txt", "--upper", "--cut=2", "--order", "backward", "--min-count", "1", "--seed=7"
    )
    assert result.exit_code == 0, result.stderr
    embeddings = embedkit.load(MODEL)
    assert set(embeddings.tokens) == set("ANBECE")
    assert embeddings.config["options"]["seed"] == 7


def test_several_inputs_may_also_repeat_the_flag(run):
    result = train(run, "--input", "one.txt", "--input=two.txt")
    assert "5 sentences of 2 keys" in result.stderr


def test_what_a_trainer_writes_over_is_replaced_whole(run):
    MODEL.write_text("old")
    assert train(run, "--input", "one.txt").exit_code == 0
    assert len(embedkit.load(MODEL)) > 0
    assert sorted(path.name for path in Path().iterdir()) == ["embedkit.safetensors", "one.txt", "two.txt"]


def test_only_a_model_is_replaced_by_a_model(run):
    before = Path("one.txt").read_bytes()
    line = refused(train(run, "--input", "one.txt", "--output", "one.txt"), 1)
    assert line == "one.txt is there already and is no model; name another --output, or remove it first."
    assert Path("one.txt").read_bytes() == before
    for _ in range(2):
        assert train(run, "--input", "one.txt", "--output", "model").exit_code == 0


def test_without_input_the_sample_is_read_and_it_says_so(run):
    result = run("train", "--source", "sessions", "--trainer", "random", "--vector-size", "2", "--epochs", "1")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[0] == "No --input, so source sessions reads its own sample."


def test_a_source_without_sample_and_without_input(run):
    assert "nothing is left" in refused(train(run), 1) or "holds no sentence" in refused(train(run), 1)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--source", "leters"], "there is no source 'leters'. Did you mean 'letters'?"),
        (["--source", "letters", "--trainer", "randm"], "there is no trainer 'randm'. Did you mean 'random'?"),
        (["--vektor-size", "3"], "no flag --vektor-size. Did you mean '--vector-size'"),
        (["--tokenizer", "word"], "--tokenizer is a flag of source 'text', which was not chosen"),
        (["--zzz"], "there is no flag --zzz"),
        (["stray"], "unexpected extra argument"),
        (["--input"], "--input"),
        (["--vector-size", "0"], "--vector-size must be a whole number of at least 1; got '0'."),
        (["--vector-size", "1.5"], "--vector-size must be a whole number"),
        (["--epochs", "nan"], "--epochs must be"),
        (["--min-count", "-1"], "--min-count must be"),
        (["--order", "foward"], "Did you mean 'forward'?"),
        (["--trainer", "skipgram", "--alpha", "nan"], "--alpha must be a number above 0"),
        (["--trainer", "skipgram", "--window", "sentense"], "Did you mean 'sentence'?"),
        (["--trainer", "skipgram", "--workers", "0"], "--workers must be"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_refused_in_one_line(run, args, words):
    assert words in refused(train(run, *args))
    assert not MODEL.exists()


def test_the_source_must_be_named(run):
    sources = " or ".join(f"--source {name}" for name in ("graph", "letters", "sessions", "sql", "text"))
    words = f"say where the sentences come from: {sources}."
    assert words in refused(run("train"))
    assert words in refused(run("train", "--layout", "lines"))


def test_an_output_that_cannot_be_written_is_known_before_anything_is_read(run, tmp_path):
    for output, words in (("nowhere/model", "there is no folder"), (str(tmp_path), "is a folder")):
        line = refused(train(run, "--input", "missing.txt", "--output", output), 1)
        assert words in line


def test_a_missing_input_and_one_without_sentences(run):
    assert "missing.txt: No such file or directory." in refused(train(run, "--input", "missing.txt"), 1)
    Path("empty.txt").write_text("")
    assert "sentence" in refused(train(run, "--input", "empty.txt"), 1)
    assert "--min-count" in refused(train(run, "--input", "one.txt", "--min-count", "99"), 1)


def test_an_interrupt_saves_what_was_learned_beside_the_model(run):
    MODEL.write_text("old")
    result = train(run, "--input", "one.txt", "--fail", "interrupt")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == (
        "embedkit: interrupted: what was learned so far (1 epoch complete) is saved as "
        "embedkit.safetensors.partial; embedkit.safetensors is as it was."
    )
    assert MODEL.read_text() == "old"
    assert embedkit.load("embedkit.safetensors.partial").vectors.shape[1] == 4


def test_an_interrupt_when_the_model_is_saved_tells_that_it_is(run, monkeypatch):
    MODEL.write_text("old")

    def interrupted(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr("embedkit.embeddings.replacing._sync_folder", interrupted)
    result = train(run, "--input", "one.txt")
    assert result.exit_code == 130
    told = result.stderr.splitlines()[-1]
    assert told == "embedkit: interrupted when embedkit.safetensors was saved already: it is whole."
    assert embedkit.load(MODEL).vectors.shape[1] == 4
    assert not Path("embedkit.safetensors.partial").exists()


def test_preview_shows_the_first_sentences_and_counts_what_was_read(run):
    result = run("sources", "preview", "letters", "--input", "one.txt", "two.txt", "--upper", "--count", "2")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == ["anna  A N N A", "anna  B E L L"]
    assert result.stderr == "embedkit: read so far: 2 sentences, 8 tokens.\n"


def test_preview_says_what_was_left_out(run):
    result = run("sources", "preview", "letters", "--input", "one.txt")
    assert "left out so far: 1 words that are not of letters." in result.stderr


@pytest.mark.parametrize("source", ["text", "sessions", "graph"])
def test_preview_of_a_sample_fits_the_terminal(run, source):
    result = run("sources", "preview", source)
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 5
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert f"no --input, so source {source} reads its own sample" in result.stderr


def test_preview_shows_the_flags_of_the_source(run):
    assert "--cut INT|never" in run("sources", "preview", "letters", "--help").stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["leters"], "there is no source 'leters'. Did you mean 'letters'?"),
        ([], "Missing argument 'NAME'"),
        (["letters", "--uper"], "there is no flag --uper. Did you mean '--upper'"),
        (["letters", "--input", "one.txt", "--cut", "0"], "--cut must be a whole number of at least 1, or 'never'"),
    ],
)
def test_a_wrong_preview_is_refused(run, args, words):
    assert words in refused(run("sources", "preview", *args))


def test_an_empty_preview_says_so(run):
    Path("empty.txt").write_text("")
    result = run("sources", "preview", "letters", "--input", "empty.txt")
    assert "there is not one sentence in it" in result.stderr


def test_numbers_are_written_for_people():
    assert [short(n) for n in (0, 950, 12_345, 1_250_000, 2.5e9)] == ["0", "950", "12.3k", "1.25M", "2.5G"]
    assert [size(n) for n in (950, 12_345)] == ["950 B", "12.3 kB"]
    assert [plural(n, "key") for n in (1, 2000)] == ["1 key", "2,000 keys"]
    assert [duration(s) for s in (0.84, 200, 7500)] == ["0.8 s", "3 min 20 s", "2 h 05 min"]
