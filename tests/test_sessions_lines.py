"""Lines of tokens, their first token the key or not, become sentences whole."""

import gc
import io
import os
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import embedkit
from embedkit.options import build
from embedkit_sessions import Options, Sessions, lines


def source(given, **options):
    return Sessions(build(Options, {"input": given, "layout": "lines", **options}))


def sentences(source):
    """Return (key, tokens) of each sentence, those that go on over batches joined."""
    found, goes_on = [], False
    for batch in source.batches():
        assert batch.offsets.dtype == np.int64
        assert batch.offsets[0] == 0
        assert batch.offsets[-1] == len(batch.tokens)
        items = batch.tokens.to_pylist()
        keys = [None] * (len(batch.offsets) - 1) if batch.keys is None else batch.keys.to_pylist()
        new = [(k, items[a:b]) for k, a, b in zip(keys, batch.offsets[:-1], batch.offsets[1:], strict=True)]
        if goes_on:
            key, rest = new.pop(0)
            assert key == found[-1][0]
            found[-1] = (key, found[-1][1] + rest)
        found += new
        goes_on = batch.continues
    assert not goes_on
    return found


@pytest.fixture
def write(tmp_path):
    def write(content, name="a.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_first_token_is_the_key(write):
    assert sentences(source(write("0 a b\n-1  c\t d \n"))) == [("0", ["a", "b"]), ("-1", ["c", "d"])]


def test_lines_without_keys(write):
    assert sentences(source(write("0 a b\n\nc d"), key="none")) == [(None, ["0", "a", "b"]), (None, ["c", "d"])]


def test_line_ends_marks_and_encodings(write):
    expected = [("u", ["é", "한"]), ("v", ["x"])]
    text = "u é 한\r\nv x\r\n"
    for content in (text, b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), "u e\u0301 한\nv x"):
        assert sentences(source(write(content))) == expected


def test_lines_with_too_few_tokens_are_counted(write):
    sessions = source(write("a\nb 1\nc 1 2\n"))
    assert sentences(sessions) == [("b", ["1"]), ("c", ["1", "2"])]
    assert sessions.dropped == {"lines with fewer than 1 tokens": 1}
    sessions = source(write("a\nb 1\nc 1 2\n"), key="none", min_interactions=2)
    assert sentences(sessions) == [(None, ["b", "1"]), (None, ["c", "1", "2"])]
    assert sessions.dropped == {"lines with fewer than 2 tokens": 1}


def test_no_tokens_at_all(write):
    with pytest.raises(embedkit.SourceError, match="no line has a token besides its key"):
        sentences(source(write("a\nb\n")))


words = st.text(st.sampled_from("abé한-7"), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(words, max_size=30), min_size=1, max_size=8), st.sampled_from(["first", "none"]), st.booleans()
)
def test_lines_of_any_length_stay_whole_over_blocks(write, monkeypatch, table, key, ended):
    monkeypatch.setattr(lines, "BLOCK", 32)
    path = write("\n".join(map(" ".join, table)) + "\n" * ended)
    if key == "first":
        expected = [(line[0], line[1:]) for line in table if len(line) > 1]
    else:
        expected = [(None, line) for line in table if line]
    if not expected:
        return
    assert [s for s in sentences(source(path, key=key)) if s[1]] == expected


def test_standard_input_is_kept_beside_the_work_folder_while_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ann a b\n")))
    one = source("-")
    for _ in range(2):
        one.work_dir = tmp_path / "work"
        one.work_dir.mkdir()
        assert sentences(one) == [("ann", ["a", "b"])]
        one.work_dir.rmdir()
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith(f"embedkit-{os.getpid()}-")
    del one
    gc.collect()
    assert list(tmp_path.iterdir()) == []
