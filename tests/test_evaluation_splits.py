"""Splits: every interaction is in one part, counts are those of train, the same seed gives the same parts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import embedkit
from embedkit import Corpus, EmbedkitError, OptionError, Sentence, SourceError
from embedkit.evaluation import (
    HeldOut,
    by_time,
    leave_one_out,
    next_item,
    random,
    read_lines,
    read_prefixes,
    write_split,
)

DAY = 86_400_000_000


def pairs_of_corpus(corpus):
    return Counter(
        (key, token) for key, row in zip(corpus.keys, corpus.histories(), strict=True) for token in corpus.tokens[row]
    )


def rows_of(test):
    ends = test.targets.indptr
    return {key: test.tokens[test.targets.indices[ends[row] : ends[row + 1]]] for row, key in enumerate(test.keys)}


def pairs_of_test(test):
    return Counter((key, token) for key, tokens in rows_of(test).items() for token in tokens)


def check_train(train):
    """The invariants that a corpus keeps."""
    counts = np.bincount(train.ids, minlength=len(train.tokens))
    assert counts.tolist() == train.counts.tolist()
    assert (counts > 0).all()
    assert (np.diff(counts) <= 0).all()
    assert (np.diff(train.offsets) > 0).all()
    assert train.offsets[-1] == len(train.ids)
    if train.keys is not None:
        assert sorted(set(train.sentence_keys[train.sentence_keys >= 0])) == list(range(len(train.keys)))


@st.composite
def corpora(draw, times=False):
    sentences = []
    tokens = iter(f"t{i}" for i in range(1000))
    common = [f"c{i}" for i in range(6)]
    for _ in range(draw(st.integers(1, 8))):
        n = draw(st.integers(1, 6))
        own = [draw(st.sampled_from(common)) if draw(st.booleans()) else next(tokens) for _ in range(n)]
        own = list(dict.fromkeys(own))
        when = [draw(st.integers(0, 20)) * DAY for _ in own] if times else None
        key = draw(st.sampled_from(["a", "b", "c", "d", None]))
        sentences.append(Sentence(own, key, times=when))
    sentences.append(Sentence(["c0", "c1", "c2"], "e", times=[0, DAY, 2 * DAY] if times else None))
    return Corpus.from_sentences(sentences)


@settings(deadline=None, max_examples=40)
@given(corpora(), st.floats(0.05, 0.95), st.integers(0, 3))
def test_random_holds_out_a_share_of_each_key(corpus, share, seed):
    try:
        parts = random(corpus, share, seed)
    except SourceError:
        assert all(round(share * len(row)) == 0 or len(row) == 1 for row in corpus.histories())
        return
    check_train(parts.train)
    whole, train, test = pairs_of_corpus(corpus), pairs_of_corpus(parts.train), pairs_of_test(parts.test)
    twice = parts.test.notes["targets that stand twice"]
    assert sum(whole.values()) == sum(train.values()) + sum(test.values()) + twice
    assert set(whole) == set(train) | set(test)
    assert list(parts.train.keys) == list(corpus.keys)
    for key, row in zip(corpus.keys, corpus.histories(), strict=True):
        wanted = min(round(share * len(row)), len(row) - 1)
        left = sum(n for (owner, _), n in train.items() if owner == key)
        assert left == len(row) - wanted


@settings(deadline=None, max_examples=40)
@given(corpora(times=True), st.integers(0, 3))
def test_leave_one_out_takes_the_last_by_time(corpus, seed):
    parts = leave_one_out(corpus, seed)
    check_train(parts.train)
    held = rows_of(parts.test)
    for key, row in zip(corpus.keys, corpus.histories(), strict=True):
        assert held.get(key, []) == ([corpus.tokens[int(row[-1])]] if len(row) > 1 else [])
    assert pairs_of_corpus(parts.train) + pairs_of_test(parts.test) == pairs_of_corpus(corpus)


def test_leave_one_out_draws_where_there_are_no_times():
    corpus = Corpus.from_sentences([Sentence([f"i{j}" for j in range(30)], f"u{u}") for u in range(20)])
    held = [rows_of(leave_one_out(corpus, seed).test) for seed in (1, 1, 2)]
    assert held[0] == held[1] != held[2]
    assert all(len(tokens) == 1 for tokens in held[0].values())
    assert len({tokens[0] for tokens in held[0].values()}) > 5


@settings(deadline=None, max_examples=40)
@given(corpora(times=True), st.integers(1, 20))
def test_by_time_cuts_everybody_at_one_moment(corpus, day):
    if corpus.times[corpus.sentence_keys[np.repeat(np.arange(len(corpus)), np.diff(corpus.offsets))] >= 0].max() < (
        day * DAY
    ):
        with pytest.raises(SourceError, match="nothing is held out"):
            by_time(corpus, until=day * DAY)
        return
    parts = by_time(corpus, until=day * DAY)
    check_train(parts.train)
    histories = parts.train.histories()
    assert (histories.times < day * DAY).all()
    assert (parts.test.times >= day * DAY).all()
    twice = parts.test.notes["targets that stand twice"]
    assert histories.indptr[-1] + len(parts.test.times) + twice == corpus.histories().indptr[-1]


def test_by_time_takes_a_share_or_a_moment_in_words():
    corpus = Corpus.from_sentences([Sentence([f"i{d}" for d in range(10)], "u", times=[d * DAY for d in range(10)])])
    by_share, by_moment = by_time(corpus, 0.3), by_time(corpus, until="1970-01-08")
    assert rows_of(by_share.test) == rows_of(by_moment.test) == {"u": ["i7", "i8", "i9"]}
    with_offset = by_time(corpus, until="1970-01-08T03:00+03:00")
    assert rows_of(with_offset.test) == rows_of(by_moment.test)


def test_next_item_holds_out_the_last_sentences_and_asks_for_each_step():
    corpus = Corpus.from_sentences([["a", "b"], ["b", "c"], ["x"], ["a", "c", "a", "d"]])
    parts = next_item(corpus, 0.5)
    check_train(parts.train)
    assert [corpus.tokens[row] for row in parts.test.prefixes] == [["a"], ["a", "c"], ["a", "c", "a"]]
    assert corpus.tokens[parts.test.targets.indices] == ["c", "a", "d"]
    assert list(parts.train.tokens) == ["b", "a", "c"]
    assert parts.test.notes == {"held-out sentences of one token": 1}


def test_next_item_goes_by_the_time_of_the_end():
    times = [[5, 9], [1, 2], [3, 30], [4, 5]]
    corpus = Corpus.from_sentences([Sentence([f"a{s}", f"b{s}"], times=t) for s, t in enumerate(times)])
    parts = next_item(corpus, 0.5)
    assert sorted(corpus.tokens[parts.test.targets.indices]) == ["b0", "b2"]


def test_train_keeps_weights_times_labels_and_forgets_what_is_gone():
    corpus = Corpus.from_sentences(
        [
            Sentence(["a", "b", "only"], "u", weights=[1, 2, 3], times=[1, 2, 3]),
            Sentence(["b", "a"], "v", weights=[4, 5], times=[1, 2]),
            Sentence(["late"], "w", weights=[6], times=[9]),
        ]
    )
    parts = by_time(corpus, until=3)
    assert set(parts.train.tokens) == {"a", "b"}
    assert list(parts.train.keys) == ["u", "v"]
    assert parts.train.weights.tolist() == [1, 2, 4, 5]
    assert parts.train.times.tolist() == [1, 2, 1, 2]
    assert rows_of(parts.test) == {"u": ["only"], "w": ["late"]}
    assert parts.test.weights.tolist() == [3, 6]


@pytest.mark.parametrize(
    ("split", "error", "message"),
    [
        (lambda c: random(c, 1.0), OptionError, "share must be a number above 0 and below 1; got 1.0"),
        (lambda c: random(c, float("nan")), OptionError, "share must be"),
        (lambda c: by_time(c), SourceError, "needs times, and these sentences have none"),
        (lambda c: next_item(c, 0.01), SourceError, "leave nothing to ask for"),
        (lambda c: random(c, 0.01), SourceError, "nothing is held out"),
    ],
)
def test_bad_splits_are_told(split, error, message):
    corpus = Corpus.from_sentences([Sentence(["a", "b"], "u"), Sentence(["b", "c"], "v")])
    with pytest.raises(error, match=message):
        split(corpus)


def test_splits_of_keys_need_keys_and_moments_must_be_moments():
    nobody = Corpus.from_sentences([["a", "b"], ["b", "c"]])
    for split in (random, leave_one_out, by_time):
        with pytest.raises(SourceError, match="these sentences have none; use next-item"):
            split(nobody)
    timed = Corpus.from_sentences([Sentence(["a", "b"], "u", times=[5, 6])])
    with pytest.raises(OptionError, match="until must be a moment such as 2013-10-01"):
        by_time(timed, until="yesterday")
    with pytest.raises(SourceError, match="nothing is left to learn from"):
        by_time(timed, until=5)


def test_a_split_in_lines_reads_back(tmp_path):
    corpus = Corpus.from_sentences([Sentence([f"i{j}" for j in range(u, u + 6)], f"u{u}") for u in range(5)])
    parts = random(corpus, 0.4)
    train, test = write_split(parts, tmp_path / "new" / "split", "lines")
    assert rows_of(read_lines(test)) == rows_of(parts.test)
    again = embedkit.read("sessions", input=str(train), layout="lines")
    assert pairs_of_corpus(again) == pairs_of_corpus(parts.train)


def test_a_split_as_tables_reads_back_with_times_and_weights(tmp_path):
    corpus = Corpus.from_sentences(
        [
            Sentence(["a, b", "tab\there", "c"], "user one", weights=[1, 2.5, 3], times=[DAY, 400 * DAY, 9000 * DAY]),
            Sentence(["c", '"q"'], "=2", weights=[4, 5], times=[8000 * DAY, 9000 * DAY + 1]),
        ]
    )
    parts = leave_one_out(corpus)
    train, test = write_split(parts, tmp_path, columns=("user", "item"))
    assert train.read_text().splitlines()[0] == "user\titem\ttime\tweight"
    again = embedkit.read("sessions", input=str(train))
    assert pairs_of_corpus(again) == pairs_of_corpus(parts.train)
    assert sorted(again.times.tolist()) == sorted(parts.train.times.tolist())
    assert rows_of(HeldOut.from_corpus(embedkit.read("sessions", input=str(test)))) == rows_of(parts.test)


def test_a_split_of_sessions_reads_back(tmp_path):
    corpus = Corpus.from_sentences([["a", "b"], ["b", "c", "d"], ["a", "c", "d"]])
    parts = next_item(corpus, 0.4)
    train, test = write_split(parts, tmp_path)
    assert train.read_text() == "a b\nb c d\n"
    assert test.read_text() == "a\tc\na c\td\n"
    again = read_prefixes(test)
    assert [again.tokens[row] for row in again.prefixes] == [["a"], ["a", "c"]]


def test_what_cannot_be_written_is_told(tmp_path):
    parts = leave_one_out(Corpus.from_sentences([Sentence(["a b", "c"], "u"), Sentence(["c", "d"], "v")]), seed=2)
    with pytest.raises(EmbedkitError, match="holds blanks, which part the names of a line; write the split as a table"):
        write_split(parts, tmp_path, "lines")
    assert not list(tmp_path.glob("t*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbedkitError, match="cannot make the folder"):
        write_split(parts, tmp_path / "file" / "below")
    with pytest.raises(OptionError, match="'table' or 'lines'"):
        write_split(parts, tmp_path, "pages")


def test_a_test_in_lines_puts_lines_of_one_key_together(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("\ufeffu1 a b\n\nu2\nu1 c a\n", encoding="utf-8")
    test = read_lines(path)
    assert rows_of(test) == {"u1": ["a", "b", "c"]}
    assert test.notes == {"targets that stand twice": 1, "keys without a target": 1}
    assert repr(test) == "HeldOut(1 keys, 3 targets)"


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (read_lines, b"", "holds no token to find"),
        (read_lines, b"u1\nu2\n", "holds no token to find"),
        (read_lines, b"a b c\td\n", "read it as prefixes"),
        (read_lines, b"u \xff\n", "is not UTF-8"),
        (read_prefixes, b"", "is empty"),
        (read_prefixes, b"a b c\n", "line 1 is no prefix<TAB>target"),
        (read_prefixes, b"a\tb\n\tc\n", "line 2 is no prefix<TAB>target"),
        (read_prefixes, None, "cannot read .*test.txt: No such file"),
    ],
)
def test_bad_test_files_are_told(tmp_path, reader, content, message):
    path = tmp_path / "test.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as told:
        reader(path)
    assert "\n" not in str(told.value)
