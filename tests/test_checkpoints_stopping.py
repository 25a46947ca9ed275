"""Trainings that stop early and are killed go on to the same best epoch."""

import numpy as np
import pytest

import embedkit
from embedkit import Checkpoint, EarlyStopping, EmbedkitError, Validation
from embedkit.contracts import Run
from embedkit.evaluation.kept_best import packed, unpacked


class StoppedError(Exception):
    """Stands for the end of a process."""


class Killed(Run):
    """Ends a training when so many epochs were told of, and notes what is said."""

    def __init__(self, after):
        super().__init__()
        self.left, self.lines = after, []

    def say(self, message):
        self.lines.append(message)

    def progress(self, *args, **more):
        if self.left == 0:
            raise StoppedError

    def epoch_done(self, loss, snapshot):
        self.left -= 1
        return True


@pytest.fixture(scope="module")
def corpus():
    return embedkit.read("sessions")


def same(a, b):
    tables = ((e.vectors, e.context_vectors, e.key_vectors, e.histories.indices) for e in (a, b))
    equal = all((x is None and y is None) or np.array_equal(x, y) for x, y in zip(*tables, strict=True))
    return equal and a.losses == b.losses and a.config == b.config


STOPPING = {
    "skipgram": (EarlyStopping("ndcg@5", patience=2), {"vector_size": 8, "epochs": 8, "workers": 1}),
    "als": (EarlyStopping("ndcg@5", patience=3), {"vector_size": 8, "epochs": 12}),
    "glove": (EarlyStopping("loss", patience=2), {"vector_size": 8, "epochs": 6}),
    "contrastive": (EarlyStopping("ndcg@5", patience=1, retrain=True), {"vector_size": 8, "epochs": 5}),
}


@pytest.mark.parametrize("trainer", STOPPING)
def test_what_goes_on_ends_with_the_same_best_epoch(trainer, corpus, tmp_path):
    stopping, options = STOPPING[trainer]
    whole = embedkit.train(corpus, trainer, early_stopping=stopping, **options)
    killed, said = 0, []
    for after in (1, 2, 1, 10**6):
        run, checkpoint = Killed(after), Checkpoint(tmp_path, every="1epoch", resume=True)
        try:
            resumed = embedkit.train(
                corpus, trainer, early_stopping=stopping, checkpoint=checkpoint, run=run, **options
            )
            break
        except StoppedError:
            killed += 1
        said += run.lines
    assert killed
    assert same(whole, resumed)
    assert any("Going on from the state of" in line for line in run.lines)
    assert whole.config["early_stopping"]["best_epoch"] == resumed.config["early_stopping"]["best_epoch"]


@pytest.mark.parametrize(
    ("other", "change"),
    [
        (EarlyStopping("ndcg@5", patience=4), "--patience was 3 and is 4"),
        (EarlyStopping("recall@5", patience=3), "--early-stopping was ndcg@5 and is recall@5"),
        (EarlyStopping("ndcg@5", patience=3, validation=Validation("leave-one-out", seed=7)), "--validation was"),
        (None, "--early-stopping was ndcg@5 and is None"),
    ],
)
def test_another_early_stopping_is_refused(other, change, corpus, tmp_path):
    options = {"vector_size": 8, "epochs": 6}
    checkpoint = Checkpoint(tmp_path, every="1epoch", resume=True)
    with pytest.raises(StoppedError):
        embedkit.train(
            corpus, "als", early_stopping=EarlyStopping("ndcg@5", patience=3), checkpoint=checkpoint, run=Killed(2),
            **options,
        )  # fmt: skip
    with pytest.raises(EmbedkitError, match=change):
        embedkit.train(corpus, "als", early_stopping=other, checkpoint=checkpoint, **options)


def test_a_validation_file_of_other_contents_is_refused(corpus, tmp_path):
    told, states = tmp_path / "told.txt", tmp_path / "states"
    key = next(iter(corpus.keys))
    first, second = list(corpus.tokens)[:2]
    told.write_text(f"{key} {first}\n")
    stopping = EarlyStopping("ndcg@5", patience=3, validation=Validation(told))
    options = {"vector_size": 8, "epochs": 6, "early_stopping": stopping}
    checkpoint = Checkpoint(states, every="1epoch", resume=True)
    with pytest.raises(StoppedError):
        embedkit.train(corpus, "als", checkpoint=checkpoint, run=Killed(2), **options)
    told.write_text(f"{key} {second}\n")
    with pytest.raises(EmbedkitError, match=r"the data changed \(validation\)"):
        embedkit.train(corpus, "als", checkpoint=checkpoint, **options)
    told.write_text(f"{key} {first}\n")
    assert embedkit.train(corpus, "als", checkpoint=checkpoint, **options).config["early_stopping"]["best_epoch"]


def test_a_state_within_the_first_epoch_has_no_best_yet(tmp_path):
    begin, best = unpacked(None, tmp_path)
    assert best is None
    state = packed(begin, None, tmp_path)
    assert all(np.isfinite(array).all() for array in state.values())  # as a state's arrays are checked to be
    assert unpacked(state, tmp_path) == (begin, None)
