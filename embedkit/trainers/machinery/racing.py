"""Workers that race: threads on their own parts of a corpus, changing shared vectors without locks.

That this converges when updates are sparse is shown by Recht et al. 2011 (Hogwild!, arXiv 1106.5730).
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from embedkit.contracts import Run
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.memory import available_cores
from embedkit.trainers.machinery.growth import Tether, anchors
from embedkit.trainers.machinery.resuming import check_within, losses_of, put_back

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

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of what goes on from piece to piece."""

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from such a state, in the epoch that has begun."""


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
        self._n_sentences = len(offsets) - 1
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

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of what goes on from piece to piece: place, draws, and what this epoch added up to."""
        sums = np.array([self.done, self.loss, self.pairs], np.float64)
        carried = {"cursor": self._cursor, "pending": self._pending, "draws": self._state, **self.carried()}
        return {"sums": sums} | {name: array.copy() for name, array in carried.items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from such a state."""
        sums = np.zeros(3)
        carried = {"cursor": self._cursor, "pending": self._pending, "draws": self._state, **self.carried()}
        put_back(state, {"sums": sums, **carried})
        self.done, self.loss, self.pairs = int(sums[0]), float(sums[1]), float(sums[2])
        position, sentence, filled, centre = self._cursor.tolist()
        check_within("positions", self._cursor[:1], self._first, self._last)
        check_within("sentences", np.array([sentence, *self._pending[2, :filled]]), 0, self._n_sentences - 1)
        check_within("pending tokens", np.array([filled, centre, filled - centre]), 0, self._pending.shape[1])
        check_within("tokens", self._pending[0, :filled], 0, self.n_different - 1)
        check_within("places of tokens", self._pending[1, :filled], 0, max(position, self._first))

    def carried(self) -> dict[str, np.ndarray]:
        """Return what besides goes on from piece to piece, to be changed in its place."""
        return {}

    @property
    @abstractmethod
    def n_different(self) -> int:
        """How many different tokens there are."""

    @property
    def alpha(self) -> float:
        """The learning rate with which this epoch began."""
        return self._alphas[0]

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
    shared
        The arrays that all of them change.
    snapshot
        Gives what has been learned so far.
    tethers
        What holds rows of these arrays back, where a model grows.
    """

    workers: Sequence[Worker]
    n_tokens: int
    shared: Mapping[str, np.ndarray]
    snapshot: Callable[[], Embeddings]
    tethers: Sequence[Tether] = ()

    def run(self, epochs: int, run: Run, losses: list[float]) -> None:
        """Run the epochs, or fewer where `run` says so; append the mean loss of each to `losses`."""
        midway = run.state is not None and self._restore(run.state, losses, epochs)
        for epoch in range(len(losses), epochs):
            if not midway:
                self._begin(epoch)
            midway = False
            self._epoch(epoch, epochs, run, losses)
            for tether in self.tethers:
                tether.pull()
            losses.append(self._loss())
            if not run.epoch_done(losses[-1], self.snapshot):
                break
            run.keep_state(lambda: self._state(losses, midway=False), epoch_over=True)

    def _begin(self, epoch: int) -> None:
        for worker in self.workers:
            worker.begin(epoch)

    def _epoch(self, epoch: int, epochs: int, run: Run, losses: list[float]) -> None:
        def told() -> bool:
            done = epoch * self.n_tokens + sum(worker.done for worker in self.workers)
            run.progress(done, epochs * self.n_tokens, loss=self._loss(), snapshot=self.snapshot)
            return not run.wants_state()

        unfinished = list(self.workers)
        while unfinished := _go_on(unfinished, told):
            run.keep_state(lambda: self._state(losses, midway=True))

    def _loss(self) -> float:
        pairs = sum(worker.pairs for worker in self.workers)
        return sum(worker.loss for worker in self.workers) / pairs if pairs else 0.0

    def _state(self, losses: list[float], *, midway: bool) -> dict[str, np.ndarray]:
        """Return all that goes on; nobody may be at work."""
        state = {"losses": np.array(losses, np.float64), "midway": np.array([midway]), **self._carried()}
        for number, worker in enumerate(self.workers):
            state |= {f"worker{number}.{name}": array for name, array in worker.state().items()}
        return state

    def _carried(self) -> dict[str, np.ndarray]:
        return {**self.shared, **anchors(self.tethers)}

    def _restore(self, state: Mapping[str, np.ndarray], losses: list[float], epochs: int) -> bool:
        """Go on from a state; return whether it is from within an epoch."""
        before = sum(name.endswith(".sums") for name in state)
        if before != len(self.workers):
            workers = f"{before} worker{'s' * (before != 1)}"
            raise EmbedkitError(
                f"the state is of {workers}, and there are {len(self.workers)}; go on with --workers {before}."
            )
        losses[:] = losses_of(state, epochs)
        self._begin(len(losses))
        midway = np.zeros(1, np.bool_)
        put_back(state, {"midway": midway, **self._carried()})
        for number, worker in enumerate(self.workers):
            prefix = f"worker{number}."
            worker.restore({n.removeprefix(prefix): array for n, array in state.items() if n.startswith(prefix)})
        return bool(midway[0])


def _go_on(workers: Sequence[Worker], told: Callable[[], bool]) -> list[Worker]:
    """Let workers work until they are done, or until `told`, asked again and again, says no; return who is not done."""
    stop = threading.Event()

    def work(worker: Worker) -> bool:
        while not stop.is_set():
            if not worker.advance():
                return True
        return False

    with ThreadPoolExecutor(len(workers)) as pool:
        try:
            futures = {pool.submit(work, worker): worker for worker in workers}
            working = set(futures)
            while working:
                finished, working = wait(working, timeout=_LOOK_EVERY)
                for future in finished:
                    future.result()
                if not told():
                    stop.set()
        finally:
            stop.set()
    return [worker for future, worker in futures.items() if not future.result()]


def n_workers(asked: int | None, n_tokens: int) -> int:
    """Return how many threads to use: as asked; else one for a small corpus, whose result repeats; else all cores."""
    if asked is not None:
        return asked
    if n_tokens < _ALONE_BELOW:
        return 1
    return available_cores()


def warm_up(compile_kernels: Callable[[], object], run: Run) -> None:
    """Call the kernels on nothing, so that they are compiled or loaded, and say so if that takes a while."""
    with ThreadPoolExecutor(1) as pool:
        compiling = pool.submit(compile_kernels)
        if not wait([compiling], timeout=_COMPILING_AFTER).done:
            run.say("Compiling for this machine; only the first training after installation waits for it.")
        compiling.result()
