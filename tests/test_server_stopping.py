"""The server's end: what is asked is answered, what is on its way too, and nobody holds it up."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref

import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

from http_server import read, serving
from served_shop import assert_refused, make

from embedkit.cli.app import app

GET = b"GET /api/similar?token=item1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "shop.safetensors"
    make().save(path)
    return path


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stop_answers_what_waits_and_what_is_on_its_way(path, monkeypatch):
    monkeypatch.setattr("embedkit.server.connections._GRACE", 20)  # in which the idle one must have asked
    free = threading.Event()
    with serving(path, threads=1) as client:
        idle = http.client.HTTPConnection(*client.address, timeout=20)
        idle.request("GET", "/health")
        assert read(idle.getresponse())[0] == 200
        client.server.live._rankers.submit(free.wait)
        waiting = [socket.create_connection(client.address, timeout=20) for _ in range(5)]
        for peer in waiting:
            peer.sendall(GET)
        wait_for(lambda: len(client.server._uvicorn.server_state.tasks) == 5)
        client.server.stop()
        wait_for(lambda: client.server._socket.fileno() < 0)
        # The connection that was idle may still ask, and learns that this was the last time.
        idle.request("GET", "/api/model")
        response = idle.getresponse()
        assert (response.status, response.headers["connection"]) == (200, "close")
        response.read()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(client.address, timeout=5)
        free.set()
        answers = [peer.recv(100) for peer in waiting]
        for peer in [*waiting, idle]:
            peer.close()
    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 5


def test_a_stop_waits_no_longer_than_it_may(path):
    free = threading.Event()
    try:
        with serving(path, threads=1, drain=0.4) as client:
            client.server.live._rankers.submit(free.wait)
            peer = socket.create_connection(client.address, timeout=20)
            peer.sendall(GET)
            wait_for(lambda: client.server._uvicorn.server_state.tasks)
            client.server.stop()
            assert peer.recv(100) == b""
            peer.close()
        assert "1 connections are cut off after 0.4 s." in client.log
    finally:
        free.set()


@pytest.mark.slow
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(path, second):
    command = [sys.executable, "-m", "embedkit", "serve", "--port", "0", "--model", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        line = ""
        while "http://" not in line:
            line = server.stderr.readline()
        port = int(line.partition("http://127.0.0.1:")[2].split()[0])
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
            time.sleep(0.3)
            server.terminate()
            time.sleep(1.5)
            assert server.poll() is None
            began = time.monotonic()
            server.send_signal(second)
            rest = server.communicate(timeout=20)[1]
            assert time.monotonic() - began < 6
    assert server.returncode == 0
    assert "1 connections are cut off at a second signal." in rest


@pytest.mark.slow
def test_who_asked_before_the_signal_is_answered_though_nobody_had_looked_yet(path):
    command = [sys.executable, "-m", "embedkit", "serve", "--port", "0", "--model", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        line = ""
        while "http://" not in line:
            line = server.stderr.readline()
        address = "127.0.0.1", int(line.partition("http://127.0.0.1:")[2].split()[0])
        time.sleep(0.5)
        server.send_signal(signal.SIGSTOP)
        peers = [socket.create_connection(address, timeout=20) for _ in range(16)]
        for peer in peers:
            peer.sendall(GET)
        server.terminate()
        server.send_signal(signal.SIGCONT)
        answers = [peer.recv(15) for peer in peers]
        for peer in peers:
            peer.close()
        server.communicate(timeout=20)
    assert answers == [b"HTTP/1.1 200 OK"] * 16
    assert server.returncode == 0


@pytest.mark.slow
def test_what_a_killed_server_left_is_swept_by_the_next(path, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"embedkit-{dead.pid}-abcdef"
    left.mkdir()
    (left / "shop.safetensors").write_bytes(b"x")
    alive = tmp_path / f"embedkit-{os.getpid()}-abcdef"
    alive.mkdir()
    with serving(path) as client:
        assert list(tmp_path.iterdir()) == [alive]
        assert client.get("/health")[0] == 200


def test_two_tokens_are_one_too_many(path, tmp_path, capsys, monkeypatch):
    file = tmp_path / "token"
    file.write_text("correct-horse-battery")
    command = ["serve", "--model", str(path), "--port", "0"]
    for flags, words in (
        (["--token", "x" * 20, "--token-file", str(file)], "give one of them"),
        (["--token", ""], "16 characters"),
    ):
        with pytest.raises(SystemExit):
            app.main([*command, *flags])
        assert words in capsys.readouterr().err


def test_a_model_whose_query_builder_is_not_there_serves_what_it_can(tmp_path):
    make(query="of_no_plugin").save(tmp_path / "m.safetensors")
    with serving(tmp_path / "m.safetensors") as client:
        assert client.get("/api/similar", token="item1")[0] == 200
        assert_refused(client.get("/api/recommend", item="item1"), 422, "of_no_plugin")
        assert_refused(client.post("/api/recommend", {"histories": [["item1"]]}), 422, "of_no_plugin")


def test_nothing_holds_the_old_model_when_another_has_taken_its_place(tmp_path):
    path = tmp_path / "shop.safetensors"
    make(n=500).save(path)
    with serving(path) as client:
        assert client.get("/api/similar", token="item7")[0] == 200
        assert client.get("/api/map")[0] == 200
        old = weakref.ref(client.server.live.served.embeddings)
        make(seed=2, n=100).save(path)
        wait_for(lambda: client.get("/health")[1]["model"]["tokens"] == 100)
        assert client.get("/api/similar", token="item7")[0] == 200
        wait_for(lambda: old() is None)
