"""Corpus: what is read comes back as ids, offsets, keys and histories; what is dropped is counted."""

import gc
import itertools
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import embedkit
from embedkit import Corpus, Sentence, SentenceBatch, Source, SourceError
from embedkit.corpus import encoder as encoder_module
from embedkit.corpus.encoder import Encoder
from embedkit.corpus.vocabulary import GrowingVocabulary
from embedkit.corpus.workdir import WorkFolder

words = st.text(st.characters(codec="utf-8"), max_size=4)


def spelled(corpus):
    """Return the corpus's sentences as lists of strings."""
    tokens = list(corpus.tokens)
    ends = corpus.offsets.tolist()
    return [[tokens[i] for i in corpus.ids[a:b]] for a, b in itertools.pairwise(ends)]


def test_sentences_come_back_in_order_with_the_most_frequent_token_first():
    corpus = Corpus.from_sentences([["b", "a", "b"], ["c", "b"]])
    assert list(corpus.tokens) == ["b", "a", "c"]
    assert corpus.counts.tolist() == [3, 1, 1]
    assert spelled(corpus) == [["b", "a", "b"], ["c", "b"]]
    assert corpus.keys is None
    assert corpus.histories() is None
    assert (corpus.n_tokens, corpus.n_sentences, len(corpus)) == (5, 2, 2)
    assert repr(corpus) == "Corpus(2 sentences, 5 tokens, 3 different)"


def test_rare_tokens_and_what_they_leave_empty_are_dropped_and_counted():
    corpus = Corpus.from_sentences([["a", "x"], ["y"], ["a", ""]], min_count=2)
    assert spelled(corpus) == [["a"], ["a"]]
    assert corpus.dropped == Counter(
        {"occurrences of 2 tokens seen fewer than 2 times": 2, "sentences without a token": 1, "empty tokens": 1}
    )


def test_sentences_of_a_key_form_its_history_in_order_of_time():
    corpus = Corpus.from_sentences(
        [
            Sentence(["x", "y"], key="u", times=[50, 60], weights=[1, 2]),
            Sentence(["z"], key="v", times=[1], weights=[3]),
            Sentence(["z", "x"], key="u", times=[10, 60], weights=[4, 5]),
        ]
    )
    names = list(corpus.tokens)
    histories = corpus.histories()
    assert list(corpus.keys) == ["u", "v"]
    assert [[names[i] for i in row] for row in histories] == [["z", "x", "y", "x"], ["z"]]
    assert histories.weights.tolist() == [4, 1, 2, 5, 3]
    assert histories.times.tolist() == [10, 50, 60, 60, 1]


def test_matrix_adds_the_weights_of_a_key_and_a_token():
    corpus = Corpus.from_sentences([Sentence(["a", "b", "a"], "u", [1, 2, 3]), Sentence(["a"], "v", [5])])
    matrix = corpus.matrix()
    assert matrix.shape == (2, 2)
    assert matrix[[0, 0, 1], [corpus.tokens.find(t) for t in "aba"]].tolist() == [[4, 2, 5]]


def test_matrix_of_a_corpus_without_keys_has_a_row_a_sentence():
    assert Corpus.from_sentences([["a", "a"], ["b"]]).matrix().toarray().tolist() == [[2, 0], [0, 1]]


def test_keys_of_which_nothing_is_left_are_dropped_and_counted():
    corpus = Corpus.from_sentences([Sentence(["rare"], "u"), Sentence(["a", "a"], "v"), ["a"]], min_count=2)
    assert list(corpus.keys) == ["v"]
    assert corpus.sentence_keys.tolist() == [0, -1]
    assert corpus.dropped["keys without a token"] == 1


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ((s for s in [["a"]]), "got a generator, which can be gone through only once; give a list"),
        (["abc"], "sentence 1 is a text"),
        ([["a"], ["b", 3]], "a token is 3, of type int; convert it with str"),
        ([["a", None]], "a token is None"),
        ([["\ud800"]], "no valid Unicode"),
        ([Sentence(["a"], key=7)], "a key is 7"),
        ([["a"], Sentence(["b"], weights=[1])], "some sentences come with weights and some without"),
        ([Sentence(["a"], times=[1]), ["b"]], "some sentences come with times and some without"),
        ([Sentence(["a"], weights=[1, 2])], "sentence 1 has 2 weights for 1 tokens"),
        ([Sentence(["a"], weights=[0.0])], "weights are positive finite numbers"),
        ([Sentence(["a"], weights=[float("nan")])], "weights are positive finite numbers"),
        ([Sentence(["a"], times=["noon"])], "times must be whole numbers"),
        ([], "the source holds no sentence"),
        ([[], []], "the source holds no sentence"),
        ([["a"]], "none of the 1 tokens occurs 2 times or more; lower --min-count"),
    ],
)
def test_what_cannot_be_read_gets_one_clear_line(sentences, message):
    with pytest.raises(SourceError, match=message) as caught:
        Corpus.from_sentences(sentences, min_count=2)
    assert "\n" not in str(caught.value)


def test_a_null_token_or_an_empty_one_is_dropped_but_a_wrong_type_is_not():
    corpus = Corpus._from_batches(
        [SentenceBatch(pa.array(["a", None, ""]), np.array([0, 3]))], 1, WorkFolder(), embedkit.Run(), Counter
    )
    assert spelled(corpus) == [["a"]]
    assert corpus.dropped == {"empty tokens": 2}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(words, max_size=8), st.one_of(st.none(), words)), max_size=12),
    st.integers(1, 3),
    st.integers(1, 9),
)
def test_any_sentences_come_back_whatever_the_batches(sentences, min_count, size):
    """Cut into batches anywhere, whole or dictionary-encoded, they come back as a plain count has them."""
    counts = Counter(t for tokens, _ in sentences for t in tokens if t)
    expected = [[t for t in tokens if t and counts[t] >= min_count] for tokens, _ in sentences]
    flat = [t for tokens, _ in sentences for t in tokens]
    ends = np.cumsum([0, *(len(tokens) for tokens, _ in sentences)])
    keys = [key or None for _, key in sentences]

    folder = WorkFolder()
    encoder = Encoder(folder.path)
    for start in range(0, max(len(flat), 1), size):
        stop = min(start + size, len(flat))
        first = int(np.searchsorted(ends[1:], start, side="right")) if start else 0
        last = int(np.searchsorted(ends[1:], stop, side="right"))
        goes_on = stop < len(flat) and ends[last] < stop
        offsets = np.clip([*ends[first : last + 1], *([stop] if goes_on else [])], start, stop) - start
        chunk = pa.array(flat[start:stop], pa.string())
        batch_keys = pa.array(keys[first : first + len(offsets) - 1], pa.string())
        encoder.add(
            SentenceBatch(chunk.dictionary_encode() if start % 2 else chunk, offsets, batch_keys, continues=goes_on)
        )
    encoded = encoder.finish(min_count, Counter())

    corpus = Corpus(encoded.tokens, encoded.counts, encoded.ids, encoded.offsets)
    assert spelled(corpus) == [tokens for tokens in expected if tokens]
    assert dict(zip(corpus.tokens, corpus.counts.tolist(), strict=True)) == {
        t: n for t, n in counts.items() if n >= min_count
    }
    kept_keys = [key for tokens, key in zip(expected, keys, strict=True) if tokens]
    names = list(encoded.keys or [])
    of_sentence = [] if encoded.sentence_keys is None else encoded.sentence_keys.tolist()
    assert [names[k] if k >= 0 else None for k in of_sentence] == (kept_keys if names or of_sentence else [])


def test_chunked_filtering_equals_filtering_at_once(monkeypatch):
    rng = np.random.default_rng(3)
    sentences = [[f"t{i}" for i in rng.zipf(1.5, n)] for n in rng.integers(0, 30, 200)]
    whole = Corpus.from_sentences(sentences, min_count=3)
    monkeypatch.setattr(encoder_module, "_CHUNK", 7)
    chunked = Corpus.from_sentences(sentences, min_count=3)
    assert spelled(chunked) == spelled(whole)
    assert chunked.dropped == whole.dropped


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(words, max_size=50), max_size=4))
def test_the_growing_vocabulary_counts_as_a_dict_does(batches):
    vocabulary = GrowingVocabulary()
    seen = {}
    for batch in batches:
        ids = vocabulary.encode(pa.array(batch, pa.large_string()))
        expected = [seen.setdefault(w, len(seen)) if w else -1 for w in batch]
        assert ids.tolist() == expected
    assert list(vocabulary.names()) == list(seen)
    counts = Counter(w for b in batches for w in b if w)
    assert vocabulary.counts.tolist() == [counts[w] for w in seen]


def test_the_growing_vocabulary_outgrows_its_first_table():
    vocabulary = GrowingVocabulary()
    many = [f"a rather long token, number {i}" for i in range(100_000)]
    for _ in range(2):
        assert vocabulary.encode(pa.array(many, pa.string())).tolist() == list(range(len(many)))
    assert vocabulary.counts.tolist() == [2] * len(many)
    assert vocabulary.names()[99_999] == many[-1]


def test_a_source_is_read_with_its_labels_defaults_and_what_it_dropped():
    class Fruit(Source):
        """Fruit that is bought together."""

        name = "fruit"
        defaults = {"epochs": 3}

        def sentences(self):
            self.dropped["rotten fruit"] += 2
            yield Sentence(["apple", "pear"], key="ann")

        def labels(self):
            return [("pear", "Pear, ripe"), ("unknown", "nobody")]

    corpus = embedkit.read(Fruit)
    assert spelled(corpus) == [["apple", "pear"]]
    assert list(corpus.labels) == ["", "Pear, ripe"]
    assert corpus.dropped == {"rotten fruit": 2}
    assert (corpus.source, corpus.defaults) == ("fruit", {"epochs": 3})


class Connected(Source):
    """Something that must be let go of, and whose second item is none."""

    name = "connected"
    connected = False

    def opened(self, first, second):
        self.connected = True
        try:
            yield first
            yield second
        finally:
            self.connected = False

    def sentences(self):
        return self.opened(["one"], "two")


class ConnectedInBatches(Connected):
    """The same in columns."""

    def batches(self):
        return self.opened(*(SentenceBatch(pa.array(["a"]), np.array([0, end])) for end in (1, 2)))


@pytest.mark.parametrize("kind", [Connected, ConnectedInBatches])
def test_a_source_that_reading_gives_up_on_is_closed_however_long_its_error_is_kept(kind):
    source = kind(None)
    with pytest.raises(SourceError) as kept:
        Corpus.from_source(source)
    assert kept.tb is not None
    assert not source.connected


def test_what_went_wrong_is_told_though_closing_the_source_fails_too():
    class Stuck(Connected):
        """Something that cannot be let go of."""

        def opened(self, first, second):
            try:
                yield from super().opened(first, second)
            finally:
                raise ValueError("it cannot be let go of")

    with pytest.raises(SourceError, match="is a text"):
        Corpus.from_source(Stuck(None))


def test_a_source_whose_sentences_run_out_is_refused():
    class OneShot(Source):
        """Sentences that can be read once."""

        name = "one-shot"

        def __init__(self, options):
            super().__init__(options)
            self._sentences = iter([["a"]])

        def sentences(self):
            return self._sentences

    with pytest.raises(SourceError, match="source 'one-shot' got a generator"):
        embedkit.read(OneShot)


def test_temporary_files_go_with_the_corpus(tmp_path):
    corpus = Corpus.from_sentences([["a", "b"]], work_dir=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    del corpus
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    left = tmp_path / "embedkit-999999999-abc"
    left.mkdir()
    (left / "ids").write_bytes(b"0000")
    someone_elses = tmp_path / "embedkit-notes"
    someone_elses.mkdir()
    WorkFolder(tmp_path)
    assert not left.exists()
    assert someone_elses.exists()


def test_a_work_dir_that_is_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(embedkit.EmbedkitError, match="name another with --work-dir"):
        WorkFolder(file)


def test_a_work_dir_is_made_where_its_parent_is_there(tmp_path):
    assert WorkFolder(tmp_path / "new").path.is_dir()
    with pytest.raises(embedkit.EmbedkitError, match="name another with --work-dir"):
        WorkFolder(tmp_path / "misspelt" / "new")
    assert not (tmp_path / "misspelt").exists()
