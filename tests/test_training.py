"""From names and options to a plan: who gets which option, and whose default holds."""

from dataclasses import dataclass

import numpy as np
import pytest

import embedkit
from embedkit import OptionError, SourceError
from embedkit.plugins import load_plugins
from embedkit.training import make_plan, option_specs


class Letters(embedkit.Source):
    """Letters, for tests."""

    name = "letters"
    defaults = {"trainer": "cbow", "min_count": 2, "epochs": 7, "skipgram.epochs": 9, "unknown": 1}

    def sentences(self):
        return [["a", "b"], ["a", "b"]]


class Needy(embedkit.Source):
    """A source that needs input."""

    name = "needy"

    @dataclass(frozen=True)
    class Options:
        input: object = embedkit.option(help="What to read.")

    def sentences(self):
        return []


def test_the_source_says_which_trainer_and_which_defaults():
    plan = make_plan(Letters, None, {})
    assert plan.trainer.name == "cbow"
    assert plan.corpus_options.min_count == 2
    assert plan.trainer_options.epochs == 7


def test_a_default_for_one_trainer_goes_before_one_for_all():
    assert make_plan(Letters, "skipgram", {}).trainer_options.epochs == 9
    assert make_plan(Letters, "als", {}).trainer_options.epochs == 7


def test_what_is_given_goes_before_all_defaults():
    assert make_plan(Letters, "skipgram", {"epochs": 3, "min_count": 1}).trainer_options.epochs == 3


def test_help_is_told_the_defaults_in_force():
    specs = {s.name: s for s in option_specs(Letters, load_plugins().trainer("skipgram"))["trainer"]}
    assert specs["epochs"].default == 9
    assert specs["window"].default == 5


def test_a_corpus_carries_its_sources_defaults():
    corpus = embedkit.read(Letters)
    emb = embedkit.train(corpus, vector_size=2)
    assert emb.config["trainer"] == "cbow"
    assert emb.config["options"]["epochs"] == 7
    assert embedkit.train(corpus, "skipgram", vector_size=2).config["options"]["epochs"] == 9


def test_training_notes_source_and_settings():
    emb = embedkit.train(Letters, vector_size=2)
    assert (emb.config["source"], emb.config["min_count"], emb.config["options"]["vector_size"]) == ("letters", 2, 2)


def test_an_option_of_nobody_is_refused_with_the_nearest():
    with pytest.raises(OptionError, match=r"epoch is no option of source 'letters' or of trainer 'cbow'. Did you mean"):
        embedkit.train(Letters, epoch=3)


def test_a_source_without_input_or_sample_says_what_it_needs():
    with pytest.raises(SourceError, match="source 'needy' has no sample of its own: say what to read with --input"):
        embedkit.read(Needy)


def test_a_sample_stands_for_input_and_is_noted():
    assert make_plan("text", None, {}).on_sample
    assert not make_plan("text", None, {"input": "some.txt"}).on_sample


def test_a_source_can_be_made_to_build_upon():
    made = embedkit.make_source("sessions", input="a.csv", min_interactions="2")
    assert (made.name, made.options.input, made.options.min_interactions) == ("sessions", "a.csv", 2)
    with pytest.raises(OptionError, match="Did you mean 'min_interactions'"):
        embedkit.make_source("sessions", min_interaction=2)
    with pytest.raises(embedkit.UnknownNameError, match="Did you mean 'sessions'"):
        embedkit.make_source("session")


def test_a_trainer_class_needs_no_registration(tmp_path):
    class Ones(embedkit.Trainer):
        """All alike."""

        name = "ones"

        def train(self, corpus, options, run):
            return embedkit.Embeddings.from_corpus(corpus, np.ones((len(corpus.tokens), 2), np.float32))

    corpus = embedkit.Corpus.from_sentences([["a", "b"]])
    assert embedkit.train(corpus, Ones)["a"].tolist() == [1, 1]
    assert embedkit.train("text", Ones).config["trainer"] == "ones"
