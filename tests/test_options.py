"""An Options dataclass becomes checked values and a description of its flags."""

import math
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import OptionError
from embedkit.options import build, describe, option


@dataclass(frozen=True)
class Options:
    vector_size: int = option(100, "Numbers in a vector.", minimum=1)
    window: int | Literal["sentence"] = option(5, "Contexts on each side.", minimum=1)
    alpha: float = option(0.025, above=0, maximum=1)
    shuffle: bool = False
    layout: Literal["table", "lines"] = "table"
    columns: tuple[str, ...] = ()
    title: str | None = None
    input: object = ()
    sizes: list[int] = field(default_factory=lambda: [1, 2])
    folder: Path = Path("here")
    rounds: int = option(5, minimum=1, maximum=1_000_000)


SPECS = {spec.name: spec for spec in describe(Options)}


def problem(name, value):
    with pytest.raises(OptionError) as caught:
        SPECS[name].check(value)
    assert caught.value.option == name
    return str(caught.value)


def test_describe_keeps_the_order_and_takes_annotations_apart():
    assert list(SPECS) == list(Options.__dataclass_fields__)
    assert (SPECS["window"].kinds, SPECS["window"].choices) == ((int,), ("sentence",))
    assert (SPECS["layout"].kinds, SPECS["layout"].choices) == ((), ("table", "lines"))
    assert SPECS["columns"].multiple
    assert SPECS["title"].optional
    assert SPECS["input"].kinds == (object,)
    assert SPECS["sizes"].default == [1, 2]
    assert SPECS["folder"].kinds == (str,)
    assert SPECS["vector_size"].flag == "--vector-size"
    assert SPECS["vector_size"].help == "Numbers in a vector."


@pytest.mark.parametrize(
    ("name", "value", "checked"),
    [
        ("vector_size", "8", 8),
        ("vector_size", np.int64(8), 8),
        ("window", "sentence", "sentence"),
        ("window", "3", 3),
        ("alpha", "1e-2", 0.01),
        ("alpha", np.float32(0.5), 0.5),
        ("shuffle", "yes", True),
        ("shuffle", "Off", False),
        ("shuffle", np.True_, True),
        ("columns", "one", ("one",)),
        ("columns", ["one", "two"], ("one", "two")),
        ("columns", Path("a.csv"), ("a.csv",)),
        ("title", None, None),
        ("title", "x", "x"),
        ("sizes", ("3", 4), (3, 4)),
        ("folder", Path("there"), "there"),
    ],
)
def test_values_become_the_type_of_their_option(name, value, checked):
    result = SPECS[name].check(value)
    assert result == checked
    assert type(result) is type(checked)


def test_an_object_is_handed_on_as_it_is():
    anything = object()
    assert SPECS["input"].check(anything) is anything


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("vector_size", 0, "must be a whole number of at least 1; got 0."),
        ("vector_size", "ten", "must be a whole number of at least 1; got 'ten'."),
        ("vector_size", 1.5, "got 1.5"),
        ("vector_size", True, "got True"),
        ("vector_size", None, "got None"),
        ("window", "sentense", "or 'sentence'; got 'sentense'. Did you mean 'sentence'?"),
        ("alpha", 0, "must be a number above 0 and of at most 1; got 0."),
        ("alpha", 1.5, "got 1.5"),
        pytest.param("rounds", 10**400, "of at most 1,000,000", id="a whole number beyond all floats"),
        pytest.param("alpha", -(10**400), "must be a number", id="a number beyond all floats"),
        ("alpha", math.nan, "got nan"),
        ("alpha", "nan", "got 'nan'"),
        ("alpha", math.inf, "got inf"),
        ("shuffle", "maybe", "must be true or false; got 'maybe'."),
        ("shuffle", 1, "got 1"),
        ("layout", "tabel", "must be one of 'table', 'lines'; got 'tabel'. Did you mean 'table'?"),
        ("title", 3, "must be text; got 3."),
        ("sizes", ["1", "x"], "got 'x'"),
        ("rounds", 0, "must be a whole number of at least 1 and of at most 1,000,000; got 0."),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_would(name, value, words):
    message = problem(name, value)
    assert words in message
    assert "\n" not in message


@given(st.integers())
def test_every_whole_number_within_bounds_is_taken_and_no_other(number):
    if number >= 1:
        assert SPECS["vector_size"].check(str(number)) == number
    else:
        problem("vector_size", str(number))


@given(st.floats())
def test_every_number_within_bounds_is_taken_and_no_other(number):
    if 0 < number <= 1:
        assert SPECS["alpha"].check(repr(number)) == number
    else:
        problem("alpha", repr(number))


def test_bounds_that_are_exclusive():
    @dataclass
    class Bounded:
        share: float = option(0.5, above=0, below=1)

    (spec,) = describe(Bounded)
    assert spec.check(0.999) == 0.999
    for value in (0, 1):
        with pytest.raises(OptionError, match="above 0 and below 1"):
            spec.check(value)


def test_build_fills_in_defaults_and_checks_what_is_given():
    options = build(Options, {"vector_size": "16", "window": "sentence"})
    assert (options.vector_size, options.window, options.alpha) == (16, "sentence", 0.025)


def test_build_refuses_an_unknown_name_with_the_nearest():
    with pytest.raises(OptionError, match=r"vektor_size is no option here\. Did you mean 'vector_size'") as caught:
        build(Options, {"vektor_size": 3})
    assert caught.value.option == "vektor_size"


def test_build_lists_the_options_where_no_name_is_near():
    @dataclass
    class Small:
        depth: int = 1

    with pytest.raises(OptionError, match="It has: depth"):
        build(Small, {"xyz": 1})


def test_a_required_option_must_be_given():
    @dataclass
    class Required:
        path: str = option(help="A file.")

    (spec,) = describe(Required)
    assert spec.required
    assert spec.default is MISSING
    with pytest.raises(OptionError, match="path is missing: give text"):
        build(Required, {})
    assert build(Required, {"path": "x"}).path == "x"


def test_what_is_no_dataclass_or_no_type_of_option_is_refused():
    @dataclass
    class Odd:
        when: complex = 1j

    with pytest.raises(TypeError, match="no dataclass"):
        describe(int)
    with pytest.raises(TypeError, match="no type of option"):
        describe(Odd)


def test_any_takes_anything():
    @dataclass
    class Anything:
        thing: Any = None

    (spec,) = describe(Anything)
    assert spec.check([1]) == [1]
    assert spec.check(None) is None


def test_a_secret_is_not_shown():
    @dataclass(frozen=True)
    class Access:
        word: str = option("x", secret=True)

    assert "geheim" not in repr(build(Access, {"word": "geheim"}))
    with pytest.raises(OptionError, match="must be text; got something else") as caught:
        build(Access, {"word": 123456})
    assert "123456" not in str(caught.value)
