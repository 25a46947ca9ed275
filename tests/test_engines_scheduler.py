"""What is refused before a client is made: addresses that are none, and what is no Dask scheduler."""

import os
import socket
import subprocess
import sys
import threading

import pytest
from conftest import needs

needs("distributed")

import embedkit.engines.dask
from embedkit.engines import make_engine
from embedkit.errors import EmbedkitError


@pytest.fixture
def greeting():
    """Give what starts a server that greets with some bytes and then says no more; return its address."""
    servers, taken = [], []

    def greet(listener, greeting):
        try:
            while True:
                taken.append(listener.accept()[0])
                taken[-1].sendall(greeting)
        except OSError:
            return

    def start(greeting):
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=greet, args=(listener, greeting))
        thread.start()
        servers.append((listener, thread))
        return f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener, thread in servers:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
    for connection in taken:
        connection.close()


@pytest.mark.parametrize("address", ["foo", "tpc://127.0.0.1:80", "http://127.0.0.1:80", "tcp://127.0.0.1:port"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(EmbedkitError, match="is no address of a scheduler") as error:
        make_engine("dask", scheduler=address)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_a_command_refuses_what_is_no_address_in_one_line(by):
    # A client half made would be closed at the end of the process, for 20 s, and then complain.
    command = [
        sys.executable,
        "-m",
        "embedkit",
        "train",
        "--source",
        "sessions",
        "--trainer",
        "als",
        "--engine",
        "dask",
    ]
    flags, named = (["--scheduler", "foo"], {}) if by == "flag" else ([], {"DASK_SCHEDULER_ADDRESS": "foo"})
    done = subprocess.run([*command, *flags], capture_output=True, text=True, check=False, env=os.environ | named)
    assert done.returncode == 1
    assert done.stderr.startswith("embedkit: foo is no address of a scheduler")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"\0" * 64])
def test_one_who_says_something_else_is_refused_at_once(greeting, said):
    address = greeting(said)
    with pytest.raises(EmbedkitError, match=f"what answers at {address} is no Dask scheduler; check the address"):
        make_engine("dask", scheduler=address)


def test_one_who_says_nothing_is_refused_in_time(monkeypatch, greeting):
    monkeypatch.setattr(embedkit.engines.dask, "_CONNECTING", 0.5)
    with pytest.raises(EmbedkitError, match="no Dask scheduler answers at"):
        make_engine("dask", scheduler=greeting(b""))


def test_a_server_of_pages_is_refused_in_time(monkeypatch, tmp_path):
    monkeypatch.setattr(embedkit.engines.dask, "_CONNECTING", 0.5)
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path
    ) as server:
        try:
            port = server.stdout.readline().split(" port ")[1].split()[0]
            with pytest.raises(EmbedkitError, match="8787 is the dashboard's"):
                make_engine("dask", scheduler=f"tcp://127.0.0.1:{port}")
        finally:
            server.kill()
