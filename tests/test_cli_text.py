"""Text on a terminal: widths, control characters, shortening; tables that fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.cli.rankings import Ranking, Reason
from embedkit.cli.table import fit, listing, ranking_lines, wrapped
from embedkit.cli.text import pad, shorten, visible, width


def test_a_hangul_syllable_takes_two_columns():
    assert width("고양이") == 6
    assert width("cat") == 3
    assert width("e\u0301") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("고양이", "고양이"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("two\nlines\ttab", "two\\nlines\\ttab"),
        ("evil\u202egnp.exe", "evil\\u202egnp.exe"),
        ("c1 \x9b31m", "c1 \\x9b31m"),
        ("lone \udcff", "lone \\udcff"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_what_steers_a_terminal_is_made_visible(text, shown):
    assert visible(text) == shown


@given(st.text())
def test_visible_text_has_no_control_characters_and_is_stable(text):
    shown = visible(text)
    assert not any(c in "\n\r\t\x1b\x07\x00" for c in shown)
    assert visible(shown) == shown


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))), st.integers(1, 40))
def test_shortened_text_fits(text, columns):
    assert width(shorten(text, columns)) <= columns
    if width(text) <= columns:
        assert shorten(text, columns) == text


def test_padding_counts_columns():
    assert pad("고양", 6) == "고양  "
    assert pad("고양", 6, right=True) == "  고양"


@given(st.lists(st.integers(0, 300), min_size=1, max_size=4), st.integers(70, 200))
def test_columns_are_narrowed_until_they_fit(widths, room):
    narrowed = fit(widths, room)
    assert sum(narrowed) + 2 * (len(widths) - 1) <= room
    assert all(new <= old for new, old in zip(narrowed, widths, strict=True))
    if sum(widths) + 2 * (len(widths) - 1) <= room:
        assert narrowed == widths


def test_a_ranking_is_aligned_and_fits_eighty_columns():
    ranking = Ranking(
        "user42",
        ["tt0000001", "나무위키 문서", "x" * 200],
        [12.3456, 3.2, -0.004],
        ["The Long Name of a Film " * 9, "", "고양이를 부탁해 " * 20],
    )
    lines = ranking_lines(ranking, 80)
    assert all(width(line) == 80 for line in lines)
    assert lines[0].startswith("user42 ")
    assert lines[0].endswith(" score")
    assert [line.split()[-1] for line in lines[1:]] == ["12.35", "3.20", "-0.00"]


def test_short_rankings_stay_narrow():
    lines = ranking_lines(Ranking("cat", ["dog", "고양이"], [0.5, 0.25], measure="cosine"), 80)
    assert lines == ["cat          cosine", "  1  dog       0.50", "  2  고양이    0.25"]


def test_labels_are_escaped_and_an_empty_ranking_says_so():
    lines = ranking_lines(Ranking("q\x1b[2J", ["a\nb"], [1.0], ["\x1b]0;title\x07"]), 80)
    assert len(lines) == 2
    assert "\x1b" not in "".join(lines)
    assert "(nothing)" in "\n".join(ranking_lines(Ranking("q", [], []), 80))


def test_reasons_stand_below_their_result():
    ranking = Ranking("q", ["a"], [1.0], because=[[Reason("b", "Bee", 0.75), Reason("c", "", 0.25)]])
    assert ranking_lines(ranking, 80)[2].strip() == "because of Bee 0.75, c 0.25"
    assert ranking_lines(ranking, 30)[2:] == ["       because of Bee 0.75,", "       c 0.25"]


def test_a_listing_is_aligned_and_cut():
    assert listing([("name", "of"), ("고양이", "cat")]) == ["name    of", "고양이  cat"]
    assert listing([("a", "b" * 30)], 10) == ["a  bbbbbb…"]


def test_the_last_column_of_a_list_is_broken_into_lines_that_fit():
    assert wrapped([("name", "is"), ("cat", "a small animal that purrs"), ("x", "")], 20) == [
        "name  is",
        "cat   a small animal",
        "      that purrs",
        "x",
    ]
