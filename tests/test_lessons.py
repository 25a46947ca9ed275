"""The lessons run as they stand and print the facts that they teach."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each is a process of its own

LESSONS = Path(__file__).parent.parent / "examples" / "lessons"


def lines_of(name):
    done = subprocess.run([sys.executable, LESSONS / f"{name}.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_one_hot_rows_are_equally_far_apart_and_pick_rows():
    lines = lines_of("lesson1_one_hot")
    assert lines[0] == "     i: [1 0 0 0 0]"
    assert lines[5:] == [
        "distances between any two: {1.414214}",
        "(10, 5) times (5, 3) gives (10, 3)",
        "the product is the look-up: True",
    ]


def test_the_cat_has_18_pairs_and_an_epoch_1_5_or_18_updates():
    lines = lines_of("lesson2_pairs_and_updates")
    assert lines[0] == " the -> cat, sits, sits, on, mat"
    assert lines[5:] == [
        "18 pairs",
        "batch size all:  1 updates an epoch",
        "batch size   4:  5 updates an epoch",
        "batch size   1: 18 updates an epoch",
    ]


def test_four_words_begin_at_ln_4_and_end_at_what_cannot_be_known():
    lines = lines_of("lesson3_cross_entropy")
    assert lines[0] == "untrained: 1.386 = ln 4 = 1.386"
    assert lines[1].split() == ["trained:", "0.462"]
    assert lines[2].startswith("the least: 0.462")
    assert lines[5] == "  b: a 0.50 b 0.00 c 0.50 d 0.00"


def test_cbow_averages_and_the_losses_agree():
    *predictions, by_hand, by_embedkit = lines_of("lesson4_cbow")
    assert len(predictions) == 6
    for line in predictions:
        predicted, word = re.search(r"-> (\w+) .*, it was (\w+)$", line).groups()
        assert predicted == word
    assert by_hand.split()[-1] == by_embedkit.split()[-1]


def test_a_batchs_gradient_is_the_mean_of_its_gradients():
    lines = lines_of("lesson5_gradient")
    assert lines[0] == "18 gradients of 40 numbers each"
    assert lines[1].startswith("the update is alpha times their mean: True")


def test_king_minus_man_plus_woman_is_queen():
    lines = lines_of("lesson6_analogy")
    assert lines[1].split()[1] == "queen"
    assert lines[-1] == "king - man + woman = queen"


def test_a_score_is_user_times_item():
    lines = lines_of("lesson7_recommendation")
    assert lines[0] == "400 users, 300 items"
    assert lines[1] == "a user is the mean of 18 items: True"
    for line in lines[2:7]:
        score, own = re.match(r"  (\S+)  = user · item = (\S+) ", line).groups()
        assert score == own
    assert lines[-1] == "the five best by hand: True"


def test_every_lesson_is_short_and_told_of():
    readme = (LESSONS / "README.md").read_text(encoding="utf-8")
    lessons = sorted(LESSONS.glob("lesson*.py"))
    assert len(lessons) == 7
    for path in lessons:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
        assert f"]({path.name})" in readme
