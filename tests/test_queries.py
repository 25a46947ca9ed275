from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_scoring import mean as slow_mean

from embedkit import queries
from embedkit.contracts import History, QueryContext

VECTORS = np.random.default_rng(0).standard_normal((12, 3), np.float32)
CONTEXT = QueryContext(VECTORS, VECTORS)


def history_of(rows, weights=None):
    indptr = np.concatenate(([0], np.cumsum([len(r) for r in rows]))).astype(np.int64)
    flat = None if weights is None else np.array(list(chain(*weights)), np.float32)
    return History(indptr, np.array(list(chain(*rows)), np.int32), flat)


entries = st.lists(st.lists(st.tuples(st.integers(0, 11), st.floats(0.01, 100)), max_size=6), max_size=6)


@pytest.mark.parametrize("sparse", [False, True])
@settings(max_examples=60, deadline=None)
@given(entries=entries, weighted=st.booleans())
def test_mean_agrees_with_its_twin(sparse, entries, weighted):
    rows = [[i for i, _ in row] for row in entries]
    weights = [[w for _, w in row] for row in entries] if weighted else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedkit.queries.weighted_mean._WORTH_SCIPY", 0 if sparse else 10**9)
        made = queries.mean(history_of(rows, weights), CONTEXT)
    assert made.dtype == np.float32
    assert made.shape == (len(rows), 3)
    np.testing.assert_allclose(made, slow_mean(rows, VECTORS, weights), rtol=1e-4, atol=1e-5)


def test_an_empty_history_is_a_row_of_zeros():
    assert queries.mean(history_of([[], [1], []]), CONTEXT)[[0, 2]].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_parts_sum_to_the_score():
    history = history_of([[1, 5, 1, 7]], [[1.0, 2.0, 3.0, 0.5]])
    parts = queries.mean_parts(history, CONTEXT, VECTORS[3])
    assert parts.shape == (4,)
    np.testing.assert_allclose(parts.sum(), queries.mean(history, CONTEXT)[0] @ VECTORS[3], rtol=1e-5)


def test_every_builder_with_parts_is_built_in():
    assert set(queries.PARTS) <= set(queries.BUILT_IN)
    assert queries.DEFAULT in queries.BUILT_IN
