"""The scikit-learn estimator: its contract by scikit-learn's own checks, a pipeline, what it is given."""

import numpy as np
import pandas as pd
import pytest
from conftest import needs

needs("sklearn")

from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from embedkit.errors import EmbedkitError
from embedkit.sklearn import SentenceVectorizer

FOOD, TRAVEL = ["bread", "soup", "salt", "rice", "pear"], ["train", "port", "map", "road", "hotel"]
SMALL = {"vector_size": 8, "options": {"epochs": 5}}


def sentences(n=60, seed=1):
    rng = np.random.default_rng(seed)
    return [list(rng.choice(FOOD if i % 2 else TRAVEL, 4)) for i in range(n)], np.arange(n) % 2


# A sentence is anything but text, and every check that scikit-learn has for transformers applies and passes: its tables
# of numbers are sentences of the numbers' names. It leaves out the array API's by itself, which strings have none of.
@parametrize_with_checks([SentenceVectorizer(vector_size=4, options={"epochs": 1})])
def test_keeps_to_scikit_learns_contract(estimator, check):
    check(estimator)


def test_serves_a_pipeline():
    lists, subjects = sentences()
    pipeline = make_pipeline(SentenceVectorizer(**SMALL), LogisticRegression())
    assert cross_val_score(pipeline, lists, subjects, cv=3).min() > 0.9


def test_a_sentence_becomes_the_mean_of_its_tokens():
    lists, _ = sentences()
    fitted = SentenceVectorizer(**SMALL).fit(lists)
    emb = fitted.embeddings_
    made = fitted.transform([["bread", "soup"], ["never met"], [], ["bread", "never met"]])
    assert made.dtype == np.float32
    np.testing.assert_allclose(made[0], (emb["bread"] + emb["soup"]) / 2, rtol=1e-5)
    assert not made[1:3].any()
    np.testing.assert_allclose(made[3], emb["bread"], rtol=1e-5)
    assert list(fitted.get_feature_names_out()[:2]) == ["sentencevectorizer0", "sentencevectorizer1"]


def test_other_trainers_and_clones():
    lists, _ = sentences()
    estimator = SentenceVectorizer("spectral", vector_size=4)
    fitted = clone(estimator).fit(lists)
    assert fitted.embeddings_.config["trainer"] == "spectral"
    assert fitted.transform(lists).shape == (60, 4)
    assert not hasattr(estimator, "embeddings_")


def test_rows_of_a_table_are_sentences():
    table = pd.DataFrame({"colour": ["red", "blue", "red", None], "shape": ["ring", "cube", "ring", "cube"]})
    fitted = SentenceVectorizer(vector_size=4, options={"epochs": 1}).fit(table)
    assert set(fitted.embeddings_.tokens) == {"red", "blue", "ring", "cube"}
    np.testing.assert_allclose(fitted.transform(table)[3], fitted.embeddings_["cube"])
    assert list(fitted.feature_names_in_) == ["colour", "shape"]


def test_a_missing_value_is_no_token():
    lists = [["red", None], ["red", float("nan")], ["blue", pd.NA], ["blue", "red"]]
    fitted = SentenceVectorizer(vector_size=4, options={"epochs": 1}).fit(lists)
    assert set(fitted.embeddings_.tokens) == {"red", "blue"}


def test_a_column_of_lists_is_sentences():
    lists, _ = sentences()
    column = pd.DataFrame({"basket": lists})["basket"]
    same = [SentenceVectorizer(**SMALL).fit(given).transform(lists) for given in (lists, column)]
    np.testing.assert_array_equal(*same)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("one text", "list of lists"),
        (["one text"], "split it first"),
        ([b"one text"], "split it first"),
        ([[]], "hold no token"),
        (7, "list of lists"),
    ],
)
def test_what_is_no_sentence_is_refused_in_one_line(given, told):
    with pytest.raises((EmbedkitError, ValueError), match=told) as error:
        SentenceVectorizer(**SMALL).fit(given)
    assert "\n" not in str(error.value)
