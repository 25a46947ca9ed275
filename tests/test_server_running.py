"""The server's life: why it does not start, new models taken up, an end in good order."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

from http_server import Client, read, serving
from served_shop import N, make, pairs

from embedkit.cli.app import app


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
        os.truncate(path, len(whole) // 2)
        wait_for(lambda: "trouble" in client.get("/health")[1])
        assert "truncated" in client.get("/health")[1]["trouble"]
        assert client.get("/health")[1]["trouble"].startswith("shop.safetensors ")
        assert b"embedkit_model_trouble 1.0" in client.get("/metrics")[1]
        assert any(str(path) in line for line in client.log)
        assert pairs(client.get("/api/similar", token="item7")[1]["results"]) == model.most_similar("item7")
        assert any("the old one serves on" in line for line in client.log)
        with path.open("ab", buffering=0) as file:  # at one go: what lies between may be looked at
            file.write(bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :])
        wait_for(lambda: "damaged" in client.get("/health")[1].get("trouble", ""))
        path.unlink()
        wait_for(lambda: "no model" in client.get("/health")[1].get("trouble", ""))
        assert client.get("/api/recommend", key="user1")[0] == 200
        make(seed=4, n=50).save(path)
        wait_for(lambda: client.get("/health")[1]["model"]["tokens"] == 50)
        assert "trouble" not in client.get("/health")[1]
        assert b"embedkit_model_trouble 0.0" in client.get("/metrics")[1]
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
