"""`embedkit update`: in place or beside, what it says, what it refuses; the model is whole whatever happens."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import embedkit
from embedkit.checkpoints import Checkpoint
from embedkit.cli.app import app
from embedkit.cli.update import Place
from embedkit.errors import ModelError

MODEL = Path("embedkit.safetensors")
FIRST = "user,item,time\n" + "".join(
    f"u{u},i{i},2026-01-{1 + i:02d}\n" for u in range(12) for i in range(u % 2, 10, 2) if i != u % 10
)
SECOND = "user,item,time\nu0,fresh,2026-02-01\nu0,i0,2026-02-02\nnewcomer,fresh,2026-02-03\nnewcomer,i2,2026-02-04\n"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command line in a folder with two tables, `first.csv` and `second.csv`."""
    monkeypatch.delenv("EMBEDKIT_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("first.csv").write_text(FIRST)
    Path("second.csv").write_text(SECOND)
    return lambda *args, **more: CliRunner().invoke(app, args, **more)


@pytest.fixture
def trained(run):
    options = ("--trainer", "als", "--vector-size", "4", "--epochs", "8")
    result = run("train", "--source", "sessions", "--input", "first.csv", *options)
    assert result.exit_code == 0, result.stderr
    return run


def update(run, *args, **more):
    return run("update", "--source", "sessions", *args, **more)


def refused(result, code=2):
    assert result.exit_code == code, result.stderr
    assert "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("embedkit: ")
    return line.removeprefix("embedkit: ")


def test_the_model_is_replaced_and_tells_of_it(trained):
    result = update(trained, "--input", "second.csv", "--epochs", "2")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "Read 4 tokens (3 different) in 2 sentences of 2 keys" in result.stderr
    assert "1 new token and 1 new key joined; those of before moved by" in result.stderr
    assert "Next: embedkit recommend" in result.stderr
    grown = embedkit.load(MODEL)
    assert "fresh" in grown
    assert "newcomer" in grown.keys
    told = trained("info").stdout
    assert "grown:       times 1, tokens 4, latest at 20" in told
    assert "source sessions, tokens 4, new_tokens 1, new_keys 1, drift 1, epochs 2" in told
    assert trained("recommend", "newcomer").exit_code == 0


def test_another_output_leaves_the_model_alone(trained):
    before = MODEL.read_bytes()
    result = update(trained, "--input", "second.csv", "--output", "grown.safetensors", "--drift", "0")
    assert result.exit_code == 0, result.stderr
    assert MODEL.read_bytes() == before
    assert "fresh" in embedkit.load("grown.safetensors")
    assert "moved by 0.0%" in result.stderr


def test_standard_input_is_read(trained):
    result = update(trained, "--input", "-", input=SECOND)
    assert result.exit_code == 0, result.stderr
    assert "fresh" in embedkit.load(MODEL)


def test_of_singular_vectors_which_may_turn_no_way_is_told(run):
    assert run("train", "--source", "sessions", "--input", "first.csv", "--vector-size", "4").exit_code == 0
    assert "1 new token and 1 new key joined.\n" in update(run, "--input", "second.csv").stderr


@pytest.mark.parametrize(
    ("args", "said", "code"),
    [
        ((), "an update needs new sentences: say what to read with --input.", 1),
        (("--input", "no.csv"), "no.csv", 1),
        (("--input", "empty.csv"), "empty.csv", 1),
        (("--input", "untimed.csv"), "histories have times, and the new sentences have none", 1),
        (("--input", "second.csv", "--vector-size", "8"), "--vector-size is the model's, and no update changes it", 2),
        (("--input", "second.csv", "--early-stopping", "ndcg@10"), "--early-stopping is not for updates", 2),
        (("--input", "second.csv", "--key", "line"), "--key", 2),
        (("--input", "second.csv", "--epoch", "8"), "there is no flag --epoch. Did you mean '--epochs'", 2),
        (("--input", "second.csv", "--drift", "2"), "--drift must be from 0", 2),
        (("--input", "second.csv", "--min-alpha", "2"), "--min-alpha", 2),
        (("--input", "second.csv", "--output", "nowhere/m.safetensors"), "there is no folder", 1),
        (("--input", "second.csv", "--output", "second.csv"), "is no model", 1),
        (("--input", "second.csv", "--model", "none.safetensors"), "there is no model none.safetensors", 1),
        (("--input", "second.csv", "--resume"), "--resume goes with --checkpoint DIR", 2),
    ],
)
def test_what_is_refused_leaves_the_model_as_it_was(args, said, code, trained):
    Path("empty.csv").write_text("")
    Path("untimed.csv").write_text("user,item\nu0,fresh\n")
    before = MODEL.read_bytes()
    assert said in refused(update(trained, *args), code)
    assert MODEL.read_bytes() == before


def test_a_source_must_be_named(trained):
    assert "say where the new sentences come from: --source " in refused(trained("update", "--input", "second.csv"))


def test_imported_vectors_are_refused(run):
    Path("v.txt").write_text("a 1 2\nb 2 1\n")
    assert run("import", "v.txt", "--output", str(MODEL)).exit_code == 0
    assert "was imported, so there is no training to go on with" in refused(update(run, "--input", "second.csv"), 1)


def test_a_model_that_somebody_changed_meanwhile_is_not_replaced(trained):
    model = embedkit.load(MODEL)
    place = Place(MODEL, MODEL)
    place.look()
    assert trained("train", "--source", "sessions", "--input", "second.csv", "--trainer", "als").exit_code == 0
    with pytest.raises(ModelError, match="was changed by somebody else meanwhile"):
        place.save(model)


def test_a_model_that_was_overwritten_meanwhile_is_not_what_another_file_is_made_of(trained):
    whole = MODEL.read_bytes()
    place = Place(MODEL, Path("other.safetensors"))
    place.look()
    grown = embedkit.load(MODEL)
    assert trained("train", "--source", "sessions", "--input", "second.csv", "--trainer", "als").exit_code == 0
    place.save(grown)  # the model that it was made of is whole: another took its name
    place.look()
    MODEL.write_bytes(whole)
    with pytest.raises(ModelError, match="was changed by somebody else meanwhile"):
        place.save(grown)


def test_two_updates_of_a_model_at_once_are_refused(trained):
    with Place(MODEL, MODEL).held():
        said = refused(update(trained, "--input", "second.csv"), 1)
        assert "another update of embedkit.safetensors is running: wait for its end" in said
        elsewhere = update(trained, "--input", "second.csv", "--output", "other.safetensors")
        assert elsewhere.exit_code == 0, elsewhere.stderr
    assert update(trained, "--input", "second.csv").exit_code == 0


def test_a_damaged_model_gets_no_new_checksum(trained):
    raw = bytearray(MODEL.read_bytes())
    place = raw.find(embedkit.load(MODEL).vectors.tobytes())
    raw[place] ^= 1
    MODEL.write_bytes(raw)
    for result in (
        update(trained, "--input", "second.csv"),
        update(trained, "--input", "second.csv", "--output", "other.safetensors"),
        trained("extend", "--content", str(MODEL), "--output", "other.safetensors"),
    ):
        assert "embedkit.safetensors is damaged: its checksum" in refused(result, 1)
    with pytest.raises(ModelError, match="is damaged"):
        embedkit.update(MODEL, "sessions", input="second.csv")
    assert MODEL.read_bytes() == raw
    assert not Path("other.safetensors").exists()


def test_an_index_is_said_to_be_of_the_model_before(trained):
    from embedkit.embeddings.index import path_of

    path_of(MODEL).write_bytes(b"")
    result = update(trained, "--input", "second.csv")
    assert "Its index is of the model before" in result.stderr


def test_a_checkpoint_is_kept_and_cleared(trained):
    result = update(trained, "--input", "second.csv", "--checkpoint", "states", "--every", "1epoch", "--resume")
    assert result.exit_code == 0, result.stderr
    assert "There is no state in states yet" in result.stderr
    assert not any(Path("states").glob("*.safetensors"))


def test_an_update_that_was_saved_is_not_made_again(trained):
    once = ("--input", "second.csv", "--checkpoint", "states", "--every", "1epoch")
    assert update(trained, *once).exit_code == 0
    made = MODEL.read_bytes()
    told = refused(update(trained, "--input", "second.csv"), 1)
    assert "the model learned from these very sentences already (20" in told
    result = update(trained, *once, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "learned from these very sentences already, so there is nothing left to do." in result.stderr
    assert "state" not in result.stderr
    assert MODEL.read_bytes() == made
    result = update(trained, "--input", "second.csv", "--again")
    assert result.exit_code == 0, result.stderr
    assert embedkit.load(MODEL).config["grown"]["times"] == 2


@pytest.fixture
def killed_after_saving(trained, monkeypatch):
    """Leave the state of an update whose model is saved; then give the flags that it was called with."""
    once = ("--checkpoint", "states", "--every", "1epoch")
    with monkeypatch.context() as killed:
        killed.setattr(Checkpoint, "clear", lambda self: None)
        assert update(trained, "--input", "second.csv", *once).exit_code == 0
    assert Path("states/state.safetensors").exists()
    return once


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_what_an_update_left_that_was_killed_after_saving_does_not_stop_the_next(trained, killed_after_saving, resume):
    Path("third.csv").write_text(SECOND.replace("2026-02", "2026-03"))
    result = update(trained, "--input", "third.csv", *killed_after_saving, *resume)
    assert result.exit_code == 0, result.stderr
    assert "The state in states, of an update that was saved, is removed." in result.stderr
    assert embedkit.load(MODEL).config["grown"]["times"] == 2


def test_nor_does_it_go_on_with_what_is_done(trained, killed_after_saving):
    made = MODEL.read_bytes()
    result = update(trained, "--input", "second.csv", *killed_after_saving, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "The state in states, of an update that was saved, is removed." in result.stderr
    assert "there is nothing left to do" in result.stderr
    assert not Path("states/state.safetensors").exists()
    assert MODEL.read_bytes() == made


def test_the_state_of_another_models_update_by_the_same_input_stays(trained, killed_after_saving):
    state = Path("states/state.safetensors").read_bytes()
    other = ("--trainer", "als", "--vector-size", "3", "--epochs", "2", "--output", "other.safetensors")
    assert trained("train", "--source", "sessions", "--input", "first.csv", *other).exit_code == 0
    other = ("--input", "second.csv", "--model", "other.safetensors")
    assert update(trained, *other).exit_code == 0
    result = update(trained, *other, *killed_after_saving, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "there is nothing left to do" in result.stderr
    assert Path("states/state.safetensors").read_bytes() == state


def test_resuming_what_is_done_keeps_a_state_that_nobody_knows_and_makes_no_other_file(trained):
    once = ("--input", "second.csv", "--checkpoint", "states", "--resume")
    assert update(trained, *once).exit_code == 0
    Path("states/state.safetensors").write_bytes(b"of another training")
    result = update(trained, *once)
    assert result.exit_code == 0, result.stderr
    assert Path("states/state.safetensors").read_bytes() == b"of another training"
    assert "already (20" in refused(update(trained, *once, "--output", "other.safetensors"), 1)
    assert not Path("other.safetensors").exists()


def test_another_source_is_told_of(trained):
    Path("t.txt").write_text("i0 i2 fresh\n")
    result = trained("update", "--source", "text", "--input", "t.txt")
    assert "learned from source sessions before, and now from source text" in result.stderr


def test_help_shows_the_flags_of_the_source_and_those_of_the_trainer_that_are_free(trained):
    text = " ".join(update(trained, "--help").stdout.split())
    assert "Options of trainer als: --epochs INT" in text
    assert "--user-column" in text
    assert "--unobserved-weight" not in text
    assert "Options that are not given, and all others of the trainer, are those of the model." in text
    assert "--drift NUMBER" in trained("update", "--help").stdout
