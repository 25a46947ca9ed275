"""Clients that keep the server waiting, ask for too much at a time, or speak no proper HTTP: it serves on."""

import contextlib
import json
import random
import socket
import threading
import time

import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

from http_server import serving
from served_shop import N, assert_refused, make

HEAD = b"%s %s HTTP/1.1\r\nHost: localhost\r\n"
GET = HEAD % (b"GET", b"/health") + b"\r\n"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "shop.safetensors"
    make().save(path)
    return path


@pytest.fixture(scope="module")
def client(path):
    with serving(path) as client:
        yield client


def read_all(peer):
    """All that comes until the server hangs up."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := peer.recv(1 << 16):
            answer += part
    return answer


def read_on(peer):
    while peer.recv(1 << 16):
        pass


def ask(client, sent, timeout=10):
    with socket.create_connection(client.address, timeout=timeout) as peer:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            peer.sendall(sent)
        return read_all(peer)


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def dropped(client, why):
    wanted = f'embedkit_connections_dropped_total{{why="{why}"}} '.encode()
    text = client.get("/metrics")[1]
    return float(text.partition(wanted)[2].split(b"\n")[0]) if wanted in text else 0.0


def test_who_does_not_read_is_hung_up_on(path):
    asked = {"tokens": [f"item{i}" for i in range(70)], "topn": N}
    body = json.dumps(asked).encode()
    with serving(path, patience=0.5) as client, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(client.address)
        peer.sendall((HEAD % (b"POST", b"/api/similar") + b"Content-Length: %d\r\n\r\n" % len(body) + body) * 2)
        wait_for(lambda: dropped(client, "unread") == 1)
        with pytest.raises(ConnectionResetError):
            read_on(peer)
        assert b"embedkit_requests_active 1.0" in client.get("/metrics")[1]
        assert client.get("/api/similar", token="item1")[0] == 200


def test_unread_answers_take_no_more_memory_than_they_may(path):
    body = json.dumps({"tokens": [f"item{i}" for i in range(N)], "topn": N}).encode()
    with serving(path, patience=60, unsent=1 << 20) as client, contextlib.ExitStack() as stack:
        for _ in range(4):
            peer = stack.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(client.address)
            peer.sendall(HEAD % (b"POST", b"/api/similar") + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        wait_for(lambda: dropped(client, "unread") >= 3)
        assert client.get("/api/similar", token="item1")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        HEAD % (b"POST", b"/api/similar") + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET,
        HEAD % (b"POST", b"/api/similar") + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + GET,
        HEAD % (b"POST", b"/api/similar") + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n1234" + GET,
        HEAD % (b"POST", b"/api/similar") + b"Content-Length: +4\r\n\r\n1234" + GET,
        HEAD % (b"POST", b"/api/similar") + b"Content-Length: -1\r\n\r\n",
        HEAD % (b"POST", b"/api/similar") + b"Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD % (b"POST", b"/api/similar") + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + GET,
        HEAD % (b"POST", b"/api/similar") + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD % (b"POST", b"/api/similar") + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        HEAD % (b"GET", b"/health") + b"Host: evil.example\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        HEAD % (b"GET", b"/health") + b"X : y\r\n\r\n",
        HEAD % (b"GET", b"/health") + b"X: a\x00b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        bytes.fromhex("16030100f4010000f00303") + random.Random(1).randbytes(230),
        b"\x00" * 100,
        "GET /\ud55c HTTP/1.1\r\n\r\n".encode(errors="surrogatepass"),
    ],
)
def test_what_is_no_proper_request_is_refused_once_and_for_all(client, sent):
    answer = ask(client, sent + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 421 ")), answer[:300]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.count(b'{"error":') == 1
    assert client.get("/health")[0] == 200
    assert not [line for line in client.log if "bug" in line or "Exception" in line]


def test_an_upgrade_is_answered_as_plain_http_and_no_more_is_read(client):
    upgrade = HEAD % (b"GET", b"/api/similar?token=item1") + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    answer = ask(client, upgrade + b"\x81\x05hello")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_many_headers_are_refused(client):
    for headers in (b"".join(b"X-%d: y\r\n" % i for i in range(5000)), b"X: " + b"y" * 200_000 + b"\r\n"):
        answer = ask(client, HEAD % (b"GET", b"/health") + headers + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 431 "), answer[:100]
    assert dropped(client, "too much") >= 1


def test_a_flood_of_requests_ahead_is_answered_in_part_and_in_order(client):
    paths = [b"/api/similar?token=item%d&topn=1" % (i % N) for i in range(2000)]
    answer = ask(client, b"".join(HEAD % (b"GET", path) + b"\r\n" for path in paths))
    *before, last = answer.split(b"HTTP/1.1 200 OK")[1:]
    assert 1 < len(before) + 1 < 100
    assert b"connection: close" in last
    assert not [one for one in before if b"connection: close" in one]
    for i, one in enumerate([*before, last]):
        assert b'"token":"item%d"' % (i % N) in one.partition(b"\r\n\r\n")[2]


def test_a_refused_body_is_read_so_that_the_refusal_is_seen(client):
    with socket.create_connection(client.address, timeout=10) as peer:
        peer.sendall(HEAD % (b"POST", b"/api/similar") + b"Content-Length: 8000000\r\n\r\n")
        peer.sendall(b" " * 8_000_000 + GET)
        answer = b""
        while answer.count(b"\r\n\r\n") < 2:
            answer += peer.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"HTTP/1.1 200 OK" in answer


def test_a_head_answers_as_a_get_without_the_body(client):
    for path in ("/", "/health", "/metrics", "/api/model", "/api/similar?token=item1", "/page/app.js"):
        status, headers, body = client("HEAD", path)
        _, wanted, _ = client("GET", path)
        assert (status, body) == (200, b"")
        assert headers["content-type"] == wanted["content-type"]
        assert int(headers["content-length"]) > 0
    assert client("HEAD", "/api/similar?token=nothing")[0] == 404


@contextlib.contextmanager
def ranking_nothing(client):
    """Keep the thread that ranks from work."""
    free = threading.Event()
    client.server.live._rankers.submit(free.wait)
    try:
        yield
    finally:
        free.set()


def test_a_full_queue_sends_away_at_once_but_not_for_bodies_that_are_awaited(path):
    with serving(path, queue=2, threads=1) as client, contextlib.ExitStack() as stack:
        for _ in range(5):
            slow = stack.enter_context(socket.create_connection(client.address))
            slow.sendall(HEAD % (b"POST", b"/api/similar") + b"Content-Length: 5\r\n\r\n")
        assert client.get("/api/similar", token="item1")[0] == 200
        with ranking_nothing(client):
            waiting = stack.enter_context(socket.create_connection(client.address, timeout=20))
            waiting.sendall(HEAD % (b"GET", b"/api/similar?token=item1") + b"\r\n")
            wait_for(lambda: client.server.live.served.ranker.waiting or client.server.live.served.ranker._idle == 0)
            status, headers, body = client("GET", "/api/similar?token=item1")
            assert_refused((status, body), 429, "this address")
            assert int(headers["retry-after"]) == 1
            assert client.get("/health")[0] == 200
        assert b"200 OK" in waiting.recv(1000)


def test_nobody_works_for_who_has_left(path):
    with serving(path, threads=1) as client:
        with ranking_nothing(client):
            with socket.create_connection(client.address) as leaving:
                leaving.sendall(HEAD % (b"GET", b"/api/similar?token=item1") + b"\r\n")
                wait_for(lambda: client.server.live.served.ranker._idle == 0)
            wait_for(lambda: b'status="499"' in client.get("/metrics")[1])
        assert client.get("/api/similar", token="item1")[0] == 200
        assert not [line for line in client.log if "bug" in line or "Exception" in line]


def test_large_requests_have_their_own_measure(path):
    with serving(path, threads=1) as client, contextlib.ExitStack() as stack:
        body = json.dumps({"tokens": ["item1"] * 400, "topn": 250}).encode()
        stack.enter_context(ranking_nothing(client))
        for i in range(5):
            peer = stack.enter_context(socket.create_connection(client.address))
            peer.sendall(HEAD % (b"POST", b"/api/similar") + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            wait_for(lambda i=i: client.server.live.room.at_work == (i + 1) * 100_000)
        assert_refused(client.post("/api/similar", {"tokens": ["item1"] * 400, "topn": 250}), 503, "large requests")


def test_connections_are_counted_in_all_and_by_address(path):
    with serving(path, connections=8) as client, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(client.address, timeout=10))
        wait_for(lambda: len(client.server._uvicorn.server_state.connections) == 2)
        assert ask(client, GET).startswith(b"HTTP/1.1 429 ")
        for i in range(6):
            other = stack.enter_context(socket.socket())
            other.bind((f"127.0.0.{2 + i // 2}", 0))
            other.connect(client.address)
        wait_for(lambda: len(client.server._uvicorn.server_state.connections) == 8)
        with socket.socket() as ninth:
            ninth.bind(("127.0.0.9", 0))
            ninth.connect(client.address)
            assert read_all(ninth).startswith(b"HTTP/1.1 503 ")


def test_bodies_that_arrive_take_no_more_memory_than_they_may(path):
    with serving(path, max_body=1000, patience=30) as client, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(client.address, timeout=10)) for _ in range(66)]
        for peer in peers:
            peer.sendall(HEAD % (b"POST", b"/api/similar") + b"Content-Length: 1000\r\n\r\n" + b" " * 999)
        wait_for(lambda: client.server.live.arriving >= 63_000)
        assert client.server.live.arriving <= 65_000
        assert peers[-1].recv(12) == b"HTTP/1.1 503"


def test_a_million_keys_are_refused_by_their_first_fault(path):
    with serving(path, max_body=1 << 24) as client:
        for entry, words in (('"user1"', "100,000 results"), ("1", "keys[0]"), ("[]", "keys[0]")):
            body = f'{{"keys": [{entry}{f",{entry}" * 999_999}]}}'
            assert_refused(client.post("/api/recommend", body), 422, words)
        assert_refused(client.post("/api/recommend", '{"histories": [[]' + ",[]" * 999_999 + "]}"), 422, "histories[0]")


def test_no_answer_lets_other_sites_read_it(client):
    for method, origin in (("GET", None), ("OPTIONS", "https://evil.example"), ("OPTIONS", "null"), ("GET", "null")):
        headers = {} if origin is None else {"Origin": origin, "Access-Control-Request-Method": "POST"}
        status, got, _ = client(method, "/api/model", headers=headers)
        assert status == (403 if origin else 200)
        assert not [name for name in got if name.lower().startswith("access-control")]


def test_no_error_tells_where_the_server_keeps_its_files(client, path):
    folders = (str(path.parent), "site-packages", "/tmp")
    for asked in (
        "/page/%00",
        "/page/..%2f..%2fetc/passwd",
        "/page//etc/passwd",
        "/page/" + "a" * 300,
        "/%ff",
        "/api/%0d%0a",
    ):
        status, headers, body = client("GET", asked)
        assert status == 404
        shown = f"{headers} {body}"
        assert not [folder for folder in folders if folder in shown]
