"""Baselines agree with plain loops, rank everything, and say why they are left out."""

import numpy as np
import pytest
import reference_metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit import Corpus, Embeddings, EmbedkitError, History, OptionError, Sentence
from embedkit.evaluation import EASE, ItemKNN, Popularity, TrainPart, baselines, rankers
from embedkit.names import Names
from embedkit.scoring import Rows


@st.composite
def corpora(draw):
    n = draw(st.integers(2, 9))
    sentences = [
        Sentence([f"t{i}" for i in draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=7))], f"u{u}")
        for u in range(draw(st.integers(1, 8)))
    ]
    return Corpus.from_sentences(sentences)


def sets_of(part):
    return [set(row.tolist()) for row in part.histories]


@settings(deadline=None, max_examples=60)
@given(corpora(), st.integers(1, 5), st.sampled_from([0.0, 2.5, 100.0]))
def test_item_similarities_are_those_of_plain_loops(corpus, neighbours, shrinkage):
    part = TrainPart.of_corpus(corpus)
    ours = ItemKNN(part, neighbours, shrinkage)
    plain = reference.item_similarities(sets_of(part), len(part.tokens), neighbours, shrinkage)
    np.testing.assert_allclose(ours.similarities.toarray(), plain, rtol=1e-5)
    expected = [sum((plain[i] for i in row), np.zeros(len(plain))) for row in sets_of(part)]
    np.testing.assert_allclose(ours.scores(part.histories), expected, rtol=1e-5)


def test_item_similarities_in_blocks_by_the_kernel_and_by_sorting_are_the_same(monkeypatch):
    rng = np.random.default_rng(2)
    corpus = Corpus.from_sentences([Sentence([f"t{i}" for i in rng.integers(0, 60, 9)], f"u{u}") for u in range(80)])
    part = TrainPart.of_corpus(corpus)
    whole = ItemKNN(part, 7, 3.0).similarities.toarray()
    monkeypatch.setattr(baselines, "SCORES", 11 * 60)
    monkeypatch.setattr(baselines, "WORTH_KERNEL", 1)
    np.testing.assert_array_equal(ItemKNN(part, 7, 3.0).similarities.toarray(), whole)
    monkeypatch.setattr(baselines, "_FEW", 1000)
    np.testing.assert_array_equal(ItemKNN(part, 7, 3.0).similarities.toarray(), whole)


def test_item_similarities_of_a_large_catalogue_take_no_time_for_pairs_that_never_met():
    """300,000 tokens have 90 billion pairs, which would take the better part of an hour."""
    bought = np.arange(300_000, dtype=np.int32).reshape(-1, 3)
    history = History(np.arange(0, 300_001, 3, dtype=np.int64), bought.reshape(-1))
    part = TrainPart(Names.from_strings(map(str, range(300_000))), np.ones(300_000, np.int64), None, history)
    similar = ItemKNN(part, shrinkage=0.0).similarities
    assert similar.nnz == 600_000
    assert similar[bought[7]][:, bought[7]].toarray().tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


@settings(deadline=None, max_examples=40)
@given(corpora(), st.sampled_from([0.5, 10.0, 500.0]))
def test_ease_is_that_of_the_paper(corpus, regularization):
    part = TrainPart.of_corpus(corpus)
    ours = EASE(part, regularization)
    plain = reference.ease(sets_of(part), len(part.tokens), regularization)
    np.testing.assert_allclose(ours.weights, plain, atol=2e-5)
    expected = [sum((plain[i] for i in row), np.zeros(len(plain))) for row in sets_of(part)]
    np.testing.assert_allclose(ours.scores(part.histories), expected, atol=1e-4)


def test_ease_in_several_blocks_is_that_of_the_paper():
    rng = np.random.default_rng(3)
    sentences = [Sentence([f"t{i}" for i in rng.integers(0, 1100, 40)], f"u{u}") for u in range(400)]
    part = TrainPart.of_corpus(Corpus.from_sentences(sentences))
    assert len(part.tokens) > 1024
    np.testing.assert_allclose(
        EASE(part, 20.0).weights, reference.ease(sets_of(part), len(part.tokens), 20.0), atol=1e-4
    )


@pytest.mark.parametrize("kind", [Popularity, ItemKNN, EASE])
def test_they_rank_everything_but_what_is_left_out(kind, monkeypatch):
    rng = np.random.default_rng(4)
    sentences = [Sentence([f"t{i}" for i in rng.zipf(1.5, 9) % 40], f"u{u}") for u in range(30)]
    part = TrainPart.of_corpus(Corpus.from_sentences(sentences))
    monkeypatch.setattr(rankers, "SCORES", 7 * len(part.tokens))
    ranker = kind(part)
    history, n = part.histories, len(part.tokens)
    ranked = ranker.best(np.arange(len(history)), history, n, Rows(history.indptr, history.indices))
    if kind is Popularity:
        scores = np.tile(part.counts, (len(history), 1))
    else:
        scores = ranker.scores(history)
    for row, seen in enumerate(sets_of(part)):
        expected = [i for i in np.lexsort((np.arange(n), -scores[row])).tolist() if i not in seen]
        found = ranked.ids[row][ranked.ids[row] >= 0].tolist()
        assert sorted(found) == sorted(expected)
        np.testing.assert_allclose(scores[row][found], scores[row][expected], rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_is_left_out_with_the_reason(monkeypatch):
    part = TrainPart.of_corpus(Corpus.from_sentences([Sentence(["a", "b"], "u")]))
    kinds, left_out = baselines.baselines(part)
    assert (kinds, left_out) == ([Popularity, ItemKNN, EASE], {})
    kinds, left_out = baselines.baselines(part, most_ease_tokens=1)
    assert kinds == [Popularity, ItemKNN]
    assert left_out == {"EASE": "there are 2 tokens; the limit is 1"}
    monkeypatch.setattr(baselines, "available_bytes", lambda: None)
    monkeypatch.setattr(baselines, "ease_seconds", lambda n: n**3 / 60e9)
    assert baselines.ease_obstacle(17_000) == ""
    told = "inverting a matrix of 40,981 tokens takes about 19 minutes; a higher limit allows it"
    assert baselines.ease_obstacle(40_981) == told
    assert baselines.ease_obstacle(40_981, 50_000) == ""
    monkeypatch.setattr(baselines, "available_bytes", lambda: 20)
    assert baselines.ease_obstacle(2, None) == "its 2 × 2 matrix takes 16 bytes of 20 bytes free"
    with pytest.raises(EmbedkitError, match=r"EASE cannot run: its 2 × 2 matrix"):
        EASE(part)
    kinds, left_out = baselines.baselines(part)
    assert kinds == [Popularity]
    assert left_out["ItemKNN"] == "its similarities take 74 bytes and 20 bytes are free"


def test_a_model_without_histories_has_popularity_alone():
    vectors = np.eye(3, dtype=np.float32)
    model = Embeddings(["a", "b", "c"], vectors, counts=np.array([3, 2, 1]), keys=["u"], key_vectors=vectors[:1])
    part = TrainPart.of_model(model)
    kinds, left_out = baselines.baselines(part)
    assert kinds == [Popularity]
    assert set(left_out) == {"ItemKNN", "EASE"}
    with pytest.raises(EmbedkitError, match="the model holds no histories"):
        ItemKNN(part)
    assert TrainPart.of_model(Embeddings(["a"], vectors[:1])) is None
    history = History(np.array([0, 2, 3]), np.array([2, 2, 1], np.int32))
    counted = TrainPart.of_model(Embeddings(["a", "b", "c"], vectors, keys=["u", "v"], histories=history))
    assert counted.counts.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda part: ItemKNN(part, 0), "neighbours must be a whole number of at least 1; got 0"),
        (lambda part: ItemKNN(part, 5, -1.0), "shrinkage must be a number of at least 0"),
        (lambda part: EASE(part, 0.0), "regularization must be a number above 0"),
        (lambda part: EASE(part, float("nan")), "regularization must be"),
    ],
)
def test_options_out_of_range_are_told(make, message):
    part = TrainPart.of_corpus(Corpus.from_sentences([Sentence(["a", "b"], "u")]))
    with pytest.raises(OptionError, match=message):
        make(part)
