"""The server's one pass over all vectors, beside plain NumPy."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

import embedkit
from embedkit.errors import EmbedkitError
from embedkit.server.kernels import LANES
from embedkit.server.ranker import Question, Ranker, unit
from embedkit.server.refusals import LONGEST_WAIT, Refusal

NONE = np.empty(0, np.int32)


def plain(scores, excluded, topn):
    """The best of one row of scores: best first, equal ones by lower id."""
    scores = scores.astype(np.float64).copy()
    scores[excluded] = -np.inf
    order = np.argsort(-scores, kind="stable")[:topn]
    return order[np.isfinite(scores[order])].tolist()


def ranker(n, size, seed=1, whole=True):
    """A ranker over small whole numbers, whose sums are exact and often equal, or over drawn ones."""
    rng = np.random.default_rng(seed)
    draw = (lambda: rng.integers(-2, 3, (n, size))) if whole else (lambda: rng.standard_normal((n, size)))
    model = embedkit.Embeddings(
        [f"t{i}" for i in range(n)],
        draw().astype(np.float32),
        context_vectors=draw().astype(np.float32),
        keys=[f"k{i}" for i in range(n)],
        key_vectors=draw().astype(np.float32),
    )
    return model, Ranker(model, ThreadPoolExecutor(1))


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 100])
@pytest.mark.parametrize("size", [1, 3, 16, 50])
def test_the_best_by_dot_product(n, size):
    model, rank = ranker(n, size)
    rng = np.random.default_rng(2)
    for count in (1, LANES, LANES + 1, 2 * LANES):
        questions = [
            Question(int(rng.integers(1, n + 3)), rng.integers(0, n, rng.integers(0, 4)).astype(np.int32), row=i % n)
            for i in range(count)
        ]
        answers = rank.answer(questions)
        for question, (ids, scores) in zip(questions, answers, strict=True):
            wanted = model.key_vectors[question.row] @ model.context_vectors.T
            assert ids == plain(wanted, question.excluded, question.topn)
            assert scores == wanted[ids].tolist()


def test_the_best_by_cosine():
    model, rank = ranker(97, 20, whole=False)
    questions = [Question(9, np.array([i], np.int32), vector=unit(model.vectors[i])) for i in range(20)]
    for i, (ids, scores) in enumerate(rank.answer(questions)):
        wanted = model.most_similar(f"t{i}", topn=9)
        assert [f"t{token}" for token in ids] == [token for token, _ in wanted]
        np.testing.assert_allclose(scores, [score for _, score in wanted], rtol=1e-5)


def test_questions_of_all_kinds_in_one_batch():
    model, rank = ranker(30, 5, whole=False)
    history = embedkit.History(np.array([0, 2]), np.array([3, 4], np.int32))
    mixed = [
        Question(3, NONE, vector=unit(model.vectors[7])),
        Question(4, NONE, row=2),
        Question(5, NONE, history=history),
    ]
    together = rank.answer(mixed)
    for question, answer in zip(mixed, together, strict=True):
        (alone,) = rank.answer([question])
        assert answer[0] == alone[0]
        np.testing.assert_allclose(answer[1], alone[1], rtol=1e-5)


def test_one_question_that_cannot_be_answered_spoils_no_others():
    vectors = np.ones((4, 2), np.float32)
    vectors[2] = 1e30
    model = embedkit.Embeddings(list("abcd"), vectors, keys=list("abcd"), key_vectors=vectors)
    with ThreadPoolExecutor(1) as pool:
        rank = Ranker(model, pool)

        async def ask():
            asked = (rank.rank(Question(2, NONE, row=row)) for row in range(4))
            return await asyncio.gather(*asked, return_exceptions=True)

        answers = asyncio.run(ask())
    assert isinstance(answers[2], EmbedkitError)
    assert [answer[0] for i, answer in enumerate(answers) if i != 2] == [[2, 0]] * 3


def test_single_questions_come_between_many():
    _, rank = ranker(50, 8)
    done = []
    with ThreadPoolExecutor(1) as pool:
        rank._executor = pool

        async def single():
            await rank.rank(Question(1, NONE, row=0))
            done.append("single")

        async def many():
            await rank.rank_many([Question(1, NONE, row=0) for _ in range(50 * LANES)])
            done.append("many")

        async def both():
            first = asyncio.create_task(many())
            await asyncio.sleep(0)
            await asyncio.gather(first, single())

        asyncio.run(both())
    assert done == ["single", "many"]
    assert rank.waiting == 0


def test_whose_turn_comes_too_late_is_refused_and_the_others_are_answered():
    _, rank = ranker(50, 8)
    late = time.monotonic() - LONGEST_WAIT - 1
    with ThreadPoolExecutor(1) as pool:
        rank._executor = pool

        async def ask():
            asked = [
                rank.rank(Question(1, NONE, row=0)),
                rank.rank(Question(1, NONE, row=1, asked=late)),
                rank.rank_many([Question(1, NONE, row=2), Question(1, NONE, row=3, asked=late)]),
                rank.rank(Question(1, NONE, row=4)),
            ]
            return await asyncio.gather(*asked, return_exceptions=True)

        first, second, many, last = asyncio.run(ask())
    for refused in (second, many):
        assert isinstance(refused, Refusal)
        assert (refused.status, refused.retry_after) == (503, 2)
    assert len(first[0]) == len(last[0]) == 1
    assert rank.waiting == 0
