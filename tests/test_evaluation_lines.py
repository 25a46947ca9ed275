"""Files of tests that are no tests, or very long: refused in one line, and read in little memory."""

import os
import tracemalloc

import numpy as np
import pytest

from embedkit import Embeddings, SourceError
from embedkit.embeddings.importing.keys import read_keys
from embedkit.errors import ModelError
from embedkit.evaluation.heldout import read_lines, read_prefixes
from embedkit.evaluation.word_files import word_test

TWO = Embeddings(["a", "b"], np.eye(2, dtype=np.float32))


def ask(path):
    return word_test(TWO, path)


READERS = (read_lines, read_prefixes, ask)


@pytest.mark.parametrize("read", READERS)
def test_a_line_of_megabytes_is_refused(read, tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("b " * 2_000_001 + "\ta")
    with pytest.raises(SourceError, match=r"test.txt line 1 is longer than 4,000,000 characters; is it a test"):
        read(path)


def test_a_line_as_long_as_may_be_is_read(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("key " + "b " * 1_999_997 + "\nkey c")
    assert len(read_lines(path).targets.indices) == 2


def test_words_from_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="pipe is no regular file; save the test as one"):
        word_test(TWO, tmp_path / "pipe")


LONG = {
    "lines": (read_lines, "k a\n" * 60_000, 12),
    "pairs": (ask, "a b 1\n" * 30_000, 15),
    "questions": (ask, "a b a b\n" * 60_000, 10),
    "keys.txt": (read_keys, "a\n" * 1_000_000, 9),
}


@pytest.mark.parametrize("kind", LONG)
def test_files_of_many_lines_take_little_memory(kind, tmp_path):
    read, text, most = LONG[kind]
    path = tmp_path / f"{kind.partition('.')[0]}.txt"
    path.write_text(text)
    read(path)  # what is imported and cached is not counted
    tracemalloc.start()
    try:
        read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most * path.stat().st_size


def test_a_list_of_lists_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(" [\n[]," + "[]," * 100_000 + "[]]")
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="must hold a list of strings"):
            read_keys(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * path.stat().st_size
    finally:
        tracemalloc.stop()
    path.write_text('["[", "{", "x"]')
    assert list(read_keys(path)) == ["[", "{", "x"]
