"""Trainings that stop early and are killed go on to the same best epoch."""

import numpy as np
import pytest

import embedkit
from embedkit import Checkpoint, EarlyStopping, Embeddings, EmbedkitError, ModelError, Validation
from embedkit.contracts import Run
from embedkit.embeddings.safetensors import CHECKSUM, map_tensors, read_header, write_tensors
from embedkit.evaluation.kept_best import MODEL, NUMBERS, packed, unpacked
from embedkit.names import Names


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
        (
            EarlyStopping("ndcg@5", patience=3, validation=Validation("leave-one-out", seed=7)),
            "--validation was not given and is leave-one-out; --validation-seed was 1 and is 7",
        ),
        (EarlyStopping("ndcg@5", patience=3, retrain=True), "--retrain was False and is True"),
        (None, r"training: --early-stopping was ndcg@5 and is not given\. Call it"),
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
    names = Names.from_strings(["a", "b"])
    begin, best = unpacked(None, tmp_path, names)
    assert best is None
    state = packed(begin, None, tmp_path)
    assert all(np.isfinite(array).all() for array in state.values())  # as a state's arrays are checked to be
    assert unpacked(state, tmp_path, names) == (begin, None)


@pytest.fixture(scope="module")
def kept(corpus, tmp_path_factory):
    """Give the bytes of a state after three epochs, and its file."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.raises(StoppedError):
        resume(corpus, folder, Killed(3))
    path = folder / "state.safetensors"
    return path.read_bytes(), path


def resume(corpus, folder, run=None):
    checkpoint = Checkpoint(folder, every="1epoch", resume=True)
    stopping = EarlyStopping("ndcg@5", patience=3)
    return embedkit.train(
        corpus, "als", early_stopping=stopping, checkpoint=checkpoint, run=run, vector_size=4, epochs=5
    )


def file_of(model, tmp_path):
    """Return the bytes of a model's file, as a state holds them."""
    model.save(tmp_path / "m.safetensors")
    return np.fromfile(tmp_path / "m.safetensors", np.uint8)


def changed_best(best, **parts):
    """Return the best model of a state, parts of it another's."""
    whole = {name: getattr(best, name) for name in ("counts", "keys", "histories", "query", "arrays")}
    return Embeddings(parts.pop("tokens", best.tokens), parts.pop("vectors", best.vectors), **{**whole, **parts})


DAMAGE = {
    "no numbers": lambda arrays, best: {NUMBERS: None},
    "three numbers": lambda arrays, best: {NUMBERS: arrays[NUMBERS][:3]},
    "numbers of other kind": lambda arrays, best: {NUMBERS: arrays[NUMBERS].astype(np.int64)},
    "more epochs than losses": lambda arrays, best: {NUMBERS: np.array([1e17, 2, 0.1, 0])},
    "an epoch before the first": lambda arrays, best: {NUMBERS: np.array([3, -2, 0.1, 0])},
    "half an epoch": lambda arrays, best: {NUMBERS: np.array([3, 1.5, 0.1, 0])},
    "no best model": lambda arrays, best: {MODEL: None},
    "a best model of floats": lambda arrays, best: {MODEL: np.ones(10, np.float32)},
    "half a best model": lambda arrays, best: {MODEL: arrays[MODEL][:500]},
    "a best model of other tokens": lambda arrays, best: {MODEL: Embeddings(["zz"], np.ones((1, 4), np.float32))},
    "a best model of fewer tokens": lambda arrays, best: {MODEL: Embeddings(best.tokens[:9], best.vectors[:9])},
    "a best model not finite": lambda arrays, best: {MODEL: changed_best(best, vectors=best.vectors * np.inf)},
    "a best model of other size": lambda arrays, best: {MODEL: Embeddings(best.tokens, best.vectors[:, :2])},
    "a best model of other queries": lambda arrays, best: {MODEL: changed_best(best, query="mean", arrays={})},
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_early_stopping_is_refused(damage, kept, corpus, tmp_path):
    whole, path = kept
    path.write_bytes(whole)
    header = read_header(path)
    arrays = {name: np.array(array) for name, array in map_tensors(path, header).items()}
    (tmp_path / "best.safetensors").write_bytes(arrays[MODEL].tobytes())
    changes = DAMAGE[damage](arrays, embedkit.load(tmp_path / "best.safetensors"))
    changes = {name: file_of(to, tmp_path) if isinstance(to, Embeddings) else to for name, to in changes.items()}
    with path.open("wb") as file:
        kept_arrays = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
        write_tensors(file, kept_arrays, {name: text for name, text in header.metadata.items() if name != CHECKSUM})
    with pytest.raises(ModelError, match=r"^the state is damaged: [^\n]* Remove it to begin anew\.$") as refused:
        resume(corpus, path.parent)
    assert str(tmp_path.parent) not in str(refused.value)
    path.write_bytes(whole)
    assert resume(corpus, path.parent).config["early_stopping"]["epochs"] >= 3
