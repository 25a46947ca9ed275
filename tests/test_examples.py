"""The examples run as they stand and print sensible things."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, *arguments):
    done = subprocess.run([sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_words_finds_the_queen():
    out = run("words.py")
    assert "similar to king:" in out
    assert "man is to king as woman is to queen" in out


def test_words_reads_a_text_of_ones_own(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one fish two fish red fish blue fish\n" * 20)
    assert run("words.py", str(path)).startswith("5 words\nsimilar to fish:")


def test_clicks_recommends_and_explains():
    lines = run("clicks.py").splitlines()
    assert lines[0] == "400 users, 300 items; for user42:"
    assert len(lines) == 1 + 5 + 1 + 3


def test_own_source_puts_kitchens_together():
    near = dict(line.split(": ") for line in run("own_source.py").splitlines())
    assert set(near["kimchi"].split(", ")) <= {"gochujang", "rice", "sesame oil", "scallion", "tofu"}
    assert set(near["basil"].split(", ")) <= {"tomato", "mozzarella", "pasta", "olive oil", "oregano"}
