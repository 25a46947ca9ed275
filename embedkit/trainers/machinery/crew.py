"""Threads that each write only their own part of a result, so that it has the same bits however many they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from embedkit.memory import available_cores

_LOOK_EVERY = 0.25

Part = TypeVar("Part")
Result = TypeVar("Result")


class Crew:
    """Does the parts of jobs in threads, with BLAS on a single thread in each; use it as a context.

    What the parts are must not depend on the number of workers: matrix products of other shapes round otherwise.

    Parameters
    ----------
    workers
        How many threads; None for all cores.
    watch
        Called every quarter of a second, and when a job is over, with how many parts of it were done since the last
        call. What it raises ends the job.
    """

    def __init__(self, workers: int | None, watch: Callable[[int], None] | None = None) -> None:
        self._pool = ThreadPoolExecutor(workers or available_cores())
        self._watch = watch or (lambda parts: None)

    def __enter__(self) -> Self:
        self._blas = threadpool_limits(1, "blas")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._blas.restore_original_limits()

    def do(self, work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """Return what `work` makes of each part, in their order; a part should take less than half a second."""
        futures = [self._pool.submit(work, part) for part in parts]
        working = set(futures)
        try:
            while working:
                finished, working = wait(working, timeout=_LOOK_EVERY)
                for future in finished:
                    future.result()
                self._watch(len(finished))
        finally:
            for future in working:
                future.cancel()
        return [future.result() for future in futures]


def slices(n: int, size: int) -> list[slice]:
    """Return slices of at most `size` that cover 0 to n."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
