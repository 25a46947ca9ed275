"""The Dask engine where the only worker is lost, Ctrl-C comes, or a worker lives in another folder."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import needs

needs("distributed")

from distributed import Client

import embedkit.engines.dask
from embedkit.engines import make_engine
from embedkit.errors import EmbedkitError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Dask's own warnings are its own


@pytest.fixture
def started():
    """Give what starts a module as a process; all of them are killed at the end."""
    with contextlib.ExitStack() as stack:

        def start(*words, **options):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-m", *words], **options))
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def scheduler(started, tmp_path):
    """Give the address of a scheduler without workers."""
    told = tmp_path / "scheduler.json"
    words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(told)]
    started("distributed.cli.dask_scheduler", *words, stderr=subprocess.DEVNULL)
    while not (told.exists() and told.stat().st_size):
        time.sleep(0.1)
    with Client(scheduler_file=str(told), set_as_default=False) as client:
        return client.scheduler.address


@pytest.fixture
def learning(scheduler):
    """Give what waits until some epochs are over: nothing tells of them, but by then the scheduler has done so much."""

    def wait():
        with Client(scheduler, set_as_default=False) as client:
            while client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter) < 200:
                time.sleep(0.1)

    return wait


@pytest.fixture
def worker(started, scheduler, tmp_path):
    """Give what starts a worker in a folder of its own and waits until the scheduler knows it."""

    def start():
        folder = tmp_path / "elsewhere"
        folder.mkdir(exist_ok=True)
        words = [scheduler, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        process = started("distributed.cli.dask_worker", *words, stderr=subprocess.DEVNULL, cwd=folder)
        with Client(scheduler, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        return process

    return start


@pytest.fixture
def visits(tmp_path):
    rng = np.random.default_rng(1)
    lines = [f"u{user} " + " ".join(f"i{item}" for item in rng.integers(0, 40, 12)) for user in range(200)]
    path = tmp_path / "visits.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def training(request, started, scheduler, tmp_path):
    """Give what starts a training that would never end, and its standard error in lines."""

    def start(path, **options):
        flags = ["--source", "sessions", "--layout", "lines", "--trainer", "als", "--epochs", "100000"]
        flags += ["--engine", "dask", "--scheduler", scheduler, "--output", str(tmp_path / "m.safetensors")]
        process = started(
            "embedkit", "train", *flags, "--input", str(path), stderr=subprocess.PIPE, text=True, **options
        )
        patience = threading.Timer(200, process.kill)  # so that a test fails where it would hang
        patience.start()
        request.addfinalizer(patience.cancel)
        return process, iter(process.stderr)

    return start


def until(lines, words):
    """Read up to the line that has these words, and return all that was read."""
    read = []
    for line in lines:
        read.append(line)
        if words in line:
            return read
    raise AssertionError(f"{words!r} was never said: {read}")


def test_the_only_worker_is_waited_for_and_ctrl_c_ends_the_waiting(training, worker, visits, learning):
    first = worker()
    process, lines = training(visits)
    until(lines, "Read")
    learning()
    first.kill()
    until(lines, "is left; waiting up to 60 s for one to join")
    second = worker()
    until(lines, "A worker has joined")
    second.kill()
    until(lines, "is left; waiting up to 60 s for one to join")
    process.send_signal(signal.SIGINT)
    rest = list(lines)
    assert process.wait(timeout=60) == 130
    assert len(rest) == 1
    assert "interrupted; nothing is saved: no worker of" in rest[0]


def test_ctrl_c_on_a_cluster_saves_what_was_learned(training, worker, visits, tmp_path, learning):
    worker()
    process, lines = training(visits)
    until(lines, "Read")
    learning()
    process.send_signal(signal.SIGINT)
    rest = list(lines)
    assert process.wait(timeout=60) == 130
    assert len(rest) == 1
    assert "is saved as" in rest[0]
    assert (tmp_path / "m.safetensors.partial").exists()


def test_a_cluster_without_workers_is_given_up(monkeypatch, scheduler, worker):
    monkeypatch.setattr(embedkit.engines.dask, "_ALONE", 3.0)
    only = worker()
    with make_engine("dask", scheduler=scheduler) as engine:
        only.kill()
        with pytest.raises(EmbedkitError, match=r"all workers of .* are gone; start some"):
            engine.keep(len, ["abc"])


def test_a_worker_lost_with_a_result_is_given_up_too(monkeypatch, scheduler, worker):
    monkeypatch.setattr(embedkit.engines.dask, "_ALONE", 3.0)
    only = worker()

    def kill_at_the_end(done, total):
        if done == total:
            only.kill()
            only.wait()

    with (
        make_engine("dask", scheduler=scheduler) as engine,
        pytest.raises(EmbedkitError, match=r"all workers of .* are gone; start some"),
    ):
        engine.map(len, ["abc"], told=kill_at_the_end)


def test_ctrl_c_before_dask_has_begun_logs_no_error_of_its_own(scheduler, worker, caplog):
    worker()
    with make_engine("dask", scheduler=scheduler) as engine:
        engine._client.loop.add_callback(time.sleep, 1)
        interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            engine.keep(len, ["abc"])
        interrupt.join()
    assert not [record for record in caplog.records if record.name == "tornado.application"]


def test_ctrl_c_while_a_lost_result_is_fetched_logs_no_error_of_its_own(scheduler, worker, caplog):
    only = worker()
    interrupt = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))

    def kill_at_the_end(done, total):
        if done == total:
            only.kill()
            only.wait()
            interrupt.start()

    with make_engine("dask", scheduler=scheduler) as engine, pytest.raises(KeyboardInterrupt):
        engine.map(len, ["abc"], told=kill_at_the_end)
    interrupt.join()
    gc.collect()
    assert not [record for record in caplog.records if record.name in ("asyncio", "tornado.application")]


def test_a_relative_path_is_told_to_be_looked_for_where_the_worker_is(training, worker, visits, tmp_path):
    worker()
    process, lines = training(visits.name, cwd=tmp_path)
    rest = list(lines)
    assert process.wait(timeout=60) == 1
    assert f"a relative path from their own folder (here {tmp_path / 'elsewhere'}): give an absolute one" in rest[-1]
