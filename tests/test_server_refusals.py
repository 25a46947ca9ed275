"""What the server does not answer: wrong questions, strangers, too many, too slow; it says what to send."""

import http.client
import json
import socket
import time

import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

from http_server import read, serving
from served_shop import assert_refused, make

from embedkit.errors import EmbedkitError
from embedkit.server.settings import Settings


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "shop.safetensors"
    make().save(path)
    return path


@pytest.fixture(scope="module")
def client(path):
    with serving(path) as client:
        yield client


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
    for method, path, allowed in (
        ("DELETE", "/api/similar", "GET, HEAD, POST"),
        ("POST", "/api/search", "GET, HEAD"),
    ):
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


def test_a_client_that_leaves_amid_its_body_is_no_bug(path):
    with serving(path) as client:
        with socket.create_connection(client.address) as leaving:
            leaving.sendall(b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
        counted, deadline = b"", time.monotonic() + 20
        while b'status="499"' not in counted and time.monotonic() < deadline:
            counted = client.get("/metrics")[1]
        assert b'embedkit_requests_total{route="/api/similar",status="499"} 1.0' in counted
        assert not [line for line in client.log if "bug" in line or "Exception" in line]


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
        answers = [client("GET", "/api/similar?token=item1") for _ in range(30)]
        assert [status for status, _, _ in answers][:5] == [200] * 5
        # A slow machine asks so slowly that some of those behind are let in again.
        status, headers, body = next(answer for answer in answers if answer[0] != 200)
        assert_refused((status, body), 429, "5 requests a second")
        assert int(headers["retry-after"]) == body["retry_after"] >= 1
        assert client.get("/health")[0] == 200


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
    patience = 0.3 if status == 408 else 10
    with serving(path, patience=patience) as client, socket.create_connection(client.address, timeout=20) as peer:
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
