"""What `als`, `spectral` and `doc2vec` see to before they grow a model: that nothing is forgotten, nothing a lie."""

import json

import numpy as np
import pytest

import embedkit
from embedkit import Corpus, Embeddings, EmbedkitError, Sentence
from embedkit.errors import ModelError

TRAINERS = {"als": {"vector_size": 3, "epochs": 2}, "spectral": {"vector_size": 3, "matrix": "key-token"}}


def people(first, last, n=6):
    return [Sentence([f"i{(p * p + i * i) % 11}" for i in range(n)], key=f"p{p}") for p in range(first, last)]


@pytest.fixture(scope="module")
def keyed():
    """Interactions of which a token repeats in a history, and a key comes twice."""
    return [*people(0, 20), *people(3, 9, 3)]


@pytest.fixture(scope="module")
def models(keyed):
    corpus = Corpus.from_sentences(keyed)
    options = {**TRAINERS, "doc2vec": {"vector_size": 3, "epochs": 2}}
    return {name: embedkit.train(corpus, name, workers=1, **given) for name, given in options.items()}


@pytest.fixture(scope="module")
def day():
    return Corpus.from_sentences(people(18, 22, 2))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_model_that_learned_from_sentences_of_nobody_is_not_made_to_forget_them(trainer, keyed, day):
    corpus = Corpus.from_sentences([*keyed, ["a", "b", "i1"], ["a", "b"]])
    model = embedkit.train(corpus, trainer, **TRAINERS[trainer])
    with pytest.raises(EmbedkitError, match=r"keeps all but 5: those of sentences without a key.*Train anew") as error:
        embedkit.update(model, day)
    assert "\n" not in str(error.value)


def test_that_early_stopping_adds_to_histories_hides_no_sentence_of_nobody(day):
    corpus = Corpus.from_sentences([*people(0, 60), ["a", "b"]])
    stopping = embedkit.EarlyStopping("ndcg@3", retrain=False)
    model = embedkit.train(corpus, "als", **TRAINERS["als"], early_stopping=stopping)
    assert len(model.histories.indices) >= model.counts.sum()
    with pytest.raises(EmbedkitError, match="keeps all but 2: those of sentences without a key"):
        embedkit.update(model, day)


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("new", [[["i1", "z"]], [Sentence(["i1", "z"], key="p1"), Sentence(["i2", "z"])]])
def test_new_sentences_of_nobody_are_refused_as_the_next_update_would_forget_them(trainer, new, models):
    with pytest.raises(EmbedkitError, match="give each a key, leave them out, or train anew"):
        embedkit.update(models[trainer], Corpus.from_sentences(new))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_models_that_remember_all_grow_again_and_again(trainer, models, day):
    once = embedkit.update(models[trainer], day)
    twice = embedkit.update(once, Corpus.from_sentences(people(20, 25, 3)))
    assert twice.config["grown"]["times"] == 2


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize(
    ("source", "name", "options"),
    [
        ("sessions", "table.csv", {"min_count": 3}),
        ("sessions", "lines.txt", {"layout": "lines", "key": "first"}),
        ("text", "lines.txt", {"key": "line", "min_count": 2}),
    ],
)
def test_models_of_tables_lines_and_numbered_lines_of_text_grow(source, name, options, trainer, tmp_path):
    rows = [(person, f"i{(p * i) % 5}") for p, person in enumerate("abcdef") for i in (1, 2, 3, 1)]
    (tmp_path / "table.csv").write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in rows))
    (tmp_path / "lines.txt").write_text("".join(f"{user} {item} {item}\n" for user, item in rows))
    given = {"input": str(tmp_path / name), **options}
    model = embedkit.train(source, trainer, **TRAINERS[trainer], **given)
    assert "grown" in embedkit.update(model, source, again=True, **given).config


@pytest.mark.parametrize("trainer", TRAINERS)
def test_models_that_were_trained_in_partitions_grow(trainer, tmp_path, day):
    sessions = "".join(f"{s.key} {' '.join(s.tokens)}\n" for s in people(0, 30))
    (tmp_path / "lines.txt").write_text(sessions)
    given = {"input": str(tmp_path / "lines.txt"), "layout": "lines", "key": "first", "min_count": 2}
    with embedkit.make_engine("local", partitions=3) as engine:
        model = embedkit.train("sessions", trainer, engine=engine, **TRAINERS[trainer], **given)
    assert "grown" in embedkit.update(model, day).config


def test_models_that_stopped_early_or_were_extended_grow(models, day):
    stopping = embedkit.EarlyStopping("ndcg@3", retrain=False)
    early = embedkit.train(Corpus.from_sentences(people(0, 60)), "als", **TRAINERS["als"], early_stopping=stopping)
    assert len(early.histories.indices) > early.counts.sum()
    content = Embeddings([*models["als"].tokens, "cold"], np.random.default_rng(0).normal(size=(12, 3)))
    for model in (early, embedkit.extend(models["als"], content, length="predicted")):
        assert "grown" in embedkit.update(model, day).config


def changed(model, **config):
    """Return the model with another config, as it would be read from a file."""
    return model.with_config(**json.loads(json.dumps(config)))


@pytest.mark.parametrize("chosen", [None, 5, "x", [1]])
def test_choices_that_are_no_table_are_refused(chosen, models, day):
    with pytest.raises(ModelError, match="config is damaged: chosen must be a table of options"):
        embedkit.update(changed(models["spectral"], chosen=chosen), day)


@pytest.mark.parametrize("name", ["prior", "trend", "leverage_discount", "recency_exponent", "shrinkage"])
@pytest.mark.parametrize("value", ["x", [1], {}, True, 1e300, float("nan"), 10**400])
def test_choices_that_no_option_takes_are_refused(name, value, models, day):
    model = changed(models["spectral"], chosen={**models["spectral"].config["chosen"], name: value})
    with pytest.raises(ModelError, match=r"config is damaged: chosen.*Copy the model again, or train anew"):
        embedkit.update(model, day)


@pytest.mark.parametrize("value", [None, "x", [], -1, 2.5, True, float("inf"), 10**400])
def test_when_they_were_chosen_is_a_number_of_occurrences(value, models, day):
    with pytest.raises(ModelError, match="config is damaged: chosen_at must be a whole number from 0 to the model's 1"):
        embedkit.update(changed(models["spectral"], chosen_at=value), day)


@pytest.mark.parametrize("fold_in", [None, 5, "x", [1, 2], [["a", 1]]])
def test_a_way_to_infer_documents_that_is_no_table_is_refused(fold_in, models, day):
    with pytest.raises(ModelError, match="config is damaged: fold_in must be a table of options"):
        embedkit.update(changed(models["doc2vec"], fold_in=fold_in), day)


@pytest.mark.parametrize(("name", "value"), [("epochs", None), ("architecture", "x"), ("negative", -1), ("alpha", [])])
def test_a_way_to_infer_documents_that_no_option_takes_is_refused(name, value, models, day):
    told = models["doc2vec"].config["fold_in"]
    with pytest.raises(ModelError, match=rf"config is damaged: fold_in\.{name} must be"):
        embedkit.update(changed(models["doc2vec"], fold_in={**told, name: value}), day)
    less = {key: value for key, value in told.items() if key != name}
    with pytest.raises(EmbedkitError, match="does not tell how it infers vectors of documents; train anew"):
        embedkit.update(changed(models["doc2vec"], fold_in=less), day)


def test_lies_are_found_before_anything_is_read(models):
    for trainer, config in (("spectral", {"chosen_at": "x"}), ("doc2vec", {"fold_in": 5})):
        with pytest.raises(ModelError, match="config is damaged"):
            embedkit.update(changed(models[trainer], **config), "sessions", input="nowhere.csv")
