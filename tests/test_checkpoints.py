"""States kept on the way, and trainings that go on from them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import embedkit
from embedkit import Checkpoint, EmbedkitError, OptionError
from embedkit.contracts import Run
from embedkit.names import Names

RESUMING = {
    "skipgram": {"vector_size": 12, "epochs": 4},
    "cbow": {"vector_size": 12, "epochs": 4, "loss": "hierarchical-softmax"},
    "fasttext": {"vector_size": 12, "epochs": 3, "bucket": 500},
    "doc2vec": {"vector_size": 12, "epochs": 4},
    "glove": {"vector_size": 12, "epochs": 4},
    "als": {"vector_size": 8, "epochs": 4},
    "contrastive": {"vector_size": 8, "epochs": 4},
}


class StoppedError(Exception):
    """Stands for the end of a process."""


class Killed(Run):
    """Ends a training at its n-th word, wherever that is."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def progress(self, *args, **more):
        self._count()

    def epoch_done(self, loss, snapshot):
        self._count()
        return True

    def _count(self):
        self.left -= 1
        if self.left < 0:
            raise StoppedError


class Told(Run):
    def __init__(self):
        super().__init__()
        self.lines, self.before = [], None

    def say(self, message):
        self.lines.append(message)

    def goes_on(self, epochs):
        self.before = epochs


@pytest.fixture(scope="module")
def corpus():
    return embedkit.read("sessions")


def arrays(emb):
    return [a for a in (emb.vectors, emb.context_vectors, emb.key_vectors) if a is not None]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(arrays(a), arrays(b), strict=True)) and a.losses == b.losses


@pytest.mark.parametrize("trainer", RESUMING)
def test_what_goes_on_ends_with_the_same_bits(trainer, corpus, tmp_path):
    options = {**RESUMING[trainer], "workers": 1, "seed": 3}
    whole = embedkit.train(corpus, trainer, **options)
    resumed, killed = None, 0
    for after in (3, 5, 7, 9, 10**6):
        checkpoint = Checkpoint(tmp_path, every="1epoch", resume=True)
        try:
            resumed = embedkit.train(corpus, trainer, checkpoint=checkpoint, run=Killed(after), **options)
            break
        except StoppedError:
            killed += 1
    assert killed
    assert resumed is not None
    assert same(whole, resumed)


@pytest.mark.parametrize("options", [{}, {"loss": "softmax", "batch_size": 200, "window": 1}, {"window": "sentence"}])
def test_within_an_epoch_too(options, corpus, tmp_path, monkeypatch):
    from embedkit.trainers.machinery import racing

    monkeypatch.setattr(racing.Part, "advance", _short_advance(racing.Part.advance))
    monkeypatch.setattr(racing, "_LOOK_EVERY", 0.02)
    options = {"vector_size": 8, "epochs": 2, "workers": 1, **options}
    whole = embedkit.train(corpus, "skipgram", **options)
    midway = 0
    for after in (3, 4, 5, 7, 10**6):
        checkpoint = Checkpoint(tmp_path, every="0.000001s", resume=True)
        try:
            resumed = embedkit.train(corpus, "skipgram", checkpoint=checkpoint, run=Killed(after), **options)
            break
        except StoppedError:
            from embedkit.checkpoints import _read

            midway += bool(checkpoint.path.exists() and _read(checkpoint.path)[0]["midway"][0])
    assert midway
    assert same(whole, resumed)


def _short_advance(advance):
    """Let a worker go over few tokens at a time, so that a small corpus has many pieces."""

    def short(self):
        self._tokens_a_call = 500
        time.sleep(0.04)
        return advance(self)

    return short


def test_several_workers_go_on(corpus, tmp_path):
    options = {"vector_size": 8, "epochs": 3, "workers": 2}
    with pytest.raises(StoppedError):
        embedkit.train(corpus, checkpoint=Checkpoint(tmp_path, "1epoch"), trainer="skipgram", run=Killed(3), **options)
    told = Told()
    emb = embedkit.train(
        corpus, "skipgram", checkpoint=Checkpoint(tmp_path, "1epoch", resume=True), run=told, **options
    )
    assert len(emb.losses) == 3
    assert told.before in (1, 2)
    assert f"after {told.before} whole epoch" in told.lines[0]


def test_the_number_of_workers_may_be_said_later(corpus, tmp_path):
    states, options = Checkpoint(tmp_path, "1epoch", resume=True), {"vector_size": 8, "epochs": 3}
    with pytest.raises(StoppedError):
        embedkit.train(corpus, "skipgram", checkpoint=states, run=Killed(3), workers=2, **options)
    with pytest.raises(EmbedkitError, match="the state is of 2 workers, and there are 1; go on with --workers 2"):
        embedkit.train(corpus, "skipgram", checkpoint=states, **options)
    assert len(embedkit.train(corpus, "skipgram", checkpoint=states, workers=2, **options).losses) == 3


def test_threads_that_change_no_bit_may_be_others(corpus, tmp_path):
    states, options = Checkpoint(tmp_path, "1epoch", resume=True), {"vector_size": 8, "epochs": 4}
    whole = embedkit.train(corpus, "als", workers=2, **options)
    with pytest.raises(StoppedError):
        embedkit.train(corpus, "als", checkpoint=states, run=Killed(2), workers=1, **options)
    assert same(whole, embedkit.train(corpus, "als", checkpoint=states, workers=2, **options))


def test_another_training_is_refused_and_what_changed_is_said(corpus, tmp_path):
    embedkit.train(corpus, "skipgram", vector_size=8, epochs=1, checkpoint=Checkpoint(tmp_path, "1epoch"))
    again = Checkpoint(tmp_path, "1epoch", resume=True)
    with pytest.raises(EmbedkitError, match=r"--alpha was 0\.1 and is 0\.05; --vector-size was 8 and is 9"):
        embedkit.train(corpus, "skipgram", vector_size=9, epochs=1, alpha=0.05, checkpoint=again)
    with pytest.raises(EmbedkitError, match="the trainer was skipgram and is cbow"):
        embedkit.train(corpus, "cbow", vector_size=8, epochs=1, checkpoint=again)
    other = embedkit.Corpus.from_sentences([["a", "b", "c"]])
    with pytest.raises(EmbedkitError, match=r"there were .* tokens .* and there are 3 \(3 different\)"):
        embedkit.train(other, "skipgram", vector_size=8, epochs=1, checkpoint=again)


def test_changed_data_of_the_same_size_are_refused(tmp_path):
    first = embedkit.Corpus.from_sentences([["a", "b", "c"], ["a", "c", "b"]])
    second = embedkit.Corpus.from_sentences([["a", "b", "c"], ["a", "b", "c"]])
    embedkit.train(first, "skipgram", vector_size=8, epochs=1, checkpoint=Checkpoint(tmp_path, "1epoch"))
    with pytest.raises(EmbedkitError, match=r"the data changed \(ids\)"):
        embedkit.train(
            second, "skipgram", vector_size=8, epochs=1, checkpoint=Checkpoint(tmp_path, "1epoch", resume=True)
        )


def test_changed_labels_are_refused(tmp_path):
    unnamed = embedkit.Corpus.from_sentences([["a", "b", "c"], ["a", "c", "b"]])
    first, second = (replace(unnamed, labels=Names.from_strings([label, "", ""])) for label in "xy")
    embedkit.train(first, "skipgram", vector_size=8, epochs=1, checkpoint=Checkpoint(tmp_path, "1epoch"))
    with pytest.raises(EmbedkitError, match=r"the data changed \(labels\)"):
        embedkit.train(
            second, "skipgram", vector_size=8, epochs=1, checkpoint=Checkpoint(tmp_path, "1epoch", resume=True)
        )


def test_a_state_is_not_overwritten_unasked(corpus, tmp_path):
    embedkit.train(corpus, "als", vector_size=4, epochs=1, checkpoint=Checkpoint(tmp_path, "1epoch"))
    with pytest.raises(EmbedkitError, match="holds the state of a training that did not end"):
        embedkit.train(corpus, "als", vector_size=4, epochs=1, checkpoint=Checkpoint(tmp_path, "1epoch"))


def test_a_damaged_state_is_refused(corpus, tmp_path):
    checkpoint = Checkpoint(tmp_path, "1epoch")
    embedkit.train(corpus, "als", vector_size=4, epochs=1, checkpoint=checkpoint)
    content = bytearray(checkpoint.path.read_bytes())
    content[-1] ^= 1
    checkpoint.path.write_bytes(content)
    with pytest.raises(EmbedkitError, match="is damaged: its checksum"):
        embedkit.train(corpus, "als", vector_size=4, epochs=1, checkpoint=Checkpoint(tmp_path, resume=True))


@pytest.mark.parametrize("every", ["", "0s", "1.5epochs", "ten minutes", "-1s", "10 minutes", 10, "9" * 400 + "epochs"])
def test_no_interval(every):
    with pytest.raises(OptionError, match="must be a time or epochs"):
        Checkpoint("somewhere", every)


def test_a_trainer_that_it_does_not_go_with(corpus, tmp_path):
    with pytest.raises(EmbedkitError, match="'spectral' keeps no state"):
        embedkit.train(corpus, "spectral", checkpoint=Checkpoint(tmp_path))


def embedkit_train(*flags, cwd):
    return [sys.executable, "-m", "embedkit", "train", "--source", "text", "--vector-size", "8", *flags], cwd


@pytest.mark.slow
def test_the_command_goes_on_after_kill_9_and_cleans_up(tmp_path):
    flags = ["--epochs", "60", "--workers", "1", "--checkpoint", "states", "--every", "0.05s"]
    command, cwd = embedkit_train(*flags, cwd=tmp_path)
    process = subprocess.Popen(command, cwd=cwd, stderr=subprocess.DEVNULL)
    state = tmp_path / "states" / "state.safetensors"
    while not state.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    refused = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "--resume goes on with it" in refused.stderr
    done = subprocess.run([*command, "--resume"], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Going on from the state of" in done.stderr
    assert not state.exists()
    whole = subprocess.run([*command[:-4], "--output", "whole.safetensors"], cwd=cwd, capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    assert same(embedkit.load(tmp_path / "whole.safetensors"), embedkit.load(tmp_path / "embedkit.safetensors"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_made(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(EmbedkitError, match="cannot be made a folder"):
        Checkpoint(tmp_path / "states").prepare()


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "states").write_text("mine")
    with pytest.raises(EmbedkitError, match="cannot be made a folder"):
        Checkpoint(tmp_path / "states").prepare()
    assert (tmp_path / "states").read_text() == "mine"


def test_flags_that_go_with_a_checkpoint(tmp_path):
    command, cwd = embedkit_train("--resume", cwd=tmp_path)
    refused = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--resume goes with --checkpoint DIR" in refused.stderr


def test_a_state_that_says_too_little_is_refused(corpus, tmp_path):
    from embedkit.embeddings.safetensors import write_tensors

    for told in ("[]", "{}", '{"format_version": 1, "kept": "today", "identity": {}}'):
        with open(Checkpoint(tmp_path).path, "wb") as file:
            write_tensors(file, {"vectors": np.zeros((2, 2), np.float32)}, {"embedkit.state": told})
        with pytest.raises(EmbedkitError, match="is no state of a training"):
            embedkit.train(corpus, "als", vector_size=4, epochs=1, checkpoint=Checkpoint(tmp_path, resume=True))


def test_a_state_that_cannot_be_written_is_told_of_and_training_goes_on(corpus, tmp_path):
    class Removing(Told):
        def epoch_done(self, loss, snapshot):
            shutil.rmtree(tmp_path / "states", ignore_errors=True)
            return True

    told = Removing()
    emb = embedkit.train(
        corpus, "als", vector_size=4, epochs=2, run=told, checkpoint=Checkpoint(tmp_path / "states", "1epoch")
    )
    assert len(emb.losses) == 2
    assert [line for line in told.lines if "No state was kept this time" in line and "no folder" in line]
