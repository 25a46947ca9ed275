import numpy as np
import pytest
from reference_scoring import analogy as slow_analogy
from reference_scoring import cosine as slow_cosine
from reference_scoring import topk as slow_topk

from embedkit.errors import OptionError
from embedkit.scoring import (
    Rows,
    analogy,
    inverse_norms,
    most_similar,
    most_similar_built,
    normalized,
    similarity,
)


@pytest.fixture
def vectors():
    vectors = np.random.default_rng(3).standard_normal((60, 5), np.float32)
    vectors[7] = 0
    return vectors


def check(ranked, expected):
    ids, scores = zip(*expected, strict=True)
    assert ranked.ids[0].tolist() == list(ids)
    np.testing.assert_allclose(ranked.scores[0], scores, rtol=1e-5, atol=1e-6)


def test_inverse_norms_at_the_ends_of_float32():
    vectors = np.array([[3, 4], [0, 0], [3e30, 4e30], [3e-30, 4e-30]], np.float32)
    np.testing.assert_allclose(inverse_norms(vectors) * [5, 1, 5e30, 5e-30], [1, 0, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(normalized(vectors), [[0.6, 0.8], [0, 0], [0.6, 0.8], [0.6, 0.8]], rtol=1e-6)


def test_a_signalling_nan_of_a_damaged_model_warns_of_nothing():
    vectors = np.array([[0x7FA00000], [0x3F800000]], np.uint32).view(np.float32)
    assert inverse_norms(vectors).tolist() == [0, 1]


def test_inverse_norms_over_several_blocks():
    vectors = np.random.default_rng(0).standard_normal((40_000, 3), np.float32)
    np.testing.assert_allclose(inverse_norms(vectors), 1 / np.linalg.norm(vectors, axis=1), rtol=1e-5)


def test_most_similar_agrees_with_its_twin(vectors):
    exclude = Rows(np.array([0, 1]), np.array([4]))
    found = most_similar(vectors[[4]], vectors, inverse_norms(vectors), 60, exclude=exclude)
    expected = slow_topk([[slow_cosine(v, vectors[4]) for v in vectors]], 60, [[4]])[0]
    check(found, [*expected, (-1, -np.inf)])


def test_most_similar_to_a_zero_vector_is_zero_not_nan(vectors):
    found = most_similar(vectors[[7]], vectors, inverse_norms(vectors), 3)
    assert found.scores.tolist() == [[0, 0, 0]]
    assert found.ids.tolist() == [[0, 1, 2]]


def test_vectors_built_on_the_way_give_the_same(vectors):
    given = most_similar(vectors[:9], vectors, inverse_norms(vectors), 5)
    built = most_similar_built(vectors[:9], lambda ids: vectors[ids], 60, 5)
    assert np.array_equal(given.ids, built.ids)
    np.testing.assert_allclose(given.scores, built.scores, rtol=1e-5)


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_analogy_agrees_with_its_twin(vectors, method):
    for a, b, c in [(0, 1, 2), (7, 3, 4), (3, 7, 7)]:
        found = analogy(vectors, inverse_norms(vectors), np.array([[a, b, c]]), 50, method)
        check(found, slow_topk([slow_analogy(vectors, a, b, c, method)], 50, [[a, b, c]])[0])


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_a_batch_of_analogies_equals_one_by_one(vectors, method):
    questions = np.random.default_rng(0).integers(0, 60, (20, 3))
    batch = analogy(vectors, inverse_norms(vectors), questions, 4, method, only=np.arange(30))
    for row, question in enumerate(questions):
        one = analogy(vectors, inverse_norms(vectors), question[None], 4, method, only=np.arange(30))
        assert one.ids[0].tolist() == batch.ids[row].tolist()
        assert not set(question) & set(batch.ids[row])


def test_similarity_by_hand():
    a, b = np.array([[1, 0], [0, 0], [3, 4]], np.float32), np.array([[1, 1], [1, 0], [6, 8]], np.float32)
    np.testing.assert_allclose(similarity(a, b), [0.5**0.5, 0, 1])
    np.testing.assert_allclose(similarity(a, b, "dot"), [1, 0, 50])
    np.testing.assert_allclose(similarity(a, b, "euclidean"), [1, 1, 5])


def test_words_that_are_no_metric_or_method(vectors):
    with pytest.raises(OptionError, match="metric must be one of 'cosine', 'dot', 'euclidean'; got 'cos'"):
        similarity(vectors, vectors, "cos")
    with pytest.raises(OptionError, match="method must be one of '3cosadd', '3cosmul'; got 'add'"):
        analogy(vectors, inverse_norms(vectors), np.array([[0, 1, 2]]), 1, "add")
