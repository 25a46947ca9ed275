import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import EmbedkitError
from embedkit.names import Names

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=30)
WORDS = ["king", "queen", "", "café", "cafe\u0301", "한국어", "a\0b", "new\nline", "🦊", "kings"]


@given(strings=texts)
def test_names_are_the_strings_they_were_made_of(strings):
    names = Names.from_strings(strings)
    assert list(names) == strings == names[:] == [names[i] for i in range(len(names))]
    assert names[::-2] == strings[::-2]
    assert Names.from_arrow(pa.array(strings, pa.string())) == names
    assert names.to_arrow().to_pylist() == strings


@given(strings=texts, sought=texts)
def test_find_agrees_with_a_dict(strings, sought):
    distinct = list(dict.fromkeys(strings))
    names = Names.from_strings(distinct)
    table = {name: i for i, name in enumerate(distinct)}
    asked = distinct + sought
    expected = [table.get(name, -1) for name in asked]
    assert [names.find(name) for name in asked] == expected
    assert names.find_all(asked).tolist() == expected
    assert [name in names for name in asked] == [name in table for name in asked]


@given(strings=texts)
def test_order_sorts_by_bytes_and_duplicates_are_found(strings):
    names = Names.from_strings(strings)
    assert names[names.order] == sorted(strings, key=str.encode)
    assert names.order.dtype == np.int32
    twice = names.first_duplicate()
    assert (twice is None) == (len(set(strings)) == len(strings))
    assert twice is None or strings.count(twice) > 1


def test_find_all_of_many():
    names = Names.from_strings([str(i) for i in range(1000)])
    asked = [str(i) for i in range(500, 1500)]
    assert names.find_all(asked).tolist() == [*range(500, 1000), *[-1] * 500]
    assert names.find_all([]).dtype == np.int64


def test_slices_of_arrow_arrays():
    array = pa.array(["a", "bb", "ccc", "dddd"]).cast(pa.large_string())[1:3]
    assert list(Names.from_arrow(array)) == ["bb", "ccc"]
    assert len(Names.from_arrow(array[:0])) == 0


def test_positions():
    names = Names.from_strings(WORDS)
    assert names[-1] == "kings"
    assert names[np.array([8, 0, 0])] == ["🦊", "king", "king"]
    assert names[[]] == []
    many = np.random.default_rng(0).integers(0, len(WORDS), 5000)
    assert names[many] == [WORDS[i] for i in many]
    with pytest.raises(IndexError, match="position 10 of 10 names"):
        names[10]
    assert list(names.take(np.array([5, 2]))) == ["한국어", ""]


def test_nfc_and_nfd_are_two_names_and_near():
    names = Names.from_strings(WORDS)
    assert names.find("café") != names.find("cafe\u0301")
    assert names.nearest("cafe")[0] in ("café", "cafe\u0301")


def test_neighbours():
    names = Names.from_strings(WORDS)
    assert names.starting_with("king") == ["king", "kings"]
    assert names.starting_with("king", limit=1) == ["king"]
    assert names.starting_with("zebra") == []
    assert names.nearest("quen") == ["queen"]
    assert names.nearest("zzzzzz") == []
    assert Names.from_strings([]).nearest("a") == []
    assert Names.from_strings(["ring", "king", "swing"]).nearest("King")[0] == "king"
    assert Names.from_strings(["nato", "NATO"]).nearest("Nato") == ["nato", "NATO"]


def test_nearest_finds_rare_names_beside_it_in_order():
    names = Names.from_strings([f"x{i:06}" for i in range(20_000)] + ["zebrafish"])
    assert names.nearest("zebrafisch") == ["zebrafish"]


def test_what_is_no_text():
    with pytest.raises(EmbedkitError, match="names must be strings"):
        Names.from_strings(["a", 7])
    with pytest.raises(EmbedkitError, match="no valid Unicode"):
        Names.from_strings(["a", "\ud800"])
    names = Names.from_strings(["a", "b"])
    assert names.find("\ud800") == -1
    assert 7 not in names


def test_names_compare_and_show_themselves():
    names = Names.from_strings(WORDS)
    assert names == Names.from_strings(WORDS)
    assert names != Names.from_strings(WORDS[:-1])
    assert names != WORDS
    assert repr(Names.from_strings("abcdef")) == "Names(6: 'a', 'b', 'c', 'd', 'e', ...)"
