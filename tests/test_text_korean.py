"""Korean by morphemes: what kiwipiepy finds, however the text is cut; one line where it is not installed."""

import io
import sys
from collections import Counter

import pytest
from click.testing import CliRunner

import embedkit
from embedkit.cli.app import app
from embedkit_text.batching import make_batches
from embedkit_text.files import find_files

TEXT = "어린시절 봤던 영화를 다시 봤다. 정말 재미있었습니다!! 2편도 볼까? Good 😊\n\n친구가 학교에서 책을 읽는다\n"


@pytest.fixture(scope="module")
def kiwi():
    """One tokenizer for all tests: loading the model takes seconds."""
    pytest.importorskip("kiwipiepy")
    from embedkit_text.korean import MorphemeTokenizer

    return MorphemeTokenizer(lowercase=True, lines=True)


def sentences_of(tokenizer, text, block=1 << 20):
    files = find_files(io.BytesIO(text.encode()), Counter(), {})
    sentences, goes_on = [], False
    for batch in make_batches(files, tokenizer, "utf-8", block, Counter()):
        words = batch.tokens.to_pylist()
        for n, (start, end) in enumerate(zip(batch.offsets[:-1], batch.offsets[1:], strict=True)):
            if n == 0 and goes_on:
                sentences[-1] += words[start:end]
            else:
                sentences.append(words[start:end])
        goes_on = batch.continues
    return sentences


@pytest.mark.korean
def test_morphemes_in_dictionary_form_without_punctuation(kiwi):
    first, second = sentences_of(kiwi, TEXT)
    assert {"시절", "보다", "영화", "를", "재미있다", "2", "편", "good"} <= set(first)
    assert {"친구", "가", "학교", "에서", "책", "을", "읽다"} <= set(second)
    assert not {".", "!!", "?"} & {*first, *second}


@pytest.mark.korean
@pytest.mark.parametrize("block", [64, 300])
def test_tokens_do_not_depend_on_where_text_is_cut(kiwi, block):
    text = "영화를 다시 봤다. 정말 재미있었습니다! 2편도 볼까? " * 10 + "\n" + TEXT
    assert sentences_of(kiwi, text, block) == sentences_of(kiwi, text)


@pytest.mark.korean
@pytest.mark.slow  # loads the model of 88 MB once more
def test_a_vocabulary_of_morphemes():
    pytest.importorskip("kiwipiepy")
    text = io.StringIO("친구가 학교에서 책을 읽는다\n" * 3 + "고양이가 집에서 생선을 먹는다\n" * 3)
    corpus = embedkit.read("text", input=text, tokenizer="morpheme", min_count=3)
    assert {"먹다", "읽다", "친구", "는다"} <= set(corpus.tokens)
    assert "먹는다" not in corpus.tokens


def test_without_the_extra_one_line_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    result = CliRunner().invoke(app, ["train", "--source", "text", "--input", str(path), "--tokenizer", "morpheme"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "embedkit: --tokenizer morpheme needs kiwipiepy, which is not installed: pip install '.[korean]'"
    ]
