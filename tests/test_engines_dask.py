"""The Dask engine on a real scheduler with worker processes: same bits as here, workers killed, what is refused."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import needs

needs("distributed")

import dask
from distributed import Client, LocalCluster

import embedkit
from embedkit.contracts import Run
from embedkit.corpus.encoding import read_part
from embedkit.engines import make_engine
from embedkit.engines.local import LocalEngine
from embedkit.errors import EmbedkitError, SourceError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Dask's own warnings are its own


@pytest.fixture(scope="module")
def running():
    # A place that is empty this long after a worker was lost there, and be it because of another loss, is given up.
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})
    with patient, LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def cluster(running):
    """Give the cluster with both of its workers: one that was killed takes its time to come back."""
    with Client(running.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=200)
    return running


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    """Visits of 400 users to two shops' items, a line a user."""
    rng = np.random.default_rng(1)
    lines = [
        f"u{user} " + " ".join(f"{'ab'[user % 2]}{item}" for item in rng.integers(0, 40, 12)) for user in range(400)
    ]
    path = tmp_path_factory.mktemp("visits") / "visits.txt"
    path.write_text("\n".join(lines))
    return path


class Killer(Run):
    """Kills a worker after the first epoch."""

    def __init__(self, scheduler):
        super().__init__()
        self.scheduler, self.killed = scheduler, 0

    def epoch_done(self, loss, snapshot):
        if not self.killed:
            with Client(self.scheduler, set_as_default=False) as client:
                self.killed = next(iter(client.run(os.getpid).values()))
            os.kill(self.killed, signal.SIGKILL)
        return True


@pytest.mark.parametrize(
    ("trainer", "options"),
    [
        ("als", {"vector_size": 16, "epochs": 4}),
        ("spectral", {"vector_size": 16}),
        ("skipgram", {"vector_size": 16, "epochs": 4}),
    ],
)
def test_a_worker_killed_in_the_middle_changes_no_bit(cluster, visits, trainer, options):
    given = {"input": visits, "layout": "lines", **options}
    with LocalEngine(2, partitions=3) as engine:
        local = embedkit.train("sessions", trainer, engine=engine, **given)
    run = Killer(cluster.scheduler_address)
    with make_engine("dask", scheduler=cluster.scheduler_address, partitions=3) as engine:
        far = embedkit.train("sessions", trainer, engine=engine, run=run, **given)
    assert run.killed
    np.testing.assert_array_equal(local.vectors, far.vectors)
    assert local.losses == far.losses
    assert list(local.keys) == list(far.keys)
    assert local.recommend("u7", topn=3) == far.recommend("u7", topn=3)


def test_nothing_stays_on_the_disk(cluster, visits):
    before = {path.name for path in Path(tempfile.gettempdir()).glob("embedkit-*")}
    with make_engine("dask", scheduler=cluster.scheduler_address) as engine:
        embedkit.train("sessions", "als", engine=engine, input=visits, layout="lines", vector_size=4, epochs=1)
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        workers = {str(pid) for pid in client.run(os.getpid).values()}

    def left():
        after = {path.name for path in Path(tempfile.gettempdir()).glob("embedkit-*")}
        return {name for name in after - before if name.split("-")[1] in workers}

    until = time.monotonic() + 60  # a worker lets go a little later
    while left() and time.monotonic() < until:
        time.sleep(0.1)
    assert not left()


def test_input_that_workers_do_not_see_is_told_in_one_line(cluster, visits, tmp_path):
    gone = tmp_path / "visits.txt"
    gone.write_text(visits.read_text())
    source = embedkit.make_source("sessions", input=gone, layout="lines")
    sources = source.divided(2)
    gone.unlink()
    with (
        make_engine("dask", scheduler=cluster.scheduler_address) as engine,
        pytest.raises(SourceError, match="workers read the input themselves") as error,
    ):
        engine.keep(read_part, sources, None)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("error:Port 8787")
def test_a_cluster_of_this_machine_beside_another_warns_of_nothing(cluster):
    with make_engine("dask") as engine:
        assert engine.map(len, ["abc"]) == [3]


def test_a_scheduler_that_does_not_answer_is_refused_in_bounded_time():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(EmbedkitError, match="no Dask scheduler answers") as error:
            make_engine("dask", scheduler=address)
    assert time.monotonic() - started < 40
    assert "\n" not in str(error.value)
    with pytest.raises(EmbedkitError, match="is no address"):
        make_engine("dask", scheduler="tpc://nowhere:1")


def test_the_command_line_trains_on_a_scheduler_and_tells_of_its_loss_in_one_line(tmp_path, visits):
    told = tmp_path / "scheduler.json"
    words = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    scheduler = subprocess.Popen(
        [*words, "--port", "0", "--no-dashboard", "--scheduler-file", str(told)], stderr=subprocess.DEVNULL
    )
    worker = None
    try:
        while not (told.exists() and told.stat().st_size):
            time.sleep(0.1)
        with Client(scheduler_file=str(told), set_as_default=False) as client:
            address = client.scheduler.address
        worker = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"],
            stderr=subprocess.DEVNULL, cwd=tmp_path,
        )  # fmt: skip
        flags = ["--source", "sessions", "--layout", "lines", "--input", str(visits), "--trainer", "als"]
        command = [sys.executable, "-m", "embedkit", "train", *flags, "--engine", "dask", "--scheduler", address]
        done = subprocess.run(
            [*command, "--partitions", "2", "--epochs", "2", "--output", str(tmp_path / "m.safetensors")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert embedkit.load(tmp_path / "m.safetensors").keys is not None
        long = subprocess.Popen(
            [*command, "--partitions", "2", "--epochs", "100000", "--output", str(tmp_path / "long.safetensors")],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert any(line.startswith("Read") for line in long.stderr)
        time.sleep(1)
        scheduler.kill()
        rest = long.communicate(timeout=200)[1].strip().splitlines()
        assert long.returncode == 1
        assert rest[-1].startswith("embedkit: the scheduler at ")
        assert "Traceback" not in "\n".join(rest)
    finally:
        for process in filter(None, (scheduler, worker)):
            process.kill()
            process.wait()
