"""Character n-grams and their buckets: those of fastText itself, by known values and by its package where it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit.embeddings.ngrams import Ngrams, fnv1a
from embedkit.names import Names

# Asked of fastText 0.9.3 by `get_subwords`, without what lies before the buckets; 2,000,000 buckets, 3 to 6 characters.
KNOWN = {
    "where": [
        167652,
        989715,
        1526707,
        1071586,
        420941,
        312621,
        969176,
        121234,
        1473420,
        1540811,
        114991,
        1529033,
        1568469,
        867498,
    ],
    "a": [1087600],
    "naïveté": [
        1806890,
        1907692,
        878190,
        933201,
        1590546,
        1719404,
        832043,
        733197,
        356832,
        1223007,
        1513905,
        1733517,
        1711570,
        322514,
        29918,
        626336,
        1544848,
        1161472,
        1717658,
        129612,
        57078,
        1291535,
    ],
    "한국어": [1124397, 1000497, 1127197, 612895, 12787, 803087],
    "😀": [870420],
}


def test_buckets_are_those_that_fasttext_gave():
    ngrams = Ngrams(3, 6, 2_000_000)
    assert {word: ngrams.of(word) for word in KNOWN} == KNOWN


def test_the_hash_takes_bytes_as_signed():
    assert fnv1a(b"") == 2166136261
    assert fnv1a(b"a") == 0xE40C292C
    assert fnv1a("é".encode()) != 0x811C9DC5


@pytest.mark.parametrize(
    ("min_n", "max_n", "word", "expected"),
    [
        (3, 4, "ab", ["<ab", "<ab>", "ab>"]),
        (1, 2, "ab", ["<a", "a", "ab", "b", "b>"]),
        (3, 6, "a", ["<a>"]),
        (3, 6, "", []),
        (2, 2, "각각", ["<각", "각각", "각>"]),
        (5, 9, "ab", []),
    ],
)
def test_ngrams_are_stretches_of_characters(min_n, max_n, word, expected):
    assert Ngrams(min_n, max_n, 10**9).of(word) == [fnv1a(gram.encode()) % 10**9 for gram in expected]


def test_jamo_are_the_letters_of_hangul_alone():
    jamo, plain = Ngrams(1, 1, 10**9, jamo=True), Ngrams(1, 1, 10**9)
    letters = ["\N{HANGUL CHOSEONG KIYEOK}", "\N{HANGUL JUNGSEONG A}", "\N{HANGUL JONGSEONG KIYEOK}"]
    assert jamo.of("각") == [fnv1a(letter.encode()) % 10**9 for letter in letters]
    assert jamo.of("é漢") == plain.of("é漢")
    assert len(jamo.of("가힣")) == 5


@settings(deadline=None)
@given(
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=6),
    min_n=st.integers(1, 4), more=st.integers(0, 4), n_buckets=st.integers(1, 2**31 - 1), jamo=st.booleans(),
)  # fmt: skip
def test_many_words_at_once_have_the_buckets_of_each(words, min_n, more, n_buckets, jamo):
    ngrams = Ngrams(min_n, min_n + more, n_buckets, jamo)
    indptr, buckets = ngrams.of_all(Names.from_strings([*words, "각각", "가나 힣"]))
    for place, word in enumerate([*words, "각각", "가나 힣"]):
        assert buckets[indptr[place] : indptr[place + 1]].tolist() == ngrams.of(word)
    assert len(indptr) == len(words) + 3
    assert indptr[-1] == len(buckets)


def test_the_package_fasttext_gives_the_same(tmp_path):
    fasttext = pytest.importorskip("fasttext")
    text = tmp_path / "text.txt"
    words = ["naïve", "감사합니다", "日本語", "plain", "a", "привет", "😀😀", "ﬁn"]
    text.write_text("\n".join(" ".join(words) for _ in range(10)), encoding="utf-8")
    for min_n, max_n, n_buckets in ((3, 6, 2_000_000), (1, 4, 1000), (2, 3, 77)):
        model = fasttext.train_unsupervised(
            str(text), minn=min_n, maxn=max_n, bucket=n_buckets, dim=2, epoch=1, minCount=1, thread=2, verbose=0
        )
        n, ngrams = len(model.get_words()), Ngrams(min_n, max_n, n_buckets)
        for word in words:
            assert (np.array(ngrams.of(word), np.int64) + n).tolist() == model.get_subwords(word)[1][1:].tolist()
        for word in ("unseen", "보지 못한"):
            assert (np.array(ngrams.of(word), np.int64) + n).tolist() == model.get_subwords(word)[1].tolist()
