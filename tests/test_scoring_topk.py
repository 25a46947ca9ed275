from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_scoring import topk as slow_topk

from embedkit.errors import EmbedkitError, OptionError
from embedkit.scoring import Rows, popular, rank, ranking, topk


def rows_of(lists):
    lengths = [len(ids) for ids in lists]
    return Rows(np.concatenate(([0], np.cumsum(lengths))).astype(np.int64), np.array(list(chain(*lists)), np.int32))


def pairs(ranked):
    return [
        [(i, s) for i, s in zip(ids, scores, strict=True) if i >= 0]
        for ids, scores in zip(ranked.ids.tolist(), ranked.scores.tolist(), strict=True)
    ]


@st.composite
def problems(draw):
    n, q = draw(st.integers(0, 40)), draw(st.integers(0, 5))
    # Small whole numbers: many ties, and dot products without rounding.
    values = st.integers(-2, 2)
    seed = draw(st.integers(0, 2**32 - 1))
    d = draw(st.integers(1, 3))
    rng = np.random.default_rng(seed)
    ids = st.lists(st.integers(0, n - 1), max_size=n) if n else st.just([])
    return {
        "queries": rng.integers(-2, 3, (q, d)).astype(np.float32) * draw(values),
        "vectors": rng.integers(-2, 3, (n, d)).astype(np.float32),
        "k": draw(st.integers(1, n + 3)),
        "exclude": [draw(ids) for _ in range(q)],
        "banned": draw(ids),
        "only": draw(st.none() | ids),
    }


@pytest.mark.parametrize("kernel", [False, True])
@settings(max_examples=150, deadline=None)
@given(problem=problems())
def test_topk_agrees_with_its_twin(kernel, problem):
    queries, vectors, k = problem["queries"], problem["vectors"], problem["k"]
    only = None if problem["only"] is None else np.array(problem["only"], np.int64)
    exclude, banned = rows_of(problem["exclude"]), np.array(problem["banned"], np.int64)
    found = topk(queries, vectors, k, exclude=exclude, banned=banned, only=only, kernel=kernel)
    scores = (queries @ vectors.T).tolist()
    assert pairs(found) == slow_topk(scores, k, problem["exclude"], problem["banned"], problem["only"])


@pytest.mark.parametrize("kernel", [False, True])
@pytest.mark.parametrize("only", [None, np.arange(0, 700, 2)])
def test_blocks_change_nothing(monkeypatch, kernel, only):
    rng = np.random.default_rng(0)
    queries = rng.integers(-3, 4, (37, 4)).astype(np.float32)
    vectors = rng.integers(-3, 4, (700, 4)).astype(np.float32)
    exclude = [rng.choice(700, 30, replace=False).tolist() for _ in range(37)]
    monkeypatch.setattr(ranking, "_BLOCK", 1000)
    monkeypatch.setattr(ranking, "_TILE_ROWS", 8)
    monkeypatch.setattr(ranking, "_TILE_COLUMNS", 100)
    found = topk(queries, vectors, 25, exclude=rows_of(exclude), only=only, banned=np.array([4, 6]), kernel=kernel)
    expected = slow_topk((queries @ vectors.T).tolist(), 25, exclude, [4, 6], only)
    assert pairs(found) == expected


@pytest.mark.parametrize("kernel", [False, True])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 70, 299])
def test_a_score_that_is_not_finite_is_refused(kernel, bad, place):
    vectors = np.arange(300, 0, -1, dtype=np.float32)[:, None]
    vectors[place] = bad
    with pytest.raises(EmbedkitError, match="query 0 is not finite"):
        topk(np.ones((3, 1), np.float32), vectors, 2, kernel=kernel)


@pytest.mark.parametrize("kernel", [False, True])
def test_negative_zero_ties_with_zero(kernel):
    vectors = np.array([[-0.0], [0.0], [-0.0], [0.0]], np.float32)
    found = topk(np.ones((1, 1), np.float32), vectors, 3, kernel=kernel)
    assert found.ids.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("kernel", [False, True])
def test_everything_left_out_gives_no_answer(kernel):
    found = topk(np.ones((2, 1), np.float32), np.ones((3, 1), np.float32), 2, banned=np.arange(3), kernel=kernel)
    assert found.ids.tolist() == [[-1, -1], [-1, -1]]
    assert np.isneginf(found.scores).all()


def test_k_below_one_is_refused():
    with pytest.raises(OptionError, match="at least 1; got 0"):
        topk(np.ones((1, 1), np.float32), np.ones((3, 1), np.float32), 0)


def test_few_candidates_are_scored_alone():
    scored = []

    def score(rows, items, out):
        scored.append(items)
        out[:] = items

    found = rank(score, 1, 1_000_000, 2, only=np.array([7, 900_000, 7, 3]))
    assert np.concatenate(scored).tolist() == [3, 7, 900_000]
    assert found.ids.tolist() == [[900_000, 7]]


def test_many_queries_choose_the_kernel_and_agree(monkeypatch):
    monkeypatch.setattr(ranking, "_WORTH_COMPILING", 1)
    rng = np.random.default_rng(1)
    queries, vectors = rng.standard_normal((600, 8), np.float32), rng.standard_normal((300, 8), np.float32)
    fast, plain = topk(queries, vectors, 9), topk(queries, vectors, 9, kernel=False)
    assert np.array_equal(fast.ids, plain.ids)
    np.testing.assert_allclose(fast.scores, plain.scores, rtol=1e-4, atol=1e-5)


def test_popular_orders_by_count_then_id():
    found = popular(np.array([5, 9, 9, 1]), 3, banned=np.array([1]))
    assert pairs(found) == [[(2, 9.0), (0, 5.0), (3, 1.0)]]
