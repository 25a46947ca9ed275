"""Both ways through all vectors, by plain products and by codes, beside NumPy."""

import numpy as np
import pytest
from conftest import needs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

from embedkit.errors import EmbedkitError
from embedkit.server import spaces
from embedkit.server.codes import Codes
from embedkit.server.kernels_codes import AVAILABLE
from embedkit.server.spaces import MOST, Space, spaces_of

WAYS = [False, pytest.param(True, marks=pytest.mark.skipif(not AVAILABLE, reason="needs AVX-512 VNNI"))]
NOTHING = np.empty(0, np.float32)
NUMBERS = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1e-30, -1e-30, 127.0, 3e5])


def drawn(kind, n, size, rng):
    """Vectors as trainers make them: all numbers alike, falling off, or one that outdoes the rest."""
    vectors = rng.standard_normal((n, size))
    if kind == "falling":
        vectors *= np.exp(-np.arange(size) / 5)
    if kind == "one large":
        vectors[:, -1] += 300
    if kind == "lengths differ":
        vectors *= 10.0 ** rng.integers(-6, 6, n)[:, None]
    return vectors.astype(np.float32)


@pytest.mark.skipif(not AVAILABLE, reason="needs AVX-512 VNNI")
def test_codes_are_left_out_where_there_is_no_memory_for_them(monkeypatch):
    vectors = np.ones((100, 30), np.float32)
    free, scale = 2 * 100 * (32 + 16), np.ones(100, np.float32)
    for available, coded in ((free + 1, True), (free, False), (None, True)):
        monkeypatch.setattr(spaces, "available_bytes", lambda available=available: available)
        assert [space.codes is not None for space in spaces_of(vectors, -vectors, scale)] == [coded, coded]


@pytest.mark.parametrize("coded", WAYS)
@pytest.mark.parametrize("kind", ["alike", "falling", "one large", "lengths differ"])
@pytest.mark.parametrize(("n", "size", "rows"), [(1, 1, 1), (7, 3, 2), (1000, 33, 17), (503, 128, MOST)])
def test_the_best_are_found(coded, kind, n, size, rows):
    rng = np.random.default_rng(1)
    vectors, queries = drawn(kind, n, size, rng), drawn(kind, rows, size, rng)
    for scale in (NOTHING, rng.random(n, np.float32)):
        codes = None
        if coded:
            codes = Codes.of(vectors).scaled(scale) if len(scale) else Codes.of(vectors)
        excluded = [np.sort(rng.permutation(n)[: rng.integers(0, min(n, 9))]).astype(np.int32) for _ in range(rows)]
        indptr = np.concatenate(([0], np.cumsum([len(ids) for ids in excluded])))
        ids, scores = Space(vectors, scale, codes).best(queries, 5, indptr, np.concatenate(excluded))
        wanted = queries.astype(np.float64) @ vectors.astype(np.float64).T
        slack = 1e-5 * np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)
        if len(scale):
            wanted, slack = wanted * scale, slack * scale
        for row in range(rows):
            wanted[row, excluded[row]] = -np.inf
            found = ids[row][ids[row] >= 0]
            assert len(found) == min(5, n - len(excluded[row]))
            assert set(found).isdisjoint(excluded[row])
            assert (np.abs(scores[row][ids[row] >= 0] - wanted[row, found]) <= slack[row, found]).all()
            left = np.setdiff1d(np.arange(n), found)
            if len(found):
                # Nothing that was left out is better, but for what float32 cannot tell apart.
                assert (wanted[row, left] - slack[row, left] <= (wanted[row] + slack[row])[found].min()).all()


@given(arrays(np.float32, (6, 5), elements=NUMBERS), arrays(np.float32, (3, 5), elements=NUMBERS))
def test_no_score_is_above_its_bound(vectors, queries):
    codes = Codes.of(vectors)
    asked, lanes = codes.asked(queries, 16)
    plain = asked.transpose(0, 2, 1).reshape(-1, 16)[:, :3].astype(np.int64)
    offset, step, rest, length = codes.about.astype(np.float64).T
    sums = codes.codes.astype(np.int64) @ plain - offset[:, None]
    worth, lengths, errors = lanes[:, :3].astype(np.float64)
    bound = step[:, None] * sums * worth + rest[:, None] * lengths + length[:, None] * errors
    assert (vectors.astype(np.float64) @ queries.astype(np.float64).T <= bound * (1 + 1e-6) + 1e-30).all()


@pytest.mark.parametrize("coded", WAYS)
def test_scores_that_are_not_finite_are_refused(coded):
    vectors = np.full((9, 4), 1e25, np.float32)
    space = Space(vectors, NOTHING, Codes.of(vectors) if coded else None)
    with pytest.raises(EmbedkitError, match="not finite"):
        space.best(vectors[:1], 2, np.zeros(2, np.int64), np.empty(0, np.int32))


@pytest.mark.skipif(not AVAILABLE, reason="needs AVX-512 VNNI")
def test_codes_are_given_up_where_they_tell_too_little():
    rng = np.random.default_rng(1)
    alike, _ = spaces_of(*[drawn("alike", 20_000, 32, rng)] * 2, np.ones(20_000, np.float32))
    alike.choose(drawn("alike", MOST, 32, rng))
    assert alike.codes is not None
    vectors = drawn("one large", 20_000, 32, rng)
    large, _ = spaces_of(vectors, vectors, np.ones(20_000, np.float32))
    large.choose(drawn("one large", MOST, 32, rng))
    assert large.codes is None
