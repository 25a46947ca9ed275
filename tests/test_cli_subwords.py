"""The command line about words that are not in the vocabulary: it says so, and answers by their n-grams."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import embedkit
from embedkit.cli.app import app
from embedkit.embeddings.ngrams import Ngrams
from embedkit.embeddings.subwords import Subwords

NOTE = "embedkit: 'walker' is not in the vocabulary: built from its character n-grams.\n"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command line beside a model whose n-grams of `walk` point to the right, all others of `sing` up."""
    monkeypatch.delenv("EMBEDKIT_MODEL", raising=False)
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "embedkit-toolkit")
    monkeypatch.chdir(tmp_path)
    ngrams = Ngrams(3, 4, 10**6)
    right, up = (sorted(set(ngrams.of(word))) for word in ("walk", "sing"))
    buckets = np.array(sorted(right + up), np.int32)
    vectors = np.where(np.isin(buckets, right)[:, None], [1.0, 0.0], [0.0, 1.0]).astype(np.float32)
    subwords = Subwords(ngrams, vectors, buckets, "root")
    embedkit.Embeddings(
        ["walk", "walks", "sing"],
        np.array([[2, 0], [2, 1], [0, 3]], np.float32),
        labels=["", "Walks!", ""],
        arrays=subwords.arrays,
        config={"subwords": subwords.config},
    ).save("embedkit.safetensors")
    return lambda *args: CliRunner().invoke(app, args)


def test_similar_says_that_a_word_is_built(run):
    result = run("similar", "--format", "jsonl", "walker", "walk")
    assert result.exit_code == 0
    assert result.stderr == NOTE
    first = json.loads(result.stdout.splitlines()[0])
    assert first["query"] == "walker"
    assert (first["token"], first["score"]) == ("walk", 1)


def test_similarity_and_analogy_say_so_too(run):
    result = run("similarity", "walker", "walk")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "1.00\n", NOTE)
    result = run("analogy", "walker", "walker", "sing")
    assert result.exit_code == 0
    assert result.stderr == NOTE


def test_a_word_of_no_known_ngram_is_refused_in_a_line(run):
    result = run("similar", "xyz")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("embedkit: there is no token 'xyz'.")
    assert line.endswith("Nor is any of its character n-grams known, to build it from.")


def test_filters_take_tokens_alone(run):
    result = run("similar", "walk", "--exclude", "walker")
    assert result.exit_code == 1
    assert "there is no token 'walker'" in result.stderr


def test_nothing_is_said_of_tokens(run):
    assert run("similar", "walk").stderr == ""
