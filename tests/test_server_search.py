"""Search as you type, beside a plain search through all names."""

import unicodedata

import numpy as np
import pytest
from conftest import needs
from hypothesis import given
from hypothesis import strategies as st

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

from embedkit.names import Names
from embedkit.server.search import NameSearch, fold

LETTERS = st.text(st.sampled_from("abAB ßéÉ\u0301한글\u1112\u1161\u11ab\x00\n"), max_size=6)


def plain(names, labels, counts, text, limit):
    """Look through all names, frequent ones first, for what begins with a text and then for what holds it."""
    order = range(len(names)) if counts is None else np.argsort(-np.asarray(counts), kind="stable").tolist()
    texts = [[fold(name)] + ([] if labels is None else [fold(labels[i])]) for i, name in enumerate(names)]
    wanted = fold(text)
    starts = [i for i in order if any(t.startswith(wanted) for t in texts[i])]
    inner = [i for i in order if i not in starts and any(wanted in t for t in texts[i])]
    return (starts + inner)[:limit]


@given(
    st.lists(st.tuples(LETTERS, LETTERS, st.integers(0, 3)), min_size=1, max_size=12),
    LETTERS,
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
)
def test_the_same_is_found_as_by_looking_through_all(rows, text, limit, labelled, counted):
    names, labels, counts = zip(*rows, strict=True)
    labels = labels if labelled else None
    counts = np.array(counts) if counted else None
    search = NameSearch(Names.from_strings(names), None if labels is None else Names.from_strings(labels), counts)
    assert search.find(text, limit) == plain(names, labels, counts, text, limit)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("STRASSE", "Straße"),
        ("한글", unicodedata.normalize("NFD", "한글 이름")),
        ("é", "E\u0301tude"),
        ("İ", "i\u0307stanbul"),
    ],
)
def test_case_and_normal_form_make_no_difference(text, name):
    assert NameSearch(Names.from_strings(["other", name])).find(text, 3) == [1]


def test_a_text_that_is_no_unicode_finds_nothing():
    assert NameSearch(Names.from_strings(["a", "b"])).find("\ud800", 3) == []


def test_no_names_give_no_results():
    search = NameSearch(Names.from_strings([]))
    assert search.find("", 3) == search.find("a", 3) == []
