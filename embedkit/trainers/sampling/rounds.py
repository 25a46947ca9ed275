"""Streams in rounds: several threads learn side by side, and the result has the same bits however many they are.

The corpus is divided among a fixed number of streams, each with draws of its own. In a round every stream goes over
some hundred centres, sees the tables as they were when the round began together with its own changes, and keeps those
apart; then all changes are added in the order of the streams (`kernels_rounds`). Threads take whichever stream comes
next, and wait for each other twice a round.

Streams do not see each other's changes within a round, so where all of them move one row towards the same place, their
sum would go beyond it: eight times as far, and with many steps on frequent tokens it would diverge. A stream's n steps
on a row, each by a share c of the way that is left, cover 1 - (1 - c)^n of it, and those of S streams one after the
other 1 - (1 - c)^(S n). The changes of a token are therefore multiplied by

    (1 - exp(-S x)) / (S (1 - exp(-x))),  x = n c,

which is 1 for nearly all tokens, where changes add up, and 1 / S, their mean, for the most frequent.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from embedkit.trainers.machinery.racing import Part
from embedkit.trainers.sampling.kernels_rounds import INPUTS, OUTPUTS, add_changes

_STREAMS = 8
_FEWEST_CENTRES, _MOST_CENTRES = 128, 1024
_ROUNDS = 2048  # of an epoch, about, unless that made too few or too many centres
_CURVATURE = 0.25
_ALONE_BELOW = 300_000
_LOOK_EVERY = 0.25
_MOST_ROOM = 8


@dataclass(frozen=True)
class Rounds:
    """How many streams there are, and how far they go in a round.

    Attributes
    ----------
    streams
        How many; the result depends on it, so it does not depend on the machine.
    centres
        About how many centres each goes over in a round: more are faster, and too many for a small corpus make steps
        that are too large.
    room
        How many rows of a table each can change in a round.
    steps
        float (2, n_tokens), how many times a centre steps on each token's input and output row on average.
    """

    streams: int
    centres: int
    room: int
    steps: np.ndarray

    @classmethod
    def of(cls, n_tokens: int, outputs_a_centre: float, rows_a_block: int, steps: np.ndarray) -> Rounds | None:
        """Choose them for a corpus; None where it is so small that one stream does.

        Parameters
        ----------
        n_tokens
            Of the corpus.
        outputs_a_centre
            How many output rows a centre brings with it, noise included.
        rows_a_block
            How many rows of a table a block takes at most.
        steps
            See above.
        """
        if n_tokens < _ALONE_BELOW:
            return None
        centres = int(np.clip(n_tokens // (_STREAMS * _ROUNDS), _FEWEST_CENTRES, _MOST_CENTRES))
        rows = int(centres * min(max(outputs_a_centre, 2.0), _MOST_ROOM))
        return cls(_STREAMS, centres, min(rows, steps.shape[1]) + rows_a_block, steps)

    @property
    def rows(self) -> int:
        """How many rows all streams need in each table."""
        return self.streams * self.room

    def factors(self, alpha: float) -> np.ndarray:
        """Return what changes are multiplied by; see above.

        Parameters
        ----------
        alpha
            The learning rate, times which the curvature is a step's share of the way that is left.

        Returns
        -------
        np.ndarray
            float32 (2, n_tokens).
        """
        x = np.maximum(_CURVATURE * alpha * self.centres * self.steps, 1e-9)
        return (np.expm1(-self.streams * x) / (self.streams * np.expm1(-x))).astype(np.float32)


class Own(NamedTuple):
    """Which rows are a worker's own: kernels' arguments; see `kernels_rounds` and, with nothing held, `kernels_hot`."""

    copies: int
    held: np.ndarray
    counts: np.ndarray

    @classmethod
    def copies_from(cls, row: int) -> Own:
        """Return those of a worker who has copies at most."""
        return cls(row, np.zeros((2, 0), np.int32), np.zeros(2, np.int64))


@dataclass(frozen=True)
class Apart:
    """What streams change in a round, kept apart; see `kernels_rounds`.

    Attributes
    ----------
    held, counts
        int32 (n_streams, 2, room), int64 (n_streams, 2).
    first
        The row of both tables where the changes of the first stream begin.
    """

    held: np.ndarray
    counts: np.ndarray
    first: int

    @classmethod
    def empty(cls, rounds: Rounds, first: int) -> Apart:
        """Make room."""
        return cls(np.zeros((rounds.streams, 2, rounds.room), np.int32), np.zeros((rounds.streams, 2), np.int64), first)

    def of(self, stream: int) -> Own:
        """Return what is one stream's."""
        return Own(self.first + stream * self.held.shape[2], self.held[stream], self.counts[stream])

    def add(self, table: np.ndarray, which: int, factors: np.ndarray, share: int, n_shares: int) -> None:
        """Add one share of the changes to the tokens' rows."""
        add_changes(table, which, self.held, self.counts, self.first, factors, share, n_shares)


class Streams:
    """All streams, as one worker of a race: it goes from round to round, with threads of its own.

    Parameters
    ----------
    parts
        The streams, each of which goes over a round's centres at a time.
    tables
        Input and output vectors.
    apart
        Where the streams keep their changes.
    rounds
        How they were chosen.
    n_threads
        How many threads share the work; no bit of the result depends on it.
    """

    done: int
    loss: float
    pairs: float

    def __init__(
        self, parts: Sequence[Part], tables: tuple[np.ndarray, np.ndarray], apart: Apart, rounds: Rounds,
        n_threads: int,
    ) -> None:  # fmt: skip
        self._parts, self._tables, self._apart, self._rounds = parts, tables, apart, rounds
        self._n_threads = min(n_threads, len(parts))
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Go back to the corpus's start."""
        for part in self._parts:
            part.begin(epoch)
        self._factors = self._rounds.factors(self._parts[0].alpha)
        self._sum_up()

    def advance(self) -> bool:
        """Go on for a fraction of a second, to the end of a round; False when all streams are done."""
        relay = _Relay(len(self._parts), self._n_threads, time.monotonic() + _LOOK_EVERY)
        with ThreadPoolExecutor(self._n_threads) as pool:
            try:
                working = [pool.submit(self._work, share, relay) for share in range(self._n_threads)]
            except BaseException:  # where no thread can be had, say: the others would wait for it
                relay.abort()
                raise
            wait(working)
        for error in sorted(filter(None, (w.exception() for w in working)), key=_is_consequence):
            raise error
        self._sum_up()
        return relay.going

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of what goes on from round to round."""
        states = {"sums": np.array([self.done, self.loss, self.pairs], np.float64)}
        for number, part in enumerate(self._parts):
            states |= {f"stream{number}-{name}": array for name, array in part.state().items()}
        return states

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from such a state, with any number of threads."""
        for number, part in enumerate(self._parts):
            prefix = f"stream{number}-"
            part.restore({n.removeprefix(prefix): array for n, array in state.items() if n.startswith(prefix)})
        self._sum_up()

    def compile(self) -> None:
        """Call the kernels on nothing."""
        self._parts[0].compile()
        for which in (INPUTS, OUTPUTS):
            self._apart.add(self._tables[which], which, self._factors, 0, 1)

    def _sum_up(self) -> None:
        self.done = sum(part.done for part in self._parts)
        self.loss = sum(part.loss for part in self._parts)
        self.pairs = sum(part.pairs for part in self._parts)

    def _work(self, share: int, relay: _Relay) -> None:
        """Take part in rounds until the relay is over."""
        try:
            while not relay.over:
                for stream in relay.turns():
                    if self._parts[stream].advance():
                        relay.unfinished.add(stream)
                relay.learned.wait()
                for which in (INPUTS, OUTPUTS):
                    self._apart.add(self._tables[which], which, self._factors, share, self._n_threads)
                relay.added.wait()
        except BaseException:
            relay.abort()
            raise


class _Relay:
    """What the threads of `Streams` pass each other: whose turn it is, where they meet, and when it is over."""

    def __init__(self, n_streams: int, n_threads: int, until: float) -> None:
        self._n_streams, self._until = n_streams, until
        self._waiting = deque(range(n_streams))
        self.unfinished: set[int] = set()
        self.over, self.going = False, True
        self.learned = threading.Barrier(n_threads)
        self.added = threading.Barrier(n_threads, action=self._end_round)

    def turns(self) -> Iterator[int]:
        """Yield streams that nobody has gone on with in this round."""
        while True:
            try:
                yield self._waiting.popleft()
            except IndexError:
                return

    def abort(self) -> None:
        """Let nobody wait for a thread that failed."""
        self.learned.abort()
        self.added.abort()

    def _end_round(self) -> None:
        """Decide for all threads, while they stand still, whether there is another round."""
        self.going = bool(self.unfinished)
        self.over = not self.going or time.monotonic() > self._until
        self.unfinished.clear()
        self._waiting.extend(range(self._n_streams))


def _is_consequence(error: BaseException) -> bool:
    """Tell whether a thread failed because another one had."""
    return isinstance(error, threading.BrokenBarrierError)
