"""Counting what occurs near what: against loops over lists, in stretches, by any number of workers."""

import numpy as np
import pytest
import reference_glove as slow
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit import Corpus, EmbedkitError
from embedkit.corpus import cooccurrence
from embedkit.corpus.cooccurrence import count_cooccurrences
from embedkit.trainers.machinery.crew import Crew


def corpus_of(sentences):
    return Corpus.from_sentences([[f"t{token}" for token in sentence] for sentence in sentences])


def counted(corpus, window, weighting="harmonic", workers=1, **options):
    with Crew(workers) as crew:
        return count_cooccurrences(corpus, window, weighting, crew, **options)


def dense(counts):
    matrix = np.zeros((counts.n_tokens, counts.n_tokens))
    for row in range(counts.n_tokens):
        at = slice(counts.indptr[row], counts.indptr[row + 1])
        assert (np.diff(counts.indices[at]) > 0).all()
        matrix[row, counts.indices[at]] = counts.counts[at]
    return matrix


def expected(corpus, window, weighting):
    sentences = [corpus.ids[a:b].tolist() for a, b in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)]
    return slow.count(sentences, len(corpus.tokens), window, weighting)


sentence_lists = st.lists(st.lists(st.integers(0, 90), min_size=1, max_size=25), min_size=1, max_size=8)


@settings(max_examples=80, deadline=None)
@given(
    sentences=sentence_lists.filter(lambda lists: max(map(len, lists)) > 1),
    window=st.sampled_from([1, 2, 5, 100, "sentence"]),
    weighting=st.sampled_from(["harmonic", "linear", "flat"]),
    stretch=st.sampled_from([None, 1, 3, 50]),
)
def test_counts_agree_with_their_twin(sentences, window, weighting, stretch):
    corpus = corpus_of(sentences)
    counts = counted(corpus, window, weighting, stretch=stretch)
    matrix = dense(counts)
    np.testing.assert_allclose(matrix, expected(corpus, window, weighting), rtol=1e-5, atol=1e-6)
    assert np.array_equal(matrix, matrix.T)
    assert len(counts) == np.count_nonzero(matrix)
    assert counts.indices.dtype == np.int32
    assert counts.counts.dtype == np.float32
    np.testing.assert_allclose(counts.totals, matrix.sum(1))


def zipf_corpus(n=10_000, n_tokens=1500, seed=0):
    ids = np.random.default_rng(seed).zipf(1.3, n) % n_tokens
    return corpus_of([part.tolist() for part in np.array_split(ids, 7)])


def test_stretches_workers_and_parts_change_no_bit(monkeypatch):
    corpus = zipf_corpus()
    whole = counted(corpus, 5)
    monkeypatch.setattr(cooccurrence, "_ENTRIES_A_PART", 1000)
    for workers, stretch in ((1, None), (3, None), (1, 999), (3, 3000)):
        other = counted(corpus, 5, workers=workers, stretch=stretch)
        assert np.array_equal(other.indptr, whole.indptr)
        assert np.array_equal(other.indices, whole.indices)
        assert np.array_equal(other.counts, whole.counts)
    np.testing.assert_allclose(dense(whole), expected(corpus, 5, "harmonic"), rtol=1e-5)


def test_many_small_amounts_add_up_without_loss():
    n = 200_000
    counts = counted(corpus_of([["a", "x", "b"] * n]), 2)
    # Each a meets the b two further and the b before it: float32 would lose halves from 2²⁴ / 2 on.
    assert counts.totals.sum() == pytest.approx(2 * (3 * n - 1) + (3 * n - 2), rel=1e-6)


def test_it_tells_how_far_it_is():
    told = []
    counted(zipf_corpus(), 5, told=lambda done, total: told.append((done, total)))
    done = [d for d, _ in told]
    assert done == sorted(done)
    assert told[-1] == (10_000, 10_000)


def test_files_go_with_the_counts(tmp_path):
    counts = counted(corpus_of([[1, 2, 3]]), 2, work_dir=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.glob("[!l]*")) == ["counted.indices", "counted.values"]  # but the lock
    del counts
    assert list(tmp_path.iterdir()) == []


def test_runs_of_stretches_are_removed(tmp_path):
    counts = counted(zipf_corpus(), 2, work_dir=tmp_path, stretch=1000)
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.glob("[!l]*")) == ["counted.indices", "counted.values"]  # but the lock
    assert len(counts) > 0


def test_what_never_occurs_together_is_refused():
    with pytest.raises(EmbedkitError, match="nothing occurs together"):
        counted(corpus_of([[1], [2]]), 5)


def test_whole_sentences_that_would_take_years_are_refused(monkeypatch):
    monkeypatch.setattr(cooccurrence, "_MOST_VISITS", 1000)
    corpus = corpus_of([list(range(50))])
    with pytest.raises(
        EmbedkitError, match=r"the longest sentence having 50 tokens; give a --window of some tokens\.$"
    ):
        counted(corpus, "sentence")
    assert len(counted(corpus, 2)) > 0


def test_too_little_memory_is_refused(monkeypatch):
    corpus = corpus_of([[1, 2]])
    monkeypatch.setattr("embedkit.memory.available_bytes", lambda: 10)
    with pytest.raises(EmbedkitError, match="counting 2 tokens would need"):
        counted(corpus, 2)
