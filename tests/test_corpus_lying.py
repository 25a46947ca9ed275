"""Histories that lie in the corpus as they are wanted are taken as they lie, and they are the same as sorted ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit import Corpus, Sentence
from embedkit.corpus.lying import histories_as_they_lie

SENTENCES = st.lists(
    st.tuples(
        st.integers(0, 3), st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), min_size=1, max_size=4)
    ),
    min_size=1,
    max_size=8,
)


def corpus_of(rows, timed):
    return Corpus.from_sentences(
        [
            Sentence([token for token, _ in row], f"k{key}", times=[time for _, time in row] if timed else None)
            for key, row in rows
        ]
    )


def expected(rows, timed):
    """Return each key's tokens, by time where there are times, keys in the order in which they are first met."""
    of_keys = {}
    for key, row in rows:
        of_keys.setdefault(key, []).extend(row)
    ordered = (sorted(row, key=lambda entry: entry[1]) if timed else row for row in of_keys.values())
    return ["".join(token for token, _ in row) for row in ordered]


@settings(max_examples=60, deadline=None)
@given(rows=SENTENCES, timed=st.booleans(), in_order=st.booleans())
def test_both_ways_give_the_same(rows, timed, in_order):
    if in_order:
        rows = sorted(rows, key=lambda row: row[0])
        rows = [(key, [(token, place) for token, _ in row]) for place, (key, row) in enumerate(rows)]
    corpus = corpus_of(rows, timed)
    histories = corpus.histories()
    got = ["".join(corpus.tokens[i] for i in row) for row in histories]
    assert got == expected(rows, timed)
    lies = histories_as_they_lie(
        len(corpus.keys), corpus.ids, corpus.offsets, corpus.sentence_keys, corpus.weights, corpus.times
    )
    if in_order:
        assert lies is not None
        assert np.shares_memory(histories.indices, corpus.ids)


@pytest.mark.parametrize("n", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_what_falls_where_pieces_meet_is_seen(n):
    times = np.arange(2 * n)
    keys = np.zeros(1, np.int32)
    offsets = np.array([0, 2 * n])
    ids = np.zeros(2 * n, np.int32)
    assert histories_as_they_lie(1, ids, offsets, keys, None, times) is not None
    times[n] = 0
    assert histories_as_they_lie(1, ids, offsets, keys, None, times) is None
    two = np.array([0, 1], np.int32)
    assert histories_as_they_lie(2, ids, np.array([0, n, 2 * n]), two, None, times) is not None
    assert histories_as_they_lie(2, ids, np.array([0, n, 2 * n]), two[::-1], None, None) is None


def test_sentences_of_nobody_are_brought_out_as_before():
    corpus = Corpus.from_sentences([Sentence(["a"]), Sentence(["b", "a"], "k")])
    assert [row.tolist() for row in corpus.histories()] == [[corpus.tokens.find("b"), corpus.tokens.find("a")]]
