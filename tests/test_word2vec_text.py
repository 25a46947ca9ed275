"""Vectors as text: read whatever the writer's habits, and refused where they are wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit import ModelError
from embedkit.embeddings import word2vec_text
from embedkit.embeddings.word2vec_text import read_vec


@pytest.fixture(params=[1, 2, 1 << 14], ids="blocks of {}".format, autouse=True, scope="module")
def lines_at_once(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word2vec_text, "_LINES", request.param)
        yield


def read(tmp_path, text):
    tokens, vectors = read_vec_of(tmp_path, text)
    return list(tokens), vectors.tolist()


def read_vec_of(tmp_path, text):
    path = tmp_path / "vectors.vec"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_vec(path)


@settings(deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_number_is_read_as_python_reads_it(tmp_path_factory, number):
    path = tmp_path_factory.mktemp("numbers") / "a.vec"
    forms = [f"{number!r}", f"{number:.5g}", f"{number:.17e}", f"{number:+f}", f"{number:.0f}."]
    path.write_text(f"1 {len(forms)}\na {' '.join(forms)}\n")
    expected = np.array([float(form) for form in forms])
    np.testing.assert_allclose(read_vec(path)[1][0], expected, rtol=1e-7, atol=1e-45)


@pytest.mark.parametrize(
    "text",
    [
        "2 3\na 1 2 3\nb 4 5 6\n",
        "2 3\na 1 2 3 \nb 4 5 6 \n",
        "2 3\r\na 1 2 3\r\nb 4 5 6\r\n",
        "2 3\na 1 2 3\nb 4 5 6",
        "2 3\na\t1\t2\t3\nb\t4\t5\t6\n\n",
        "a 1 2 3\nb 4 5 6\n",
        "a 1e0 +2 3.\nb 0.4E1 50e-1 600000e-5",
        "2 3\na  1   2 \t3\nb 4  5 6\n",
        "a   1 2  3\nb\t\t4 5 6",
        "a 1 2 3\nb 4 5 6\n\n",
        "a 1 2 3\r\nb 4 5 6\r\n\r\n \n",
    ],
    ids=[
        "plain",
        "fastText's blank",
        "Windows",
        "no last newline",
        "tabs",
        "GloVe",
        "exponents",
        "runs of blanks",
        "GloVe with runs of blanks",
        "GloVe with a blank last line",
        "GloVe from Windows with blank last lines",
    ],
)
def test_the_habits_of_writers_are_understood(tmp_path, text):
    assert read(tmp_path, text) == (["a", "b"], [[1, 2, 3], [4, 5, 6]])


def test_tokens_may_hold_spaces_and_numbers(tmp_path):
    assert read(tmp_path, "3 2\n. . . 1 2\n1 2 3 4\n</s> 5 6\n") == ([". . .", "1 2", "</s>"], [[1, 2], [3, 4], [5, 6]])


def test_a_token_may_be_a_blank(tmp_path):
    assert read(tmp_path, "2 2\n  1 2\na 3 4\n") == ([" ", "a"], [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2 3\na 1 2 3\nb 4 5\n", "line 3 has fewer than 3 numbers"),
        ("2 3\na 1 2 3\nb 4 x5 6\n", "line 3: 'x5' is no number"),
        ("2 3\na 1 2 3\nb 4 nan 6\n", "line 3: 'nan' is no number"),
        ("2 3\na 1 2 3\nb 4 1e 6\n", "line 3: '1e' is no number"),
        ("a 1 2\nb 3 - 4\n", "line 2: '-' is no number"),
        ("3 3\na 1 2 3\nb 4.25 5.25 6.25\n", "is truncated: it holds 2 of 3 tokens"),
        ("1 3\na 1 2 3\nb 4 5 6\n", "more follows after the 1 tokens"),
        ("999999999999 3\na 1 2 3\n", "cannot hold"),
        ("2 999999999999\na 1 2 3\n", "cannot hold"),
        ("a 1.25 2.25\n\nb 3.25 4.25\n", "line 2 has fewer than 2 numbers"),
        ("2 3\na 1 2 3\n   5  6\n", "line 3 has fewer than 3 numbers"),
        ("2 0\na\nb\n", "no numbers behind a token"),
        ("hello\n", "no numbers behind a token"),
        ("\n\n", "no numbers behind a token"),
        ("", "is empty"),
        (b"1 2\n\xff\xfe 1 2\n", "row 1 .* is not valid UTF-8"),
        (b"\x00" * 100, "no numbers behind a token"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, text, said):
    with pytest.raises(ModelError, match=said) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is a folder"):
        read_vec(tmp_path)
    with pytest.raises(ModelError, match="there is no file"):
        read_vec(tmp_path / "none.vec")


def test_a_file_of_no_vectors_has_none(tmp_path):
    tokens, vectors = read_vec_of(tmp_path, "0 5\n")
    assert (list(tokens), vectors.shape) == ([], (0, 5))


def test_numbers_too_large_for_float32_are_infinite(tmp_path):
    assert read(tmp_path, "1 2\na 1e39 -1e999999999999\n")[1] == [[np.inf, -np.inf]]
