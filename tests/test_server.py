"""The server: a real one on a free port, asked over HTTP."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

from http_server import Client, read, serving

import embedkit
from embedkit.cli.app import app
from embedkit.errors import EmbedkitError
from embedkit.server.maps import Maps
from embedkit.server.settings import Settings

N, SIZE = 203, 8


def make(seed=1, n=N, **more):
    """A model of random vectors with labels, counts, keys and histories; the last key has no history."""
    rng = np.random.default_rng(seed)
    lengths = np.append(rng.integers(1, 9, 39), 0)
    histories = embedkit.History(
        np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        rng.integers(0, n, lengths.sum(), dtype=np.int32),
        times=np.sort(rng.integers(0, 10**15, lengths.sum())),
    )
    parts = {
        "counts": rng.permutation(n) + 1,
        "labels": [f"Name of {i}" if i % 3 else "" for i in range(n)],
        "context_vectors": rng.standard_normal((n, SIZE), np.float32),
        "keys": [f"user{i}" for i in range(40)],
        "histories": histories,
        "config": {"trainer": "skipgram"},
    }
    return embedkit.Embeddings(
        [f"item{i}" for i in range(n)], rng.standard_normal((n, SIZE), np.float32), **parts | more
    )


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "shop.safetensors"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def client(path):
    with serving(path) as client:
        yield client


def pairs(results):
    return [(result["token"], pytest.approx(result["score"], rel=1e-4, abs=1e-5)) for result in results]


def assert_refused(answer, status, *words):
    found, body = answer
    assert found == status, body
    assert body["error"] == " ".join(body["error"].split())
    assert body["error"][-1] in ".?"
    for word in words:
        assert word in body["error"]


def test_the_server_tells_what_it_serves(client):
    status, body = client.get("/health")
    assert (status, body["status"]) == (200, "ok")
    about = {"name": "shop", "tokens": N, "keys": 40, "vector_size": SIZE, "trainer": "skipgram"}
    assert body["model"].items() >= about.items()
    status, body = client.get("/api/model")
    assert body.items() >= (about | {"labels": True, "histories": True}).items()
    assert len(body["examples"]["tokens"]) > 3


def test_examples_are_the_most_frequent(client, model):
    _, body = client.get("/api/model")
    wanted = np.argsort(-model.counts, kind="stable")[: len(body["examples"]["tokens"])]
    assert body["examples"]["tokens"] == model.tokens[wanted]
    lengths = np.diff(model.histories.indptr)
    assert lengths[int(body["examples"]["keys"][0][4:])] == lengths.max()


@pytest.mark.parametrize("topn", [1, 10, N, 1000])
def test_recommendations_are_those_of_python(client, model, topn):
    for key in ("user0", "user17", "user38"):
        status, body = client.get("/api/recommend", key=key, topn=topn)
        assert status == 200
        assert pairs(body["results"]) == model.recommend(key, topn=topn)
        assert body["key"] == key
        assert body["fallback"] is False


def test_recommendations_to_a_history(client, model):
    history = ["item3", "item9", "item3"]
    _, body = client.get("/api/recommend", item=history, exclude=["item1", "item2"], include_seen=True, topn=150)
    wanted = model.recommend(history=history, exclude=["item1", "item2"], include_seen=True, topn=150)
    assert pairs(body["results"]) == wanted
    assert body["history"][:2] == [{"token": "item3", "label": "item3"}, {"token": "item9", "label": "item9"}]
    _, body = client.get("/api/recommend", item=["item4"])
    assert pairs(body["results"]) == model.recommend(history=["item4"])
    assert body["history"] == [{"token": "item4", "label": "Name of 4"}]


def test_recommendations_to_many(client, model):
    keys = [f"user{i}" for i in range(39)]
    _, body = client.post("/api/recommend", {"keys": keys, "topn": 7})
    assert [answer["key"] for answer in body["results"]] == keys
    for key, answer in zip(keys, body["results"], strict=True):
        assert pairs(answer["results"]) == model.recommend(key, topn=7)
    _, body = client.post("/api/recommend", {"histories": [["item1"], ["item2", "item5"]], "exclude": ["item7"]})
    assert pairs(body["results"][1]["results"]) == model.recommend(history=["item2", "item5"], exclude="item7")


def test_reasons_are_those_of_python(client, model):
    _, body = client.get("/api/recommend", key="user5", explain=True, topn=3)
    for result in body["results"]:
        wanted = model.explain("user5", result["token"], topn=5).parts
        assert pairs(result["because"]) == wanted
        assert all("label" in reason for reason in result["because"])


def test_a_fallback_is_taken_where_it_is_asked_for(client, model):
    assert_refused(client.get("/api/recommend", key="user999"), 404, "user999", "Did you mean")
    assert_refused(client.get("/api/recommend", key="user39"), 422, "user39", "fallback=popular")
    for key in ("user999", "user39"):
        _, body = client.get("/api/recommend", key=key, fallback="popular", exclude="item5", topn=20)
        assert body["fallback"] is True
        assert pairs(body["results"]) == model.recommend("user999", fallback="popular", exclude="item5", topn=20)


def test_similar_tokens_are_those_of_python(client, model):
    _, body = client.get("/api/similar", token="item7", topn=300)
    assert pairs(body["results"]) == model.most_similar("item7", topn=300)
    assert body["label"] == "Name of 7"
    _, body = client.post("/api/similar", {"tokens": ["item1", "item2"], "topn": 4})
    assert [pairs(answer["results"]) for answer in body["results"]] == [
        model.most_similar(token, topn=4) for token in ("item1", "item2")
    ]


def test_analogies_similarities_vectors_and_histories(client, model):
    _, body = client.get("/api/analogy", a="item1", b="item2", c="item3", topn=12)
    wanted = model.analogy("item1", "item2", "item3", topn=12)
    assert [result["token"] for result in body["results"]] == [token for token, _ in wanted]
    _, body = client.get("/api/similarity", a="item1", b="item2")
    assert body["similarity"] == pytest.approx(model.similarity("item1", "item2"))
    _, body = client.get("/api/vectors", token=["item1", "item2"], key="user3")
    assert body["vector_size"] == SIZE
    np.testing.assert_array_equal(np.float32([entry["vector"] for entry in body["tokens"]]), model[["item1", "item2"]])
    np.testing.assert_array_equal(np.float32(body["keys"][0]["vector"]), model.key_vector("user3"))
    _, body = client.post("/api/vectors", {"tokens": ["item4"]})
    assert body["tokens"][0]["token"] == "item4"
    assert body["keys"] == []
    _, body = client.get("/api/history", key="user3")
    row = model.histories.take([3])
    assert [entry["token"] for entry in body["history"]] == model.tokens[row.indices]
    times = np.array([entry["time"].removesuffix("Z") for entry in body["history"]], "M8[us]")
    assert abs(times.astype(np.int64) - row.times).max() < 1_000_000
    assert client.get("/api/history", key="user39")[1]["history"] == []


def test_many_clients_at_once_get_their_own_answers(client, model):
    wanted = {f"user{i}": model.recommend(f"user{i}", topn=5) for i in range(39)}
    wrong = []

    def ask(start):
        connection = http.client.HTTPConnection(*client.address, timeout=20)
        for i in range(60):
            key = f"user{(start + 7 * i) % 39}"
            connection.request("GET", f"/api/recommend?key={key}&topn=5")
            status, _, body = read(connection.getresponse())
            if status != 200 or pairs(body["results"]) != wanted[key]:
                wrong.append((key, status, body))
        connection.close()

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(12)]
    for thread in threads:
        thread.start()
    client.post("/api/recommend", {"keys": list(wanted), "topn": 50})
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("where", "parameters", "status", "words"),
    [
        ("/api/recommend", {}, 422, ["key=K", "item=A"]),
        ("/api/recommend", {"key": "user1", "item": "item1"}, 422, ["one of the two"]),
        ("/api/recommend", {"key": ["user1", "user2"]}, 422, ["twice"]),
        ("/api/recommend", {"key": "user1", "topn": 0}, 422, ["topn", "at least 1"]),
        ("/api/recommend", {"key": "user1", "topn": 1001}, 422, ["topn", "1,000"]),
        ("/api/recommend", {"key": "user1", "topn": "ten"}, 422, ["topn", "whole number", "ten"]),
        ("/api/recommend", {"key": "user1", "topn": "9" * 5000}, 422, ["topn"]),
        ("/api/recommend", {"key": "user1", "topm": 3}, 422, ["topm", "'topn'"]),
        ("/api/recommend", {"key": "user1", "explain": "perhaps"}, 422, ["explain", "true or false"]),
        ("/api/recommend", {"key": "user1", "fallback": "best"}, 422, ["fallback", "popular"]),
        ("/api/recommend", {"key": ""}, 422, ["key", "empty"]),
        ("/api/recommend", {"key": "x" * 2000}, 422, ["key", "1,000 characters"]),
        ("/api/recommend", {"item": "itme3"}, 404, ["itme3", "Did you mean"]),
        ("/api/recommend", {"item": "item3", "exclude": "nothing like it"}, 404, ["nothing like it"]),
        ("/api/recommend", {"item": ["item3"] * 1001}, 422, ["1,001", "1,000"]),
        ("/api/recommend", {"key": "user1", "topn": 1000, "explain": True, "x": 1}, 422, ["x"]),
        ("/api/similar", {}, 422, ["token", "missing"]),
        ("/api/similar", {"token": "user1"}, 404, ["user1"]),
        ("/api/similar", {"token": "\x00\u202e\ud55c"}, 404, ["no token"]),
        ("/api/analogy", {"a": "item1", "b": "item2"}, 422, ["c is missing"]),
        ("/api/similarity", {"a": "item1", "b": "nope"}, 404, ["nope"]),
        ("/api/vectors", {}, 422, ["name the tokens"]),
        ("/api/history", {"key": "nobody"}, 404, ["nobody"]),
        ("/api/search", {"q": "a", "kind": "word"}, 422, ["kind", "token"]),
        ("/api/map", {"limit": 0}, 422, ["limit"]),
        ("/api/nothing", {}, 404, ["/api/nothing", "openapi"]),
    ],
)
def test_a_wrong_question_is_told_what_to_send(client, where, parameters, status, words):
    assert_refused(client.get(where, **parameters), status, *words)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 422, ["no JSON", '{"keys": ["a"]}']),
        ("", 422, ["no JSON"]),
        ("\ufeff{}", 422, ["no JSON"]),
        ("[" * 100_000, 422, ["no JSON"]),
        ("[]", 422, ["JSON object"]),
        ("null", 422, ["JSON object"]),
        ('{"keys": ["user1"], "topn": NaN}', 422, ["topn", "whole number"]),
        ('{"keys": ["user1"], "topn": Infinity}', 422, ["topn", "whole number"]),
        ('{"keys": ["user1"], "topn": 1e400}', 422, ["topn", "whole number"]),
        ('{"keys": ["user1"], "topn": "5"}', 422, ["topn", "whole number"]),
        ('{"keys": ["user1"], "topn": true}', 422, ["topn", "whole number"]),
        ('{"keys": ["user1"], "explain": 1}', 422, ["explain", "true or false"]),
        ('{"keys": "user1"}', 422, ["keys", "list"]),
        ('{"keys": ["user1", 7]}', 422, ["keys[1]", "string"]),
        ('{"keys": ["user1", null]}', 422, ["keys[1]", "string"]),
        ('{"keys": []}', 422, ["keys", "empty"]),
        ('{"keys": ["\\ud800"]}', 422, ["no JSON"]),
        ("{}", 422, ["keys", "histories"]),
        ('{"keys": ["user1"], "histories": [["item1"]]}', 422, ["one of the two"]),
        ('{"histories": [["item1"], []]}', 422, ["histories[1]", "empty"]),
        ('{"histories": [["item1"], ["itme2"]]}', 404, ["itme2"]),
        ('{"key": ["user1"]}', 422, ["key ", "'keys'"]),
        ('{"keys": ["user1", "nobody"]}', 404, ["nobody"]),
        ('{"histories": [["item1"]], "topn": 1000, "explain": true, "exclude": [7]}', 422, ["exclude[0]"]),
        (json.dumps({"keys": ["user1"] * 101, "topn": 1000}), 422, ["topn", "100,000"]),
        (json.dumps({"keys": ["user1"] * 1001}), 422, ["1,001", "1,000"]),
        (json.dumps({"keys": ["user1"] * 101, "topn": 10, "explain": True}), 422, ["explain", "1,000"]),
        (json.dumps({"keys": ["x" * (1 << 20)]}), 413, ["1,048,576"]),
    ],
)
def test_a_wrong_body_is_told_what_to_send(client, body, status, words):
    assert_refused(client.post("/api/recommend", body), status, *words)


def test_a_wrong_method_is_told_the_right_one(client):
    for method, path, allowed in (("DELETE", "/api/similar", "GET, POST"), ("POST", "/api/search", "GET")):
        status, headers, body = client(method, path)
        assert (status, headers["allow"]) == (405, allowed)
        assert method in body["error"]


def test_bytes_that_are_no_utf8_are_refused(client):
    assert_refused(client.get("/api/similar?token=%ff%fe"), 404)
    connection = http.client.HTTPConnection(*client.address, timeout=20)
    connection.request("POST", "/api/similar", b'{"tokens": ["\xff"]}')
    status, _, body = read(connection.getresponse())
    connection.close()
    assert_refused((status, body), 422, "no JSON")


def test_every_answer_bears_what_keeps_browsers_safe(client):
    for path in ("/health", "/api/model", "/nothing", "/api/similar"):
        _, headers, _ = client("GET", path)
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
    assert client("GET", "/api/model")[1]["cache-control"] == "no-store"


def test_a_name_that_is_not_ours_is_refused(client):
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        assert_refused(client.get("/api/model", {"Host": host}), 421, "--allowed-host")
    for host in ("localhost", "LOCALHOST:1234", "127.0.0.1:80", "[::1]:8000"):
        assert client.get("/api/model", {"Host": host})[0] == 200
    assert_refused(client.get("/api/model", {"Origin": "https://evil.example"}), 403)
    assert client.get("/api/model", {"Origin": f"http://localhost:{client.address[1]}"})[0] == 200


def test_openapi_describes_every_route_and_brings_no_page_of_others(client):
    _, body = client.get("/openapi.json")
    assert {"/api/recommend", "/api/similar", "/api/search", "/health", "/metrics", "/api/map"} <= body["paths"].keys()
    topn = next(p for p in body["paths"]["/api/similar"]["get"]["parameters"] if p["name"] == "topn")
    assert topn["schema"]["minimum"] == 1
    schema = body["paths"]["/api/recommend"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"].keys() >= {"keys", "histories", "topn"}
    for path in ("/docs", "/redoc"):
        assert client.get(path)[0] == 404


def test_metrics_count_what_happened(client):
    client.get("/api/similar", token="item1")
    client.get("/api/similar", token="nothing")
    client.get("/api/elsewhere/<script>")
    text = client.get("/metrics")[1].decode()
    assert 'embedkit_requests_total{route="/api/similar",status="200"}' in text
    assert 'embedkit_requests_total{route="/api/similar",status="404"}' in text
    assert "elsewhere" not in text
    assert "embedkit_request_seconds_bucket" in text
    assert f"embedkit_model_tokens {float(N)}" in text


def test_the_map_has_a_point_for_each_token(client, model):
    status, body = client.get("/api/map", limit=50)
    assert status == 200
    assert len(body["points"]["x"]) == len(body["points"]["y"]) == len(body["labels"]) == len(body["groups"]) == 50
    assert body["tokens"] == model.tokens[np.argsort(-model.counts, kind="stable")[:50]]


def test_maps_of_many_sizes_are_not_all_kept(client):
    for limit in range(30, 42):
        assert len(client.get("/api/map", limit=limit)[1]["tokens"]) == limit
    assert len(client.server.live._maps._made) <= 4


def test_a_map_that_cannot_be_made_is_told_to_each_who_waits_for_it():
    class Broken:
        embeddings = range(9)

    async def ask():
        with ThreadPoolExecutor(1) as executor:
            maps = Maps(executor, "pca")
            served = Broken()
            return await asyncio.gather(*(maps.get(served, 5) for _ in range(2)), return_exceptions=True)

    first, second = asyncio.run(ask())
    assert isinstance(first, AttributeError)  # `range` has no counts
    assert second is first


def test_a_client_that_leaves_amid_its_body_is_no_bug(path):
    with serving(path) as client:
        with socket.create_connection(client.address) as leaving:
            leaving.sendall(b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
        counted, deadline = b"", time.monotonic() + 5
        while b'status="400"' not in counted and time.monotonic() < deadline:
            counted = client.get("/metrics")[1]
        assert b'embedkit_requests_total{route="/api/similar",status="400"} 1.0' in counted
        assert not [line for line in client.log if "bug" in line or "Exception" in line]


def test_the_page_is_there_and_nothing_beside_it(client):
    status, headers, body = client("GET", "/")
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert b"<script>" not in body
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page/", "/page/nothing.js"):
        assert client.get(path)[0] == 404


def test_a_token_is_asked_for(path):
    token = "correct-horse-battery"
    with serving(path, token=token) as client:
        for given in (None, "Bearer wrong-horse-battery", f"Basic {token}", token, "Bearer ", f"Bearer {token}x"):
            headers = {} if given is None else {"Authorization": given}
            assert_refused(client.get("/api/model", headers), 401, "Authorization: Bearer")
            assert client.get("/health", headers) == (200, {"status": "ok"})
            assert client.get("/metrics", headers)[0] == 401
        assert client("GET", "/api/model")[1]["www-authenticate"].startswith("Bearer")
        for given in (f"Bearer {token}", f"bearer  {token}"):
            assert client.get("/api/model", {"Authorization": given})[0] == 200
            assert "model" in client.get("/health", {"Authorization": given})[1]


def test_no_address_but_loopback_without_a_token(tmp_path):
    for host in ("0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(EmbedkitError, match="token"):
            Settings(tmp_path / "m", host=host)
    Settings(tmp_path / "m", host="0.0.0.0", token="correct-horse-battery")
    for token in ("short", "with a space in it", "ümläute-ümläute-ü", ""):
        with pytest.raises(EmbedkitError, match="16 characters"):
            Settings(tmp_path / "m", token=token)


def test_too_many_requests_are_sent_away(path):
    with serving(path, rate=5) as client:
        answers = [client("GET", "/api/similar?token=item1") for _ in range(9)]
        assert [status for status, _, _ in answers][:5] == [200] * 5
        status, headers, body = answers[-1]
        assert_refused((status, body), 429, "5 requests a second")
        assert int(headers["retry-after"]) == body["retry_after"] >= 1
        assert client.get("/health")[0] == 200


def test_a_full_queue_sends_away(path):
    with serving(path, queue=1, patience=5) as client:
        with socket.create_connection(client.address) as slow:
            slow.sendall(b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                status, headers, body = client("GET", "/api/similar?token=item1")
                if status == 503:
                    break
            assert_refused((status, body), 503, "busy")
            assert headers["retry-after"] == "1"
        assert client.get("/api/similar", token="item1")[0] in (200, 503)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localh", 408),
        (b"", 408),
        (b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{", 408),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 70_000, 431),
        (b"GET /?" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 414),
    ],
)
def test_slow_and_strange_clients_are_hung_up_on(path, sent, status):
    with serving(path, patience=0.3) as client, socket.create_connection(client.address, timeout=10) as peer:
        peer.sendall(sent)
        answer = b""
        while part := peer.recv(1 << 16):
            answer += part
            if status == 408 and b"\r\n\r\n" in answer and b"connection: close" not in answer:
                break
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
        assert b'{"error":' in answer
        assert client.get("/health")[0] == 200


def test_servers_in_one_process_keep_their_own_limits(path):
    with (
        serving(path, patience=0.2) as hasty,
        serving(path, patience=30),
        socket.create_connection(hasty.address, timeout=10) as idle,
    ):
        assert idle.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_new_model_is_taken_up_without_dropping_a_request(tmp_path, model):
    path = tmp_path / "shop.safetensors"
    model.save(path)
    other = make(seed=2, n=77)
    stop, failed, sizes = threading.Event(), [], set()

    def ask(client):
        connection = http.client.HTTPConnection(*client.address, timeout=20)
        while not stop.is_set():
            connection.request("GET", "/api/similar?token=item1&topn=500")
            status, _, body = read(connection.getresponse())
            sizes.add(len(body.get("results", ())))
            if status != 200:
                failed.append((status, body))
        connection.close()

    with serving(path) as client:
        before = client.get("/health")[1]["model"]["version"]
        threads = [threading.Thread(target=ask, args=(client,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: sizes)
        other.save(path)
        wait_for(lambda: client.get("/health")[1]["model"]["version"] != before and len(sizes) > 1)
        stop.set()
        for thread in threads:
            thread.join()
        assert client.get("/health")[1]["model"]["tokens"] == 77
        assert any("took up" in line for line in client.log)
    assert failed == []
    assert sizes == {N - 1, 76}


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_broken_new_model_leaves_the_old_one_serving(tmp_path, model):
    path = tmp_path / "shop.safetensors"
    model.save(path)
    with serving(path) as client:
        whole = path.read_bytes()
        # In place, as cp does it: what is mapped must not change, nor be taken away.
        path.write_bytes(whole[: len(whole) // 2])
        wait_for(lambda: "trouble" in client.get("/health")[1])
        assert "truncated" in client.get("/health")[1]["trouble"]
        assert str(path) in client.get("/health")[1]["trouble"]
        assert pairs(client.get("/api/similar", token="item7")[1]["results"]) == model.most_similar("item7")
        assert any("the old one serves on" in line for line in client.log)
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 1
        path.write_bytes(damaged)
        wait_for(lambda: "damaged" in client.get("/health")[1].get("trouble", ""))
        path.unlink()
        wait_for(lambda: "no model" in client.get("/health")[1].get("trouble", ""))
        assert client.get("/api/recommend", key="user1")[0] == 200
        make(seed=4, n=50).save(path)
        wait_for(lambda: client.get("/health")[1]["model"]["tokens"] == 50)
        assert "trouble" not in client.get("/health")[1]
        assert 'embedkit_model_loads_total{outcome="refused"} 3.0' in client.get("/metrics")[1].decode()


def test_a_model_that_a_plugin_fails_on_does_not_end_the_watch(tmp_path, model, monkeypatch):
    path = tmp_path / "shop.safetensors"
    model.save(path)

    def fail(*given):
        raise ZeroDivisionError("of a\nplugin")

    def wait_for(words):
        deadline = time.monotonic() + 10
        while not any(words in line for line in client.log) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert any(words in line for line in client.log), client.log

    with serving(path) as client:
        with monkeypatch.context() as patch:
            patch.setattr("embedkit.server.live.open_served", fail)
            make(2).save(path)
            wait_for("the old one serves on: ZeroDivisionError: of a plugin")
        make(3).save(path)
        wait_for("took up shop")


def test_requests_at_work_are_answered_before_the_end(path):
    with serving(path, patience=5) as client, socket.create_connection(client.address, timeout=10) as peer:
        body = b'{"tokens": ["item1"]}'
        head = b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        peer.sendall(head + body[:5])
        wait_for(lambda: client.server._uvicorn.server_state.tasks)
        client.server.stop()
        time.sleep(0.3)
        peer.sendall(body[5:])
        assert b"200 OK" in peer.recv(100)


def test_models_without_the_optional_parts(tmp_path):
    rng = np.random.default_rng(1)
    embedkit.Embeddings(["a", "b", "ㅎ"], rng.standard_normal((3, 5), np.float32)).save(tmp_path / "m.safetensors")
    with serving(tmp_path / "m.safetensors") as client:
        _, body = client.get("/api/model")
        assert (body["keys"], body["labels"], body["histories"], body["examples"]["keys"]) == (0, False, False, [])
        assert_refused(client.get("/api/recommend", key="x"), 404, "no keys", "item=A")
        assert_refused(client.get("/api/recommend", key="x", fallback="popular"), 422, "how often", "fallback=none")
        assert_refused(client.get("/api/history", key="x"), 404, "no keys")
        assert client.get("/api/search", q="x", kind="key") == (200, {"results": []})
        assert client.get("/api/search", q="")[1]["results"][0] == {"token": "a", "label": "a", "count": None}
        assert {r["token"] for r in client.get("/api/recommend", item="a")[1]["results"]} == {"b", "ㅎ"}
        assert client.get("/api/similar", token="\u1112")[0] in (200, 404)
        assert client.get("/api/map")[0] == 200


def test_learned_keys_get_no_reasons_but_a_note(tmp_path):
    rng = np.random.default_rng(1)
    model = make(key_vectors=rng.standard_normal((40, SIZE), np.float32))
    model.save(tmp_path / "m.safetensors")
    with serving(tmp_path / "m.safetensors") as client:
        _, body = client.get("/api/recommend", key="user39", explain=True)
        assert pairs(body["results"]) == model.recommend("user39")
        assert "learned" in body["note"]
        assert body["results"][0]["because"] == []


def test_scores_that_are_not_finite_are_refused_and_spoil_no_others(tmp_path):
    vectors = np.ones((4, 2), np.float32)
    vectors[2] = 1e30
    embedkit.Embeddings(["a", "b", "huge", "d"], vectors).save(tmp_path / "m.safetensors")
    with serving(tmp_path / "m.safetensors") as client:
        assert_refused(client.get("/api/recommend", item="huge"), 422, "not finite")
        assert client.get("/api/similar", token="a")[0] == 200


@pytest.fixture
def refused(capsys):
    """Call `embedkit serve`, which must end with this exit code and one line that holds these words."""

    def call(arguments, code, *words):
        with pytest.raises(SystemExit) as leaving:
            app.main(["serve", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert (leaving.value.code, out) == (code, "")
        line = err.splitlines()[-1]
        assert [word for word in ("embedkit: ", *words) if word not in line] == []

    return call


def test_a_server_that_cannot_start_says_why(refused, path, tmp_path, client, monkeypatch):
    refused(["--model", tmp_path / "none.safetensors"], 1, "there is no model", "embedkit train")
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    refused(["--model", tmp_path / "bad.safetensors", "--port", 0], 1, "no model of embedkit")
    refused(["--model", tmp_path, "--port", 0], 1, "folder")
    taken = client.address[1]
    refused(["--model", path, "--port", taken], 1, f"port {taken}", "in use", "--port")
    refused(["--model", path, "--host", "0.0.0.0"], 1, "0.0.0.0", "--token-file")
    refused(["--model", path, "--port", 70000], 2, "--port", "65535")
    refused(["--model", path, "--rate", "nan"], 2, "--rate")
    refused(["--model", path, "--queue", 0], 2, "--queue", "at least 1")
    refused(["--model", path, "--token-file", tmp_path / "none"], 1, "none", "cannot be read")
    (tmp_path / "token").write_text("\n")
    refused(["--model", path, "--token-file", tmp_path / "token"], 1, "is empty")
    monkeypatch.setenv("EMBEDKIT_TOKEN", "short")
    refused(["--model", path], 1, "16 characters")


def test_a_missing_extra_is_named(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    refused([], 1, "fastapi", "pip install '.[serve]'")


@pytest.mark.slow
def test_a_signal_stops_the_server_in_order(path):
    command = [sys.executable, "-m", "embedkit", "serve", "--port", "0", "--model", str(path)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    lines = [server.stderr.readline()]
    while "http://" not in lines[-1]:
        assert lines[-1], lines
        lines.append(server.stderr.readline())
    url = next(word for word in lines[-1].split() if word.startswith("http://"))
    assert Client(url).get("/health")[0] == 200
    server.terminate()
    rest = server.communicate(timeout=20)[1]
    assert (server.returncode, rest) == (0, "embedkit: stopped.\n")


def test_nothing_is_left_in_the_temporary_folder(path, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serving(path) as client:
        assert list(tmp_path.iterdir()) == []
        assert client.get("/health")[0] == 200
