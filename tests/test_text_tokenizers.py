"""The tokenizers against the regular expressions that define them, on any text, in blocks with edges everywhere."""

import io
import itertools
import re
import sys
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedkit_text.batching import make_batches
from embedkit_text.files import TextFile
from embedkit_text.patterns import word_pattern
from embedkit_text.tokenizers import make_tokenizer

PATTERNS = {"word": word_pattern(), "whitespace": r"\S+", "regex": r"[^\W\d]+|\d"}
TRICKY = (
    "ΑΣσς'.: İıIi\u0307ŐőẞßⱥȺKÅ한글ᄒ\u1161\u11ab각\u11a8हिन्दीไทยกำ"
    "\u200c\u200d\u0301\u0323e\u0308é\u00a0\u3000\u2028\x85\x1c\ufeff\ufe0f👩🚀_9٣②a<=>\u0338。，"
)
any_text = st.text(
    st.one_of(
        st.sampled_from(TRICKY),
        st.sampled_from("ab Z\n\r\t-,"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=80,
)


def lines_of(text):
    return re.split(r"\r\n|\r|\n", text)


def expected(text, tokenizer, lowercase=True):
    """The definition: one regular expression over the normalised, lower-cased text; no sentence is empty."""
    found = []
    for line in lines_of(text.removeprefix("\ufeff")):
        line = unicodedata.normalize("NFC", line)
        found.append(re.findall(PATTERNS[tokenizer], line.lower() if lowercase else line))
    return [tokens for tokens in found if tokens]


def read(texts, tokenizer, size, lowercase=True, sentence="line"):
    """Sentences as lists of strings, put together from batches that are checked against the contract."""
    files = [TextFile(f"file{i}", lambda text=text: io.BytesIO(text.encode())) for i, text in enumerate(texts)]
    made = make_tokenizer(tokenizer, PATTERNS["regex"] if tokenizer == "regex" else None, lowercase, sentence)
    sentences, goes_on = [], False
    for batch in make_batches(files, made, "utf-8", size, Counter()):
        batch.tokens.validate(full=True)
        assert batch.offsets.dtype == np.int64
        assert batch.offsets[0] == 0
        assert batch.offsets[-1] == len(batch.tokens)
        assert (np.diff(batch.offsets) > 0).all()
        tokens = batch.tokens.to_pylist()
        ends = batch.offsets.tolist()
        for i, (start, end) in enumerate(itertools.pairwise(ends)):
            if i == 0 and goes_on:
                sentences[-1] += tokens[start:end]
            else:
                sentences.append(tokens[start:end])
        goes_on = batch.continues
    assert not goes_on
    return sentences


@pytest.mark.parametrize("tokenizer", ["word", "whitespace", "regex"])
@settings(max_examples=300, deadline=None)
@given(text=any_text, size=st.integers(1, 40), lowercase=st.booleans())
@example(text="ΟΔΟΣ ΟΔΟΣ'Α Σ.Α. ΑΣ", size=3, lowercase=True)
@example(text="İSTANBUL i\u0307", size=2, lowercase=True)
@example(text="a\n\nb\r\rc\r\n", size=1, lowercase=True)
@example(text="e\u0301" * 20, size=5, lowercase=True)
def test_tokens_are_those_of_the_regular_expression(tokenizer, text, size, lowercase):
    assert read([text], tokenizer, size, lowercase) == expected(text, tokenizer, lowercase)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(any_text, max_size=4), size=st.integers(1, 60), tokenizer=st.sampled_from(sorted(PATTERNS)))
def test_a_document_is_one_sentence_whatever_its_lines(texts, size, tokenizer):
    documents = [[token for line in expected(text, tokenizer) for token in line] for text in texts]
    assert read(texts, tokenizer, size, sentence="document") == [tokens for tokens in documents if tokens]


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(any_text, max_size=4), size=st.integers(1, 60))
def test_files_end_sentences_and_words(texts, size):
    assert read(texts, "word", size) == [sentence for text in texts for sentence in expected(text, "word")]


ASSIGNED = range(1, 0xE000), range(0xE000, 0x34000), range(0xE0000, 0xE0200)
PRIVATE = (range(0x34000, sys.maxunicode + 1),)  # or without a meaning yet, but for the tags among them


@pytest.mark.parametrize("tokenizer", ["word", "whitespace"])
@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("ranges", [ASSIGNED, pytest.param(PRIVATE, marks=pytest.mark.slow)], ids=["text", "private"])
def test_every_character_is_seen_as_the_regular_expression_sees_it(tokenizer, lowercase, ranges):
    characters = [chr(c) for some in ranges for c in some if not 0xD800 <= c < 0xE000]
    alone = " ".join(c for c in characters if c not in "\r\n")
    within = " ".join(f"a{c}Z" for c in characters if c not in "\r\n")
    for text in (alone, within):
        assert read([text], tokenizer, 1 << 20, lowercase) == expected(text, tokenizer, lowercase)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't PANIC_42!", ["don", "t", "panic_42"]),
        ("한국어 문장입니다.", ["한국어", "문장입니다"]),
        ("हिन्दी में किताबें", ["हिन्दी", "में", "किताबें"]),
        ("ภาษาไทยที่ดี", ["ภาษาไทยที่ดี"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("ΟΔΟΣ", ["οδος"]),
        ("I ❤\ufe0f it", ["i", "it"]),
    ],
)
def test_words_of_many_scripts_come_through_whole(text, tokens):
    assert read([text], "word", 1 << 20) == [tokens]


def test_both_normal_forms_of_a_word_are_one_token():
    text = "café 한국 Ünü"
    assert read([unicodedata.normalize("NFD", text)], "word", 4) == read([text], "word", 4) == [["café", "한국", "ünü"]]


def test_a_long_line_is_one_sentence_over_many_batches():
    words = [f"word{i}" for i in range(20_000)]
    assert read([" ".join(words)], "word", 1000) == [words]


@pytest.mark.parametrize("tokenizer", ["word", "whitespace"])
def test_cuts_change_neither_normal_form_nor_lower_case(tokenizer):
    everything = make_tokenizer(tokenizer, None, True, "line")
    for cut in [cut.decode() for group in everything.cuts for cut in group]:
        before, after = f"ΑΣ{cut}", "Σ\u0338\u0301\u3099Α"
        assert unicodedata.normalize("NFC", cut + after[1:]) == cut + unicodedata.normalize("NFC", after[1:])
        assert (before + after).lower() == before.lower() + after.lower()
        assert re.findall(PATTERNS[tokenizer], before + after) == [
            token for part in (before, after) for token in re.findall(PATTERNS[tokenizer], part)
        ]


def test_a_line_without_white_space_is_cut_at_other_places_only():
    text = "東京。大阪、" * 2000 + "x" * 5000
    assert read([text], "word", 64) == expected(text, "word")


def test_a_stretch_to_normalise_amid_much_plain_text():
    text = "plain words " * 2000 + "e\u0301te\u0301 " + "more wörds " * 2000 + "ΤΕΛΟΣ"
    assert read([text], "word", 1 << 16) == expected(text, "word")


def test_an_empty_match_is_no_token_and_a_group_is_the_token():
    tokenizer = make_tokenizer("regex", r"<(\w*)>", True, "line")
    assert tokenizer.split(tokenizer.settle(b"<A> <> b <c>")).tokens.to_pylist() == ["a", "c"]
