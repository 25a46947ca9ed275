"""What a server holds at a time: answers of vectors, histories as long as may be, maps of models that are gone."""

import asyncio
import contextlib
import gc
import json
import socket
import threading
import time
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

from http_server import serving
from served_shop import SIZE, N, assert_refused, make
from test_server_abuse import HEAD, read_all, wait_for

import embedkit
from embedkit.server.large import written
from embedkit.server.maps import Maps
from embedkit.server.ranker import Question, Ranker
from embedkit.server.refusals import Refusal
from embedkit.server.served import open_served
from embedkit.server.settings import Settings

LONG = 100_000
NONE = np.empty(0, np.int32)


def with_a_long_history(length, n=N, **more):
    """A model with two keys: `bot`, whose history is long, and `user`, who had item 3."""
    rng = np.random.default_rng(1)
    tokens = np.append(rng.integers(0, n // 2, length), 3).astype(np.int32)
    histories = embedkit.History(np.array([0, length, length + 1]), tokens, times=np.arange(length + 1) * 10**6)
    return make(n=n, keys=["bot", "user"], histories=histories, **more)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "wide.safetensors"
    narrow = with_a_long_history(3000)
    wide = np.random.default_rng(1).standard_normal((N, 1024), np.float32)
    embedkit.Embeddings(narrow.tokens, wide, keys=narrow.keys, histories=narrow.histories).save(path)
    with serving(path) as client:
        yield client


@contextlib.contextmanager
def doing_nothing_slowly(client):
    """Keep the threads that do what takes long from work."""
    free = threading.Event()
    for _ in range(2):
        client.server.live.slow.submit(free.wait)
    wait_for(lambda: client.server.live.slow._work_queue.qsize() == 0)
    try:
        yield client.server.live.slow._work_queue
    finally:
        free.set()


def post(client, stack, path, body):
    """Send a request over a connection of its own, and do not wait for the answer."""
    sent = json.dumps(body).encode()
    peer = stack.enter_context(socket.create_connection(client.address, timeout=20))
    close = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(sent)
    peer.sendall(HEAD % (b"POST", path) + close + sent)
    return peer


def test_vectors_that_are_asked_for_at_a_time_are_bounded_in_all(client):
    room, asked = client.server.live.room, {"tokens": ["item1"] * 900}
    assert_refused(client.post("/api/vectors", {"tokens": ["item1"] * 1000}), 422, "1,000,000 numbers", "fewer")
    with doing_nothing_slowly(client), contextlib.ExitStack() as leaving:
        for i in range(5):
            post(client, leaving, b"/api/vectors", asked)
            wait_for(lambda i=i: room.at_work == (i + 1) * 92_160)
        assert_refused(client.post("/api/vectors", asked), 503, "large requests", "ask again")
        leaving.close()
        wait_for(lambda: room.at_work == 0)
    assert len(client.get("/api/vectors", token="item2")[1]["tokens"][0]["vector"]) == 1024


def test_answers_are_counted_until_they_are_written(client):
    asked = {"tokens": ["item1"] * 20, "topn": 200}
    with contextlib.ExitStack() as stack:
        with doing_nothing_slowly(client) as waiting:
            peers = [post(client, stack, b"/api/similar", asked) for _ in range(3)]
            wait_for(lambda: waiting.qsize() == 3)
            assert client.server.live.room.at_work == 12_000
        assert all(read_all(peer).startswith(b"HTTP/1.1 200") for peer in peers)
    wait_for(lambda: client.server.live.room.at_work == 0)


def test_work_that_does_not_begin_in_time_is_refused(client, monkeypatch):
    monkeypatch.setattr("embedkit.server.answers.LONGEST_WAIT", 0.2)
    with contextlib.ExitStack() as stack:
        with doing_nothing_slowly(client) as waiting:
            peer = post(client, stack, b"/api/vectors", {"tokens": ["item1"]})
            wait_for(lambda: waiting.qsize() == 1)
            time.sleep(0.3)
        answer = read_all(peer)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"too busy to answer in time; ask again." in answer
    assert b"\r\nretry-after: 2\r\n" in answer.lower()
    wait_for(lambda: client.server.live.room.at_work == 0)


def test_elements_are_written_one_at_a_time():
    class Element(dict):
        pass

    def elements():
        before = None
        for i in range(9):
            assert before is None or before() is None
            element = Element(i=i)
            before = weakref.ref(element)
            yield element
            del element

    text = written({"n": 9, "each": elements(), "none": [], "word": "ㅎ"}).text
    assert json.loads(text) == {"n": 9, "each": [{"i": i} for i in range(9)], "none": [], "word": "ㅎ"}


def test_the_newest_entries_of_a_history_are_told(client):
    rows = with_a_long_history(3000).histories.indices[:3000]
    status, body = client.get("/api/history", key="bot")
    assert (status, body["length"], len(body["history"])) == (200, 3000, 1000)
    assert [entry["token"] for entry in body["history"]] == [f"item{i}" for i in rows[-1000:]]
    assert body["history"][-1]["time"] == "1970-01-01T00:49:59Z"
    for limit in (1, 2999, 3000, 10_000):
        _, body = client.get("/api/history", key="bot", limit=limit)
        assert [entry["token"] for entry in body["history"]] == [f"item{i}" for i in rows[-limit:]]
    for limit in (0, 10_001):
        assert_refused(client.get("/api/history", key="bot", limit=limit), 422, "limit must be")
    parameters = client.get("/openapi.json")[1]["paths"]["/api/history"]["get"]["parameters"]
    described = next(one["schema"] for one in parameters if one["name"] == "limit")
    assert (described["default"], described["maximum"]) == (1000, 10_000)


def test_a_history_is_told_without_keeping_others_waiting(client):
    with contextlib.ExitStack() as stack:
        with doing_nothing_slowly(client) as waiting:
            peer = stack.enter_context(socket.create_connection(client.address, timeout=20))
            peer.sendall(HEAD % (b"GET", b"/api/history?key=bot") + b"Connection: close\r\n\r\n")
            wait_for(lambda: waiting.qsize() == 1)
            assert client.get("/health")[0] == 200
        assert b'"length":3000' in read_all(peer)


def traced(work):
    """The most memory, in bytes, that some work took."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_history_is_not_taken_many_times_at_a_time():
    model = with_a_long_history(LONG)
    with ThreadPoolExecutor(1) as pool:
        Ranker(make(), pool).warm_up()  # compiles, which would be traced too
        ranker = Ranker(model, pool)
        assert traced(ranker.warm_up) < 40 * LONG
        seen = model.histories.indices[:LONG]

        async def ask():
            questions = [Question(5, NONE, row=0, seen=seen) for _ in range(32)]
            questions += [Question(5, NONE, row=1) for _ in range(32)]
            return await ranker.rank_many(questions)

        answers = []
        assert traced(lambda: answers.extend(asyncio.run(ask()))) < 500 * LONG
    for key, ranking, include_seen in (("bot", answers[31], False), ("user", answers[32], True)):
        wanted = model.recommend(key, topn=5, include_seen=include_seen)
        assert [f"item{i}" for i in ranking[0]] == [token for token, _ in wanted]


def test_vectors_of_keys_are_made_for_some_at_a_time(tmp_path):
    with_a_long_history(300_000).save(tmp_path / "shop.safetensors")
    with serving(tmp_path / "shop.safetensors") as client:
        keys = ["user", *["bot"] * 6, "user", "user"]
        answers = []
        assert traced(lambda: answers.append(client.post("/api/vectors", {"keys": keys}))) < 100 * 300_000
    model = with_a_long_history(300_000)
    for key, entry in zip(keys, answers[0][1]["keys"], strict=True):
        wanted = model.query_vectors(model.histories.take([["bot", "user"].index(key)]))[0]
        np.testing.assert_allclose(entry["vector"], wanted, rtol=1e-5)


def test_long_histories_hold_up_neither_those_who_ask_one_by_one_nor_many():
    model = with_a_long_history(LONG)
    with ThreadPoolExecutor(1) as pool:
        ranker = Ranker(model, pool, threads=0)  # nothing is answered

        async def ask():
            for queue in (ranker._single, ranker._bulk):
                for row in (0, 0, 0, 1, 1):
                    ranker._put(Question(5, NONE, row=row), queue)
            return [[question.row for question in ranker._next()] for _ in range(3)]

        assert asyncio.run(ask()) == [[0, 0, 0, 0], [0, 1, 1, 0, 1, 1], []]


def test_a_model_of_long_histories_alone_is_made_ready():
    histories = embedkit.History(np.array([0, LONG]), np.zeros(LONG, np.int32))
    model = embedkit.Embeddings(list("ab"), np.ones((2, SIZE), np.float32), keys=["bot"], histories=histories)
    with ThreadPoolExecutor(1) as pool:
        ranker = Ranker(model, pool)
        ranker.warm_up()
        assert ranker.answer([Question(1, NONE, row=0, seen=histories.indices)])[0][0] == [1]


def test_maps_of_a_model_that_is_gone_do_not_wait():
    class Model:
        embeddings = range(9)

    async def exchange(maps):
        model = Model()
        asked = [asyncio.create_task(maps.get(model, limit)) for limit in range(2, 6)]
        await asyncio.sleep(0.01)
        maps.forget()
        asked[0].cancel()  # of the first model, it would wait for a map that is being made
        _, *others = await asyncio.gather(*asked, return_exceptions=True)
        assert [other.status for other in others] == [202] * 3
        return weakref.ref(model)

    async def ask(pool):
        maps = Maps(pool, "pca")
        gone = [await exchange(maps) for _ in range(6)]
        await asyncio.sleep(0)
        gc.collect()
        return pool._work_queue.qsize(), [model() is None for model in gone]

    free = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(free.wait)
        try:
            assert asyncio.run(ask(pool)) == (1, [False, *[True] * 5])
        finally:
            free.set()


def test_a_map_that_is_being_made_is_given_and_the_next_models_after_it(tmp_path):
    make().save(tmp_path / "shop.safetensors")
    free = threading.Event()

    async def ask(pool, rankers):
        maps = Maps(pool, "pca")
        old, new = (open_served(Settings(tmp_path / "shop.safetensors"), rankers) for _ in range(2))
        asked = [asyncio.create_task(maps.get(old, limit)) for limit in (20, 30)]
        await asyncio.sleep(0.01)
        maps.forget()
        asked.append(asyncio.create_task(maps.get(new, 30)))
        await asyncio.sleep(0.01)
        free.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as rankers:
        pool.submit(free.wait)
        made, left, after = asyncio.run(ask(pool, rankers))
    assert (len(made["tokens"]), len(after["tokens"])) == (20, 30)
    assert isinstance(left, Refusal)
    assert left.status == 202
