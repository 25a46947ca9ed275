"""The engine of a Dask cluster: a scheduler and workers on machines of their own, or processes of this one.

What is kept are Dask's futures, so a lost worker costs what it was doing: the scheduler has made anew what it held,
from the input on if need be.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import operator
import os
import platform
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from importlib import metadata
from typing import Any

import dask
import numpy as np
from distributed import CancelledError, Client, KilledWorker, LocalCluster, Security
from distributed import wait as wait_for
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from embedkit.engines.engine import Engine, Told, nobody
from embedkit.engines.scheduler import check_scheduler, silence
from embedkit.errors import DISTRIBUTION, EmbedkitError, SourceError

_LOOK_EVERY = 0.25
_ASK_EVERY = 2.0
_CONNECTING = 10.0  # seconds
_ALONE = 60.0  # seconds without a worker, in which one may come; also those that a scheduler may take to answer

_log = logging.getLogger("embedkit")


class DaskEngine(Engine):
    """Has a Dask cluster do the work.

    Parameters
    ----------
    scheduler
        Its address (`tcp://host:port`, `tls://host:port`). Where None, the one that Dask's own settings name
        (`DASK_SCHEDULER_ADDRESS`), else a cluster of this machine's cores, which ends with the engine.
    partitions
        Into how many a source is divided; one a worker where None.

    Raises
    ------
    EmbedkitError
        If the scheduler does not answer, has no workers, or these lack embedkit or have another version of it.
    """

    name = "dask"

    def __init__(self, scheduler: str | None = None, *, partitions: int | None = None) -> None:
        silence()
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"})  # what is broadcast is large
        self._cluster: LocalCluster | None = None
        self.address = scheduler or dask.config.get("scheduler-address", None)
        self._client = self._connected()
        self._threads: dict[str, int] = {}
        self._asked = time.monotonic()
        self._alone: float | None = None  # since when there have been no workers
        self._interrupted = False
        try:
            self._await_workers()
            self._check_versions()
        except BaseException:
            self.close()
            raise
        self.n_workers = len(self._threads)
        self.n_parts = partitions or self.n_workers
        self.threads = max(1, sum(self._threads.values()) // max(self.n_workers, self.n_parts))

    def map(self, work: Callable[..., Any], parts: Sequence[Any], *shared: Any, told: Told = nobody) -> list[Any]:
        """See `Engine`."""
        return self._gather(self.keep(work, parts, *shared, told=told))

    def keep(self, work: Callable[..., Any], parts: Sequence[Any], *shared: Any, told: Told = nobody) -> list[Any]:
        """See `Engine`."""

        def submit() -> list[Any]:
            return [self._client.submit(_task, work, part, *shared, pure=False) for part in parts]

        return self._done(submit, told)

    def exchange(
        self,
        split: Callable[..., list[Any]],
        parts: Sequence[Any],
        merge: Callable[..., Any],
        *shared: Any,
        told: Told = nobody,
    ) -> list[Any]:
        """See `Engine`."""
        n = len(parts)

        def submit() -> list[Any]:
            do = self._client.submit
            pieces = [do(_task, split, part, number, n, *shared, pure=False) for number, part in enumerate(parts)]
            turned = [[do(operator.getitem, piece, q, pure=False) for piece in pieces] for q in range(n)]
            return [do(_task, merge, of_part, *shared, pure=False) for of_part in turned]

        return self._done(submit, told)

    def reduce(
        self,
        work: Callable[..., Any],
        parts: Sequence[Any],
        combine: Callable[[Any, Any], Any],
        *shared: Any,
        told: Told = nobody,
    ) -> Any:
        """See `Engine`."""

        def submit() -> list[Any]:
            do = self._client.submit
            level = [do(_task, work, part, *shared, pure=False) for part in parts]
            while len(level) > 1:
                pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
                level = [do(_task, combine, *pair, pure=False) if len(pair) == 2 else pair[0] for pair in pairs]
            return level

        return self._gather(self._done(submit, told))[0]

    def broadcast(self, value: Any) -> Any:
        """See `Engine`."""
        # As a task, which the scheduler can do again: what is scattered goes with the worker that has it, and waits for
        # ever (distributed 2026.8) where a worker is lost while it is replicated.
        with self._told():
            return self._client.submit(_itself, value, pure=False)

    def close(self) -> None:
        """See `Engine`."""
        for thing in (self._client, self._cluster):
            if thing is not None:
                with contextlib.suppress(Exception):
                    thing.close(timeout=5)

    def _done(self, submit: Callable[[], list[Any]], told: Told) -> list[Any]:
        """Submit work and wait for it; call it off where anything goes wrong."""
        futures: list[Any] = []
        try:
            with self._told():
                futures = submit()
                self._wait(futures, told)
            return futures
        except BaseException:
            with contextlib.suppress(Exception):
                self._client.cancel(futures, force=True)
            raise

    def _wait(self, futures: list[Any], told: Told) -> None:
        while pending := [future for future in futures if not future.done()]:
            with contextlib.suppress(TimeoutError), self._client.as_current():
                wait_for(pending, timeout=_LOOK_EVERY)
            self._raise_failures(futures)
            told(len(futures) - len(pending), len(futures))
            self._look()
        self._raise_failures(futures)
        told(len(futures), len(futures))

    def _look(self) -> None:
        """See every other second that the cluster is there; wait a while for a worker where none is left."""
        now = time.monotonic()
        if now - self._asked < _ASK_EVERY:
            return
        self._asked = now
        if self._client.status != "running":
            raise self._gone()
        limit = _CONNECTING if self._interrupted else _ALONE
        if self._client.sync(self._client.scheduler.ncores, callback_timeout=limit):
            if self._alone is not None:
                _log.warning("A worker has joined %s; going on.", self.address)
            self._alone, self._interrupted = None, False
        elif self._interrupted:
            raise EmbedkitError(f"no worker of {self.address} is left to give what was learned.")
        elif self._alone is not None and now - self._alone > _ALONE:
            raise EmbedkitError(f"all workers of {self.address} are gone; start some and train again.")
        elif self._alone is None:
            self._alone = now
            _log.warning("No worker of %s is left; waiting up to %.0f s for one to join.", self.address, _ALONE)

    def _raise_failures(self, futures: list[Any]) -> None:
        for future in futures:
            if future.status in ("cancelled", "lost"):
                raise self._gone()
            if future.status == "error":
                raise future.exception()

    def _gather(self, futures: list[Any]) -> list[Any]:
        loop = self._client.loop.asyncio_loop
        with self._told():
            coming = asyncio.run_coroutine_threadsafe(self._client.gather(futures, asynchronous=True), loop)
            try:
                while not coming.done():
                    concurrent.futures.wait([coming], timeout=_LOOK_EVERY)
                    self._look()
                return [_aligned(value) for value in coming.result()]
            finally:
                coming.cancel()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what Dask raises into one line for a person."""
        try:
            yield
        except KeyboardInterrupt:
            # What was learned is asked for next, while no Ctrl-C is heard: that must not wait for workers to join.
            self._interrupted, self._asked = True, 0.0
            raise
        except CancelledError as error:
            raise self._gone() from error
        except KilledWorker as error:
            raise EmbedkitError(
                "workers die of the same partition again and again, of too little memory mostly; give them more, or "
                "divide finer with --partitions."
            ) from error
        except (OSError, TimeoutError) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise
            raise self._gone() from error

    def _gone(self) -> EmbedkitError:
        return EmbedkitError(f"the scheduler at {self.address} is gone, or dropped the work; start it and train again.")

    def _connected(self) -> Client:
        if self.address is None:
            with _deaf_children(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Port 8787 is already in use")  # of a page that nobody opens
                self._cluster = LocalCluster(
                    threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.CRITICAL
                )
            self.address = self._cluster.scheduler_address
            return Client(self._cluster, set_as_default=False, timeout=_CONNECTING)
        check_scheduler(str(self.address), _CONNECTING)
        try:
            security = Security() if str(self.address).startswith("tls:") else None
            return Client(self.address, set_as_default=False, timeout=_CONNECTING, security=security)
        except (OSError, TimeoutError) as error:
            raise self._gone() from error

    def _await_workers(self) -> None:
        until = time.monotonic() + _CONNECTING
        with self._told():
            while not (found := self._client.nthreads()):
                if time.monotonic() > until:
                    raise EmbedkitError(
                        f"the scheduler at {self.address} has no workers; start some: dask worker {self.address}"
                    )
                time.sleep(0.1)
            self._threads = dict(found)

    def _check_versions(self) -> None:
        """Refuse a scheduler or workers without embedkit, or with another version."""
        own = metadata.version(DISTRIBUTION)
        with self._told():
            found = self._client.run(metadata.version, DISTRIBUTION, on_error="return")
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[self.address] = None
                found[self.address] = self._client.run_on_scheduler(metadata.version, DISTRIBUTION)
        for address, version in found.items():
            who = f"the scheduler at {address}" if address == self.address else f"the worker at {address}"
            if not isinstance(version, str):
                raise EmbedkitError(f"{who} has no embedkit; install {own} there: pip install '.[dask]'")
            if version != own:
                raise EmbedkitError(f"{who} has embedkit {version} and here is {own}; install the same everywhere.")


_limits = threading.Lock()
_limited: list[Any] = [0, None]


@contextlib.contextmanager
def _blas_alone() -> Iterator[None]:
    """Keep BLAS on one thread while any task of ours runs in this process."""
    with _limits:
        if _limited[0] == 0:
            _limited[1] = threadpool_limits(1, "blas")
        _limited[0] += 1
    try:
        yield
    finally:
        with _limits:
            _limited[0] -= 1
            if _limited[0] == 0:
                _limited[1].restore_original_limits()


def _itself(value: Any) -> Any:
    return value


def _task(work: Callable[..., Any], *given: Any) -> Any:
    """Do work on a worker; what a person can mend comes back as it is told here."""
    try:
        with _blas_alone():
            return work(*map(_aligned, given))
    except SourceError as error:
        told = str(error).rstrip(".")
        raise SourceError(
            f"a worker on {platform.node()} says: {told}; workers read the input themselves{_elsewhere(told)}."
        ) from None
    except EmbedkitError as error:
        raise EmbedkitError(str(error)) from None


def _elsewhere(told: str) -> str:
    """Return what mends a relative path that is not there: a worker looks for it where it was started."""
    path, missing, _ = told.partition(" does not exist")
    if not missing or os.path.isabs(path):
        return ""
    return f", a relative path from their own folder (here {os.getcwd()}): give an absolute one"


def _aligned(value: Any) -> Any:
    """Return a value whose arrays lie on multiples of their numbers' size, as they do until Dask sends them.

    Where they do not, NumPy and numba add up in another order, and sums get other bits.
    """
    if isinstance(value, np.ndarray):
        return value if value.flags.aligned else value.copy()
    if type(value) in (tuple, list):
        made = [_aligned(part) for part in value]
        return value if all(a is b for a, b in zip(made, value, strict=True)) else type(value)(made)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        moved = {name: made for name, part in parts.items() if (made := _aligned(part)) is not part}
        return replace(value, **moved) if moved else value
    return value


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """Let processes that are started here ignore Ctrl-C, which a terminal sends to all of them: we end them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
