"""The engine of this process: threads, each on a partition of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from embedkit.engines.engine import Engine, Told, here, nobody
from embedkit.memory import available_cores

_LOOK_EVERY = 0.25


class LocalEngine(Engine):
    """Works on partitions in threads, BLAS on one thread in each; results have the bits that a cluster's would.

    Parameters
    ----------
    workers
        How many threads; all cores where None.
    partitions
        Into how many a source is divided; one a thread where None.
    """

    name = "local"

    def __init__(self, workers: int | None = None, *, partitions: int | None = None) -> None:
        self.n_workers = workers or available_cores()
        self.n_parts = partitions or self.n_workers
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(self.n_workers, "embedkit-part", self._introduce)

    def _introduce(self) -> None:
        """Let a thread know when the engine gives up."""
        here.over = self._over

    def map(self, work: Callable[..., Any], parts: Sequence[Any], *shared: Any, told: Told = nobody) -> list[Any]:
        """See `Engine`."""
        with threadpool_limits(1, "blas"):
            futures = [self._pool.submit(work, part, *shared) for part in parts]
            working = set(futures)
            try:
                while working:
                    finished, working = wait(working, timeout=_LOOK_EVERY)
                    for future in finished:
                        future.result()
                    told(len(futures) - len(working), len(futures))
            finally:
                for future in working:
                    future.cancel()
        return [future.result() for future in futures]

    def keep(self, work: Callable[..., Any], parts: Sequence[Any], *shared: Any, told: Told = nobody) -> list[Any]:
        """See `Engine`."""
        return self.map(work, parts, *shared, told=told)

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
        numbered = list(enumerate(parts))
        pieces = self.map(_split_numbered, numbered, split, n, *shared, told=told)
        return self.map(merge, [[of_part[q] for of_part in pieces] for q in range(n)], *shared, told=told)

    def reduce(
        self,
        work: Callable[..., Any],
        parts: Sequence[Any],
        combine: Callable[[Any, Any], Any],
        *shared: Any,
        told: Told = nobody,
    ) -> Any:
        """See `Engine`."""
        level = self.map(work, parts, *shared, told=told)
        while len(level) > 1:
            pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
            level = [combine(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return level[0]

    def broadcast(self, value: Any) -> Any:
        """See `Engine`."""
        return value

    def close(self) -> None:
        """See `Engine`."""
        self._over.set()
        self._pool.shutdown(cancel_futures=True)


def _split_numbered(numbered: tuple[int, Any], split: Callable[..., list[Any]], n: int, *shared: Any) -> list[Any]:
    number, part = numbered
    return split(part, number, n, *shared)
