"""Flags made of options: how they are declared, shown, repeated and found."""

from dataclasses import dataclass
from typing import Literal

import click
import pytest

from embedkit.cli.flags import SpecFlag, given_values, look_ahead, metavar, repeat_flags
from embedkit.options import describe, option


@dataclass(frozen=True)
class Options:
    path: str = option(help="A file.")
    input: object = ()
    vector_size: int = option(100, "Numbers in a vector.", minimum=1)
    window: int | Literal["sentence"] = option("sentence", minimum=1)
    layout: Literal["table", "lines"] = "table"
    alpha: float = option(0.025, above=0, below=1)
    lowercase: bool = True
    header: bool | None = None
    columns: tuple[str, ...] = ("a", "b")
    delimiter: str | None = option(None, metavar="CHARACTER")
    tab: str = "\t"


FLAGS = {spec.name: SpecFlag(spec) for spec in describe(Options)}


def shown(name):
    return FLAGS[name].get_help_record(click.Context(click.Command("x")))


@pytest.mark.parametrize(
    ("name", "flag", "note"),
    [
        ("input", "--input VALUE...", ""),
        ("vector_size", "--vector-size INT", "Numbers in a vector. [default: 100; at least 1]"),
        ("window", "--window INT|sentence", "[default: sentence; at least 1]"),
        ("layout", "--layout [table|lines]", "[default: table]"),
        ("alpha", "--alpha NUMBER", "[default: 0.025; above 0; below 1]"),
        ("lowercase", "--lowercase / --no-lowercase", "[default: lowercase]"),
        ("header", "--header / --no-header", ""),
        ("columns", "--columns TEXT...", "[default: a b]"),
        ("delimiter", "--delimiter CHARACTER", ""),
        ("tab", "--tab TEXT", "[default: '\\t']"),
        ("path", "--path TEXT", "A file. [required]"),
    ],
)
def test_a_flag_is_shown_with_its_type_choices_and_default(name, flag, note):
    assert shown(name) == (flag, note)


def test_a_switch_beside_words_takes_a_value():
    @dataclass
    class Mixed:
        times: bool | Literal["auto"] = "auto"

    (spec,) = describe(Mixed)
    assert metavar(spec) == "true|false|auto"
    assert not SpecFlag(spec).is_flag


def test_only_what_was_given_is_handed_on():
    command = click.Command("x", params=list(FLAGS.values()))
    context = command.make_context("x", ["--no-lowercase", "--columns", "x", "--alpha", "-0.5", "--vector-size", "abc"])
    assert given_values(FLAGS.values(), context.params) == {
        "lowercase": False,
        "columns": ("x",),
        "alpha": "-0.5",
        "vector_size": "abc",
    }


@pytest.mark.parametrize(
    ("args", "value"),
    [
        (["--source", "text"], "text"),
        (["--source=text"], "text"),
        (["--epochs", "3", "--source", "a", "--source", "b"], "b"),
        (["--source"], None),
        (["--", "--source", "text"], None),
        ([], None),
    ],
)
def test_look_ahead_finds_a_value_before_parsing(args, value):
    assert look_ahead(args, "--source") == value


@pytest.mark.parametrize(
    ("args", "repeated"),
    [
        (["--input", "a", "b", "--alpha", "1"], ["--input", "a", "--input", "b", "--alpha", "1"]),
        (["--input=a", "b", "-"], ["--input=a", "--input", "b", "--input", "-"]),
        (["--input", "a", "--input", "b"], ["--input", "a", "--input", "b"]),
        (["--alpha", "1", "2"], ["--alpha", "1", "2"]),
        (["--input", "a", "--alpha", "1", "b"], ["--input", "a", "--alpha", "1", "b"]),
        ([], []),
    ],
)
def test_a_shells_glob_becomes_a_repeated_flag(args, repeated):
    assert repeat_flags(args, FLAGS.values()) == repeated
