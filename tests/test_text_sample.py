"""The made-up text: its size, and the structure that a model should find in it."""

import itertools
import unicodedata
from collections import Counter

import numpy as np
import pytest

import embedkit
from embedkit_text import Text
from embedkit_text.sample import KINDS, make_sample
from embedkit_text.sample_words import PAIRS_EN, PAIRS_KO, PLACES_EN, PLACES_KO


def sentences():
    source = Text(Text.Options(input=Text.sample()))
    for batch in source.batches():
        tokens, ends = batch.tokens.to_pylist(), batch.offsets.tolist()
        yield from (tokens[a:b] for a, b in itertools.pairwise(ends))


@pytest.fixture(scope="module")
def vectors():
    """Each frequent word's positive pointwise mutual information with the words within five places of it."""
    text = list(sentences())
    counts = Counter(word for sentence in text for word in sentence)
    index = {word: i for i, word in enumerate(w for w, n in counts.items() if n >= 5)}
    together = np.zeros((len(index), len(index)))
    for sentence in text:
        ids = [index[w] for w in sentence if w in index]
        for distance in range(1, 6):
            np.add.at(together, (ids[:-distance], ids[distance:]), 1)
    together += together.T
    expected = np.outer(together.sum(1), together.sum(0)) / together.sum()
    rows = np.log(np.maximum(together / expected, 1))
    return dict(zip(index, rows / np.linalg.norm(rows, axis=1, keepdims=True), strict=True))


def nearest(vectors, query, without, topn):
    words = [w for w in vectors if w not in without]
    scores = np.array([vectors[w] for w in words]) @ query
    return [words[i] for i in np.argsort(-scores)[:topn]]


def test_it_is_a_few_hundred_thousand_tokens_and_always_the_same():
    text = list(sentences())
    assert 250_000 < sum(map(len, text)) < 400_000
    assert make_sample().getvalue() == make_sample().getvalue()
    assert make_sample(seed=2).getvalue() != make_sample().getvalue()


def test_it_is_utf8_in_normal_form_and_every_slot_is_filled():
    text = make_sample().getvalue().decode()
    assert unicodedata.is_normalized("NFC", text)
    assert not set("{}") & set(text)


def test_every_word_of_a_kind_is_frequent_and_of_one_kind_only():
    counts = Counter(word for sentence in sentences() for word in sentence)
    words = [word for kind in KINDS.values() for word in kind]
    assert len(set(words)) == len(words)
    assert min(counts[word] for word in words) >= 100


def test_words_are_nearest_to_their_own_kind(vectors):
    for kind, words in KINDS.items():
        own = [w in words for word in words for w in nearest(vectors, vectors[word], {word}, 5)]
        assert np.mean(own) > 0.75, kind


@pytest.mark.parametrize("pairs", [PAIRS_EN, PAIRS_KO], ids=["english", "korean"])
def test_man_is_to_woman_as_king_is_to_queen(vectors, pairs):
    _, man, woman, _ = next(pair for pair in pairs if pair[1] in ("man", "남자"))
    right = 0
    for _, male, female, _ in pairs:
        query = vectors[male] - vectors[man] + vectors[woman]
        right += male == man or nearest(vectors, query, {male, man, woman}, 1) == [female]
    assert right == len(pairs)


@pytest.mark.parametrize("places", [PLACES_EN, PLACES_KO], ids=["english", "korean"])
def test_a_capital_is_to_its_country_as_another_to_its_own(vectors, places):
    city, country, *_ = places[0]
    right = 0
    for other_city, other_country, *_ in places[1:]:
        query = vectors[other_city] - vectors[city] + vectors[country]
        right += nearest(vectors, query, {other_city, city, country}, 1) == [other_country]
    assert right == len(places) - 1


def test_the_sample_stands_for_input_that_is_not_given():
    assert issubclass(Text, embedkit.Source)
    assert Text.defaults["min_count"] == 5
    assert Text(Text.Options()).labels() is None
