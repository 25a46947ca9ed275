"""Places on a map: PCA against SVD, t-SNE and UMAP keep groups together; the same seed gives the same places."""

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import needs
from hypothesis import given, settings

import embedkit
from embedkit.atlas import METHODS, coordinates, nearest
from embedkit.errors import EmbedkitError, OptionError, UnknownNameError

needs("openTSNE", "umap")


def grouped(n_groups=3, each=40, width=12, seed=0):
    """Embeddings of tokens in groups far apart; token i is of group i % n_groups."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(width, width)))[0][:n_groups]
    vectors = centres[np.arange(n_groups * each) % n_groups] + rng.normal(scale=0.12, size=(n_groups * each, width))
    return embedkit.Embeddings([f"t{i}" for i in range(len(vectors))], vectors.astype(np.float32))


def test_pca_is_what_a_singular_value_decomposition_gives():
    embeddings = grouped()
    units = embeddings.vectors / np.linalg.norm(embeddings.vectors, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(units - units.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * values[:2]
    places = coordinates(embeddings)
    assert places.dtype == np.float32
    signs = np.sign((places * expected).sum(axis=0))
    np.testing.assert_allclose(places, expected * signs, atol=1e-4)


def test_vectors_that_differ_in_length_alone_lie_on_one_place():
    places = coordinates(embedkit.Embeddings(["a", "b", "c"], np.array([[1, 1], [2, 2], [1, 0]], np.float32)))
    np.testing.assert_allclose(places[0], places[1], atol=1e-6)
    assert abs(places[0, 0] - places[2, 0]) > 0.5


@given(st.integers(0, 9), st.integers(1, 4))
@settings(max_examples=30)
def test_any_number_of_points_and_numbers_has_places(n, width):
    vectors = np.random.default_rng(n).normal(size=(n, width)).astype(np.float32)
    places = coordinates(embedkit.Embeddings([f"t{i}" for i in range(n)], vectors))
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()


# Importing and compiling what these two need takes longer than all other tests here together.
EACH_METHOD = ["pca", *(pytest.param(method, marks=pytest.mark.slow) for method in ("tsne", "umap"))]


def test_the_methods_are_these():
    assert METHODS == ("pca", "tsne", "umap")


@pytest.mark.parametrize("method", EACH_METHOD)
def test_points_without_differences_have_finite_places(method):
    places = coordinates(embedkit.Embeddings([f"t{i}" for i in range(20)], np.ones((20, 3), np.float32)), method=method)
    assert places.shape == (20, 2)
    assert np.isfinite(places).all()


@pytest.mark.parametrize("method", EACH_METHOD)
def test_groups_stay_together_and_a_seed_repeats(method):
    embeddings = grouped()
    places = coordinates(embeddings, method=method, seed=3)
    group = np.arange(len(embeddings)) % 3
    centres = np.stack([places[group == g].mean(axis=0) for g in range(3)])
    found = np.square(places[:, None] - centres).sum(axis=2).argmin(axis=1)
    assert (found == group).mean() > 0.97
    np.testing.assert_array_equal(places, coordinates(embeddings, method=method, seed=3))


def test_tokens_by_name_and_by_id_are_the_same():
    embeddings = grouped()
    by_name = coordinates(embeddings, ["t4", "t1", "t9"])
    np.testing.assert_array_equal(by_name, coordinates(embeddings, np.array([4, 1, 9])))
    assert by_name.shape == (3, 2)
    with pytest.raises(UnknownNameError, match="no token 'nothing'"):
        coordinates(embeddings, ["nothing"])


def test_wrong_options_are_refused():
    embeddings = grouped()
    with pytest.raises(OptionError, match="must be one of 'pca', 'tsne', 'umap'"):
        coordinates(embeddings, method="mds")
    with pytest.raises(OptionError, match="above 1"):
        coordinates(embeddings, method="tsne", perplexity=0.5)
    with pytest.raises(OptionError, match="at least 2"):
        coordinates(embeddings, method="umap", n_neighbors=1)


def test_vectors_that_are_not_finite_are_refused():
    vectors = np.ones((9, 3), np.float32)
    vectors[4, 1] = np.nan
    with pytest.raises(EmbedkitError, match="no place on a map"):
        coordinates(embedkit.Embeddings([f"t{i}" for i in range(9)], vectors))


def test_neighbours_are_the_greatest_cosines():
    vectors = grouped().vectors
    found = nearest(vectors, 7)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    np.testing.assert_allclose(found.cosines, -np.sort(-cosines, axis=1)[:, :7], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(cosines, found.ids.astype(int), axis=1), found.cosines, atol=1e-5)


@pytest.mark.parametrize(("n", "k"), [(0, 3), (1, 3), (2, 3), (5, 0)])
def test_few_points_have_few_neighbours(n, k):
    found = nearest(np.eye(max(n, 1), 4, dtype=np.float32)[:n], k)
    assert found.ids.shape == (n, max(0, min(k, n - 1)))
