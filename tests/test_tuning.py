"""Tuning finds what is better, goes on where it was, survives what fails, and refuses what does not belong together."""

import errno
import os
import sqlite3
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

import embedkit
from embedkit import (
    Between,
    Corpus,
    Embeddings,
    EmbedkitError,
    OptionError,
    Run,
    Sentence,
    SourceError,
    Validation,
)  # fmt: skip
from embedkit.evaluation import Measure
from embedkit.plugins import Plugins, load_plugins
from embedkit.tuning import Tuning
from embedkit.tuning.space import candidates
from embedkit.tuning.trials import Bench, OutOfTime, Trial, perform


def groups(n_keys=40):
    """Keys of two kinds, who have eight of the ten tokens of their kind."""
    rng = np.random.default_rng(3)
    tokens = [[f"t{key % 2}{i}" for i in rng.permutation(10)[:8]] for key in range(n_keys)]
    return Corpus.from_sentences([Sentence(row, f"k{key}") for key, row in enumerate(tokens)])


class Mixed(embedkit.Trainer):
    """The better the nearer `quality` is to 1."""

    name = "mixed"

    @dataclass(frozen=True)
    class Options:
        quality: float = embedkit.option(0.3, "How good.", minimum=0, maximum=1, search=Between(0.0, 1.0))
        size: int = embedkit.option(8, "Numbers.", minimum=3, search=Between(4, 64, log=True))
        kind: Literal["plain", "broken", "huge"] = embedkit.option("plain", "How it goes.")
        noise: Literal["normal", "flat"] = embedkit.option("normal", "Of what.", search=("normal", "flat"))
        epochs: int = embedkit.option(10, "Passes.", minimum=1)
        seed: int = 1

    def train(self, corpus, options, run):
        if options.kind == "broken" and options.quality != 0.3:
            raise ValueError("it broke")
        if options.kind == "huge":
            raise MemoryError
        for epoch in range(options.epochs):
            run.progress(epoch + 1, options.epochs, unit="epochs")
            if not run.epoch_done(1.0, lambda: self.made(corpus, options)):
                break
        return self.made(corpus, options)

    def made(self, corpus, options):
        rng = np.random.default_rng(options.seed)
        vectors = (1 - options.quality) * rng.standard_normal((len(corpus.tokens), options.size))
        for row, token in enumerate(corpus.tokens):
            vectors[row, int(token[1])] += 3 * options.quality
        return Embeddings.from_corpus(corpus, vectors.astype(np.float32))


class Fixed(Mixed):
    """Has nothing to search."""

    name = "fixed"

    @dataclass(frozen=True)
    class Options:
        quality: float = 0.1
        size: int = 8
        kind: str = "plain"
        epochs: int = 1
        seed: int = 1


PLUGINS = Plugins(trainers={"mixed": Mixed, "fixed": Fixed})


def tune(corpus=None, **more):
    return embedkit.tune(groups() if corpus is None else corpus, **{"plugins": PLUGINS, "metric": "ndcg@5", **more})


def test_it_begins_with_the_defaults_and_finds_better():
    seen = []
    found = tune(trials=15, on_trial=lambda trial, so_far: seen.append((trial, so_far.best.number)))
    assert [trial.number for trial in found.trials] == list(range(1, 16))
    assert [trial for trial, _ in seen] == list(found.trials)
    first = found.trials[0]
    assert (first.trainer, first.options, first.defaults, first.state) == ("mixed", {}, True, "complete")
    assert found.best.value > first.value
    assert found.best.options["quality"] > 0.3
    assert 4 <= found.best.options["size"] <= 64
    assert found.best.value == max(trial.value for trial in found.trials if trial.state == "complete")
    assert found.best.half_width >= 0
    assert found.ranked[0] is found.best


def test_the_value_is_what_training_with_its_options_gives():
    corpus = groups()
    found = tune(corpus, trials=4, validation=Validation("random", share=0.3, seed=7))
    parts = embedkit.evaluation.random(corpus, 0.3, 7)
    emb = embedkit.train(parts.train, found.best.trainer, plugins=PLUGINS, **found.best.options)
    assert embedkit.evaluation.evaluate(emb, parts.test, 5)["ndcg@5"] == found.best.value


def test_the_same_seed_tries_the_same():
    one, other, third = (tune(trials=6, seed=seed) for seed in (4, 4, 5))
    assert [t.options for t in one.trials] == [t.options for t in other.trials]
    assert [t.options for t in one.trials] != [t.options for t in third.trials]
    assert all(trial.options["seed"] == 4 for trial in one.trials)


def test_what_is_given_is_not_searched():
    found = tune(trials=5, size=9, **{"mixed.noise": "flat"})
    assert {trial.options["size"] for trial in found.trials} == {9}
    assert {trial.options["noise"] for trial in found.trials} == {"flat"}
    assert len({trial.options.get("quality") for trial in found.trials}) == 5


def test_a_trainer_with_nothing_to_search_is_tried_once():
    found = tune(trials=6, trainers=("fixed", "mixed"))
    assert [trial.trainer for trial in found.trials] == ["fixed", *["mixed"] * 5]
    alone = tune(trials=6, trainers=("fixed",))
    assert len(alone.trials) == 1


def test_unasked_those_are_tried_that_say_where_to_search():
    plugins = load_plugins()
    names = {candidate.name for candidate in candidates(plugins, (), {})}
    assert {"als", "cbow", "contrastive", "skipgram", "spectral"} <= names
    assert "fasttext" not in names
    for candidate in candidates(plugins, (), {}):
        assert candidate.ranges()


def test_a_study_is_gone_on_with_until_it_has_so_many(tmp_path):
    path = tmp_path / "study.sqlite"
    first = tune(trials=3, study=path)
    assert not list(tmp_path.glob("*-wal"))
    assert tune(trials=3, study=path).trials == first.trials
    more = tune(trials=7, study=str(path))
    assert more.trials[:3] == first.trials
    assert len(more.trials) == 7
    options = [tuple(trial.options.items()) for trial in more.trials]
    assert len(set(options)) == 7


def test_trials_that_fail_are_counted_and_the_rest_goes_on():
    found = tune(trials=5, kind="broken")
    assert [trial.state for trial in found.trials] == ["complete", *["failed"] * 4]
    assert found.trials[1].reason == "ValueError: it broke"
    assert repr(found).startswith("Tuning(1 complete, 4 failed; best mixed ndcg@5")
    hopeless = tune(trials=5, kind="huge")
    assert [trial.reason for trial in hopeless.trials] == ["MemoryError"]
    with pytest.raises(EmbedkitError, match=r"no trial is complete.*The last failed: mixed: MemoryError\."):
        _ = hopeless.best


def test_hopeless_trials_are_given_up():
    bench = Bench(None, None, Validation(), prune=True)
    bench.curves = {"mixed": [{2: 0.1, 4: 0.3}, {2: 0.2, 4: 0.4}, {2: 0.3}, {2: 0.4}], "fixed": [{2: 0.9}] * 9}
    assert bench.hopeless("mixed", 2, 0.1)
    assert not bench.hopeless("mixed", 2, 0.25)
    assert not bench.hopeless("mixed", 4, 0.0)
    assert not bench.hopeless("other", 2, 0.0)


def test_pruning_ends_trials_at_the_rungs():
    pruned = tune(trials=25, seed=2)
    whole = tune(trials=25, seed=2, prune=False)
    assert {trial.state for trial in whole.trials} == {"complete"}
    given_up = [trial for trial in pruned.trials if trial.state == "hopeless"]
    assert given_up
    assert all(trial.value is not None and trial.value < pruned.best.value for trial in given_up)


def test_ctrl_c_ends_with_what_was_found_and_the_study_goes_on(tmp_path):
    class Impatient(Run):
        """Is interrupted in its third trial."""

        def progress(self, done, total, **more):
            if len(seen) == 2:
                raise KeyboardInterrupt

    seen = []
    path = tmp_path / "study.sqlite"
    options = {"study": path, "trials": 5, "on_trial": lambda trial, found: seen.append(trial)}
    found = tune(make_run=lambda trainer, epochs: Impatient(), **options)
    assert found.interrupted
    assert [trial.state for trial in found.trials] == ["complete", "complete", "stopped"]
    again = tune(**options)
    assert not again.interrupted
    assert [trial.state for trial in again.trials].count("stopped") == 1
    assert sum(trial.state != "stopped" for trial in again.trials) == 5


def test_a_full_disk_ends_the_search_and_is_no_trial_s_fault(tmp_path):
    class Full(Run):
        """Has no room for what it does."""

        def progress(self, done, total, **more):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "study.sqlite"
    with pytest.raises(OSError, match="No space left"):
        tune(study=path, make_run=lambda trainer, epochs: Full())
    found = tune(study=path, trials=1)
    assert [(trial.state, trial.defaults) for trial in found.trials] == [("stopped", True), ("complete", True)]


def test_defaults_that_were_broken_off_are_tried_again(tmp_path):
    class Interrupted(Run):
        """Is interrupted at once."""

        def progress(self, done, total, **more):
            raise KeyboardInterrupt

    path = tmp_path / "study.sqlite"
    assert tune(study=path, make_run=lambda trainer, epochs: Interrupted()).interrupted
    found = tune(study=path, trials=1)
    assert [(trial.state, trial.defaults) for trial in found.trials] == [("stopped", True), ("complete", True)]


def test_the_time_budget_breaks_off_all_but_the_first():
    class Slow(Run):
        """Takes its time."""

        def progress(self, done, total, **more):
            time.sleep(0.02)

    found = tune(time_budget=0.1, make_run=lambda trainer, epochs: Slow())
    assert found.trials[0].state == "complete"
    assert not found.interrupted


def test_a_trial_that_is_late_is_broken_off_and_noted():
    import optuna

    measure, validation = Measure.parse("ndcg@5"), Validation()
    bench = Bench(validation.split(groups()), measure, validation, prune=True, deadline=time.monotonic() - 1)
    study = optuna.create_study(direction="maximize")
    (candidate,) = candidates(PLUGINS, ("mixed",), {})
    with pytest.raises(OutOfTime):
        perform(study, study.ask(), bench, candidate, {}, Run())
    (trial,) = map(Trial.of, study.trials)
    assert (trial.trainer, trial.state, trial.value) == ("mixed", "stopped", None)


def test_trainers_are_told_of_by_name_and_epochs():
    asked = []

    def make_run(trainer, epochs):
        asked.append((trainer, epochs))
        return Run()

    tune(trials=1, make_run=make_run, epochs=3)
    assert asked == [("", None), ("mixed", 3)]


def test_a_source_is_read_and_its_options_are_not_the_trainers():
    found = embedkit.tune("sessions", trainers=("als",), trials=1, metric="recall@10", min_count=2, epochs=2)
    assert found.best.options == {"epochs": 2}
    with pytest.raises(OptionError, match=r"epocs is no option of trainer als\. Did you mean 'epochs'"):
        embedkit.tune("sessions", trainers=("als",), epocs=2)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"metric": "recall@5"}, "there the metric is ndcg@5, here recall@5; name another --study"),
        (
            {"validation": Validation("random", share=0.3)},
            "there the validation is random with seed 1, here random of 0.3",
        ),
        ({"validation": Validation(include_seen=True)}, "seen tokens included"),
        ({"size": 9}, "there what is fixed is nothing, here mixed.size=9"),
        ({"trainers": ("fixed",)}, "there the list of trainers is mixed, here fixed"),
        ({"corpus": groups(30)}, r"there the data is 320 tokens \(20 different\) in 40 sentences, here 240 tokens"),
    ],
)
def test_a_study_of_another_search_is_refused(tmp_path, more, message):
    path = tmp_path / "study.sqlite"
    tune(trials=1, study=path)
    with pytest.raises(EmbedkitError, match=message) as told:
        tune(trials=1, study=path, **more)
    assert "\n" not in str(told.value)


def test_a_study_of_other_data_of_the_same_size_is_refused(tmp_path):
    path = tmp_path / "study.sqlite"
    one, other = ([Sentence(["a", "b", "c", end], key) for key in ("u", "v")] for end in "de")
    options = {"study": path, "trials": 1, "metric": "ndcg@1", "trainers": ("als",), "plugins": None}
    validation = Validation("leave-one-out")
    tune(Corpus.from_sentences(one), validation=validation, **options)
    with pytest.raises(EmbedkitError, match="the study of other data of the same size"):
        tune(Corpus.from_sentences(other), validation=validation, **options)


def make_text(path):
    path.write_text("user,item\n")


def make_other(path):
    with sqlite3.connect(path) as connection:
        connection.execute("create table songs (name)")
    connection.close()


def make_cut(path):
    tune(trials=1, study=path)
    path.write_bytes(path.read_bytes()[:5000])


def make_foreign(path):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=f"sqlite:///{path}", study_name="embedkit", direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_text, "is there already and is no study"),
        (make_other, "is a SQLite file of something else"),
        (make_cut, "cannot keep a study in .*malformed"),
        (make_foreign, "holds a study that embedkit did not begin"),
        (lambda path: path.mkdir(), "it is a folder"),
    ],
)
def test_what_is_no_study_is_refused_and_stays_as_it_was(tmp_path, make, message):
    path = tmp_path / "study.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(EmbedkitError, match=message) as told:
        tune(trials=1, study=path)
    assert "\n" not in str(told.value)
    if make in (make_text, make_other):
        assert path.read_bytes() == before


def test_a_study_in_no_folder_is_refused(tmp_path):
    with pytest.raises(EmbedkitError, match="there is no folder"):
        tune(trials=1, study=tmp_path / "nowhere" / "study.sqlite")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"metric": "ndcg"}, "metric must be METRIC@K"),
        ({"metric": "ndcg@500"}, "metric asks for the best 500 of 20"),
        ({"trials": 0}, "trials must be a whole number of at least 1"),
        ({"time_budget": 0}, "time_budget must be a number of seconds above 0"),
        ({"quality": 2}, "quality must be a number of at least 0 and of at most 1"),
        ({"mixed.quality": 2}, "mixed.quality must be a number of at least 0"),
        ({"qualty": 1}, "qualty is no option of trainer mixed. Did you mean 'quality'"),
    ],
)
def test_wrong_values_are_told(more, message):
    with pytest.raises(OptionError, match=message):
        tune(**more)


def test_a_single_row_has_no_interval():
    corpus = Corpus.from_sentences([Sentence(["a", "b", "c"], "u"), Sentence(["a"], "v"), Sentence(["b", "c"], None)])
    found = tune(
        corpus, trials=1, metric="ndcg@1", trainers=("als",), plugins=None, validation=Validation("leave-one-out")
    )
    assert found.best.half_width is None


def test_nothing_to_choose_from_is_told():
    with pytest.raises(EmbedkitError, match="no trainer says where to search"):
        tune(plugins=Plugins(trainers={"fixed": Fixed}))
    with pytest.raises(SourceError, match=r"no keys.*--validation next-item"):
        tune(Corpus.from_sentences([["a", "b"]] * 5))
    with pytest.raises(EmbedkitError, match="no trial is complete"):
        _ = Tuning((), "ndcg@20").best


def test_sessions_of_nobody_are_tuned_on_the_next_item():
    rng = np.random.default_rng(1)
    corpus = Corpus.from_sentences([[f"t{s % 2}{i}" for i in rng.permutation(10)[:5]] for s in range(60)])
    found = tune(corpus, trials=3, validation=Validation("next-item", include_seen=True))
    assert found.best.value > 0


def test_without_optuna_the_remedy_is_told(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(EmbedkitError, match=r"pip install '\.\[tune\]'"):
        tune()


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (Between(0, 10), "the search of size must be a whole number of at least 3"),
        ((4, "many"), "the search of size must be a whole number"),
        ((), "a tuple of choices"),
        ([4, 8], "a tuple of choices"),
    ],
)
def test_a_search_that_its_option_does_not_take_is_refused(search, message):
    @dataclass(frozen=True)
    class Options:
        size: int = embedkit.option(8, minimum=3, search=search)

    with pytest.raises(TypeError, match=message):
        embedkit.options.describe(Options)


@pytest.mark.parametrize("ends", [(2, 1), (1, 1), (0, float("inf")), (float("nan"), 1)])
def test_a_range_has_two_ends(ends):
    with pytest.raises(TypeError, match="low < high"):
        Between(*ends)


def test_a_range_by_magnitude_begins_above_zero():
    with pytest.raises(TypeError, match="begins above 0"):
        Between(0, 1, log=True)
