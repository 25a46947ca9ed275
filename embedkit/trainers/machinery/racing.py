"""Workers that race: threads on their own parts of a corpus, changing shared vectors without locks.

That this converges when updates are sparse is shown by Recht et al. 2011 (Hogwild!, arXiv 1106.5730).
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from embedkit.contracts import Run
from embedkit.embeddings import Embeddings

_ALONE_BELOW = 2_000_000
_LOOK_EVERY = 0.25
_COMPILING_AFTER = 0.7


class Worker(Protocol):
    """Goes once over its part of the corpus, a piece at a time.

    Attributes
    ----------
    done
        Tokens gone over in this epoch.
    loss, pairs
        Summed loss of this epoch, and over how many pairs.
    """

    done: int
    loss: float
    pairs: float

    def begin(self, epoch: int) -> None:
        """Go back to the part's start."""

    def advance(self) -> bool:
        """Go over the next piece, a fraction of a second's work; False when the part is done."""


class Part(ABC):
    """A worker that goes with a kernel over positions first..last of a corpus.

    Parameters
    ----------
    offsets
        int64, where the corpus's sentences begin.
    number, seed
        Which worker it is, and the seed of all: together those of its own draws.
    alpha, min_alpha, epochs
        The learning rate, which falls linearly over all epochs.
    tokens_a_call
        How many tokens the kernel may read and still be back in a fraction of a second.
    read_ahead
        How many kept tokens there is room for; see `sampling.kernels_blocks`.
    """

    def __init__(
        self, offsets: np.ndarray, first: int, last: int, *, number: int, seed: int, alpha: float, min_alpha: float,
        epochs: int, tokens_a_call: int, read_ahead: int,
    ) -> None:  # fmt: skip
        self._first, self._last = first, last
        self._sentence = int(np.searchsorted(offsets, first, side="right")) - 1
        self._state = np.random.SeedSequence([seed, number]).generate_state(2, np.uint64)
        self._pending = np.zeros((3, read_ahead), np.int64)
        self._alpha, self._fall = alpha, (alpha - min_alpha) / epochs
        self._tokens_a_call = tokens_a_call
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Go back to the part's start, with the learning rates of this epoch."""
        self._cursor = np.array([self._first, self._sentence, 0, 0])
        self._alphas = (self._alpha - self._fall * epoch, self._alpha - self._fall * (epoch + 1))
        self.done, self.loss, self.pairs = 0, 0.0, 0.0

    def advance(self) -> bool:
        """Go over the next piece; False when the part is done."""
        loss, pairs, finished = self._call(self._last, self._tokens_a_call)
        self.done = int(self._cursor[0]) - self._first
        self.loss += loss
        self.pairs += pairs
        return not finished

    def compile(self) -> None:
        """Call the kernel on nothing."""
        self._call(self._first, 0)

    @abstractmethod
    def _call(self, last: int, max_tokens: int) -> tuple[float, int, bool]:
        """Call the kernel up to `last`; return the summed loss, over how many pairs, and whether it got there."""


def divided(n_tokens: int, n_parts: int) -> list[tuple[int, int]]:
    """Return where equal parts of a corpus begin and end, none of them empty."""
    bounds = np.linspace(0, n_tokens, n_parts + 1).astype(np.int64).tolist()
    return [(first, last) for first, last in pairwise(bounds) if first < last]


@dataclass
class Race:
    """Epochs of workers side by side.

    Attributes
    ----------
    workers
        One a thread.
    n_tokens
        Tokens in an epoch, all parts together.
    snapshot
        Gives what has been learned so far.
    """

    workers: Sequence[Worker]
    n_tokens: int
    snapshot: Callable[[], Embeddings]

    def run(self, epochs: int, run: Run, losses: list[float]) -> None:
        """Run the epochs, or fewer where `run` says so; append the mean loss of each to `losses`."""
        for epoch in range(epochs):
            for worker in self.workers:
                worker.begin(epoch)
            self._epoch(epoch, epochs, run)
            losses.append(self._loss())
            if not run.epoch_done(losses[-1], self.snapshot):
                break

    def _epoch(self, epoch: int, epochs: int, run: Run) -> None:
        stop = threading.Event()

        def work(worker: Worker) -> None:
            while not stop.is_set() and worker.advance():
                pass

        with ThreadPoolExecutor(len(self.workers)) as pool:
            working = {pool.submit(work, worker) for worker in self.workers}
            try:
                while working:
                    finished, working = wait(working, timeout=_LOOK_EVERY)
                    for future in finished:
                        future.result()
                    done = epoch * self.n_tokens + sum(worker.done for worker in self.workers)
                    run.progress(done, epochs * self.n_tokens, loss=self._loss(), snapshot=self.snapshot)
            finally:
                stop.set()

    def _loss(self) -> float:
        pairs = sum(worker.pairs for worker in self.workers)
        return sum(worker.loss for worker in self.workers) / pairs if pairs else 0.0


def n_workers(asked: int | None, n_tokens: int) -> int:
    """Return how many threads to use: as asked; else one for a small corpus, whose result repeats; else all cores."""
    if asked is not None:
        return asked
    if n_tokens < _ALONE_BELOW:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warm_up(compile_kernels: Callable[[], object], run: Run) -> None:
    """Call the kernels on nothing, so that they are compiled or loaded, and say so if that takes a while."""
    with ThreadPoolExecutor(1) as pool:
        compiling = pool.submit(compile_kernels)
        if not wait([compiling], timeout=_COMPILING_AFTER).done:
            run.say("Compiling for this machine; only the first training after installation waits for it.")
        compiling.result()
