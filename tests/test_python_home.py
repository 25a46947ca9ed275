"""Embeddings at home in Python: in a notebook, for NumPy and pandas, and for a type checker."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from embedkit import Embeddings
from embedkit.errors import EmbedkitError, OptionError

VOID = {"br", "hr", "img", "meta", "input"}


class Page(HTMLParser):
    """Collects tags and text, and checks that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def model(n=40, **more):
    rng = np.random.default_rng(1)
    return Embeddings([f"w{i}" for i in range(n)], rng.standard_normal((n, 6), np.float32), **more)


def test_a_notebook_shows_a_table_and_a_map():
    emb = model(counts=np.arange(40)[::-1] * 1000, labels=["Bread & Co", *[""] * 39])
    page = Page(emb._repr_html_())
    assert {"table", "svg", "circle"} <= set(page.tags)
    assert page.tags.count("circle") == 40
    assert "script" not in page.tags
    text = " ".join(page.words)
    for shown in ("Embeddings(40 tokens × 6)", "w7", "39,000", "Bread & Co", "and 32 more"):
        assert shown in text
    svg = emb._repr_html_()[emb._repr_html_().index("<svg") : emb._repr_html_().index("</svg>") + 6]
    drawing = ET.fromstring(svg)
    places = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in drawing.iter("circle")]
    assert all(0 <= x <= 420 and 0 <= y <= 260 for x, y in places)
    assert max(x for x, _ in places) - min(x for x, _ in places) > 200


def test_names_of_strangers_are_escaped_and_short():
    names = ["<script>alert(1)</script>", "a" * 500, "new\nline\x1b[31m", "\u202eabc", "d"]
    emb = Embeddings(names, np.eye(5, 3), labels=["<b>", "", "", "", ""])
    shown = emb._repr_html_()
    page = Page(shown)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "a" * 30 not in shown
    assert not any(mark in shown for mark in "\n\x1b\u202e")


@pytest.mark.parametrize("n", [0, 1, 2])
def test_the_smallest_models_show_themselves(n):
    assert f"{n} tokens" in "".join(Page(model(n)._repr_html_()).words)
    one_number = Embeddings([str(i) for i in range(n)], np.ones((n, 1)))
    assert "tokens" in one_number._repr_html_()


def test_vectors_that_are_not_finite_show_themselves():
    emb = Embeddings(["a", "b", "c"], [[np.nan, 1], [np.inf, 2], [0, 0]])
    assert "nan" in emb._repr_html_()


def test_numpy_takes_embeddings_for_their_vectors():
    emb = model()
    assert np.asarray(emb) is emb.vectors or np.shares_memory(np.asarray(emb), emb.vectors)
    assert np.asarray(emb).dtype == np.float32
    assert np.asarray(emb, np.float64).dtype == np.float64
    copied = np.array(emb)
    assert copied.flags.writeable
    np.testing.assert_array_equal(np.vstack([emb, emb])[:40], emb.vectors)
    with pytest.raises(ValueError, match="copy"):
        np.asarray(emb, np.float64, copy=False)


def test_a_frame_has_a_row_for_each_token():
    emb = model(keys=["u1", "u2"], key_vectors=np.ones((2, 6)))
    frame = emb.to_frame()
    assert frame.shape == (40, 6)
    assert frame.index.name == "token"
    assert list(frame.columns[:2]) == ["v0", "v1"]
    np.testing.assert_array_equal(frame.loc["w3"].to_numpy(), emb["w3"])
    assert emb.to_frame("keys").index.tolist() == ["u1", "u2"]
    frame.iloc[0, 0] = 7  # a table of one's own
    assert emb.vectors[0, 0] != 7
    with pytest.raises(EmbedkitError, match="no context vectors"):
        emb.to_frame("context_vectors")
    with pytest.raises(EmbedkitError, match="no vectors of keys"):
        model().to_frame("keys")
    with pytest.raises(OptionError, match="which must be one of"):
        emb.to_frame("targets")
    assert isinstance(model(0).to_frame(), pd.DataFrame)


SNIPPET = """
import numpy as np
import pandas as pd
from embedkit import Embeddings, load

emb: Embeddings = load("x")
one: list[tuple[str, float]] = emb.recommend("user")
many: pd.DataFrame = emb.recommend(["user1", "user2"])
history: list[tuple[str, float]] = emb.recommend(history=["a"])
alike: list[tuple[str, float]] = emb.most_similar("king")
table: pd.DataFrame = emb.most_similar(["king", "queen"])
near: float = emb.similarity("a", "b")
pairs: np.ndarray = emb.similarity(["a"], ["b"])
array: np.ndarray = np.asarray(emb)
frame: pd.DataFrame = emb.to_frame()
quick: Embeddings = emb.indexed(["dot"]).exact().with_config(a=1)
wrong: pd.DataFrame = emb.recommend("user")
"""


@pytest.mark.slow
def test_a_type_checker_knows_what_one_and_many_are_answered_with(tmp_path):
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--config-file=", str(file)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    wrong_line = SNIPPET.splitlines().index('wrong: pd.DataFrame = emb.recommend("user")') + 1
    of_snippet = [line for line in told.splitlines() if line.startswith("snippet.py") and ": error:" in line]
    assert len(of_snippet) == 1, told
    assert of_snippet[0].startswith(f"snippet.py:{wrong_line}: error: Incompatible types in assignment")
