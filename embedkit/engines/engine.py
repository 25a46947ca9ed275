"""What corpora and trainers are given where work is divided: they do not know where it is done.

Work is a function of a partition and of what all share. It must be importable (no lambda, no closure) and depend on
its arguments alone: when a worker is lost, what it held is made anew elsewhere, with the same bits.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Self

Told = Callable[[int, int], None]
"""Called several times a second with how many pieces of work are done, and of how many; what it raises ends them."""


here = threading.local()
"""What a thread of an engine knows of it: `over`, an event that is set when the engine gives up."""


def given_up() -> bool:
    """Tell, from within work, whether nobody waits for its result any more; work of long asks now and then."""
    over: threading.Event | None = getattr(here, "over", None)
    return over is not None and over.is_set()


def nobody(done: int, total: int) -> None:
    """Listen to nothing."""


class Engine(ABC):
    """Does work over partitions; use it as a context, at whose end all that it kept is gone.

    Partitions are values, or what `keep` returned; a tuple of several is one partition too.

    Attributes
    ----------
    name
        What `--engine` calls it.
    n_workers
        How many partitions are worked on at the same time.
    n_parts
        Into how many partitions a source is to be divided.
    threads
        How many threads the work on one partition may use.
    """

    name: str
    n_workers: int
    n_parts: int
    threads: int = 1

    @abstractmethod
    def map(self, work: Callable[..., Any], parts: Sequence[Any], *shared: Any, told: Told = nobody) -> list[Any]:
        """Return `work(part, *shared)` of each partition, in their order."""

    @abstractmethod
    def keep(self, work: Callable[..., Any], parts: Sequence[Any], *shared: Any, told: Told = nobody) -> list[Any]:
        """Do the same and leave the results where they were made; return what stands for them as partitions.

        A result is kept for as long as somebody holds what stands for it.
        """

    @abstractmethod
    def exchange(
        self,
        split: Callable[..., list[Any]],
        parts: Sequence[Any],
        merge: Callable[..., Any],
        *shared: Any,
        told: Told = nobody,
    ) -> list[Any]:
        """Let every partition give a piece to every other; keep what is made of the pieces.

        `split(part, number, n, *shared)` returns n pieces; `merge(pieces, *shared)` makes partition q of the q-th piece
        of each, in the order of partitions.
        """

    @abstractmethod
    def reduce(
        self,
        work: Callable[..., Any],
        parts: Sequence[Any],
        combine: Callable[[Any, Any], Any],
        *shared: Any,
        told: Told = nobody,
    ) -> Any:
        """Return `work(part, *shared)` of all partitions combined, neighbours first and then pairs of pairs (a tree).

        The tree is given by the number of partitions alone, so that sums round the same on every engine.
        """

    @abstractmethod
    def broadcast(self, value: Any) -> Any:
        """Bring a value to where work is done; return what stands for it among `shared`.

        It must be held for as long as what was kept of it.
        """

    @abstractmethod
    def close(self) -> None:
        """Drop all that was kept, and call off what is still being done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
