"""Bytes and seconds of a training on many machines: a model in closed form, checked against a simulation.

    python benchmarks/scaling_model.py

What is modelled is the schedule of `embedkit.engines`: a value that is broadcast goes to one machine, from which all
others fetch it; partitions work; sums go up a binary tree of neighbours and then to the driver. Beside it stands the
same with a broadcast that each machine hands on as soon as it has it. The simulation is one of discrete events: every
machine has one outgoing and one incoming wire that carry one transfer at a time, and works for a time that is drawn, so
that stragglers show. No number here was measured on a cluster; the rates of learning are those of one core of ours.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Machines:
    """What is assumed of the machines.

    Attributes
    ----------
    n
        How many work; a driver comes on top.
    bandwidth, latency
        Bytes a second that a wire carries each way, and the seconds before a transfer begins.
    adding
        Bytes a second at which two arrays are added up (three times that goes through memory).
    spread
        Standard deviation of the logarithm of the times that machines work.
    """

    n: int = 100
    bandwidth: float = 3.125e9  # 25 Gbit/s
    latency: float = 1e-3  # a task's way through the scheduler, mostly
    adding: float = 4e9
    spread: float = 0.1
    tree: bool = False  # whether who has a broadcast value hands it on


@dataclass(frozen=True)
class Step:
    """One round trip: what goes down, how long each machine works, what comes up (bytes, seconds, bytes)."""

    name: str
    down: float
    work: float
    up: float


def levels(n: int) -> int:
    """Return the height of a binary tree over n machines."""
    return math.ceil(math.log2(n)) if n > 1 else 0


def broadcast_levels(n: int) -> int:
    """Return in how many steps n machines and a driver that begins all hold a value, holders doubling."""
    return math.ceil(math.log2(n + 1))


def model(step: Step, machines: Machines) -> tuple[float, float]:
    """Return the seconds and the bytes over all wires of a step, in closed form."""
    n, send = machines.n, lambda size: machines.latency + size / machines.bandwidth
    sends = broadcast_levels(n) if machines.tree else 1 + (n - 1)
    down = sends * send(step.down) if step.down else 0.0
    # The slowest of n draws of a lognormal time, about: all wait for it.
    slowest = math.exp(machines.spread * math.sqrt(2 * math.log(n))) if n > 1 else 1.0
    up = levels(n) * (send(step.up) + step.up / machines.adding) + send(step.up)
    return down + step.work * slowest + up, n * step.down + n * step.up


def simulate(step: Step, machines: Machines, rng: np.random.Generator) -> tuple[float, float]:
    """Return the same of a simulated step."""
    n, moved = machines.n, 0.0
    arrived = np.zeros(n)
    # Holders send to those that have nothing, each over its one wire; the earliest free holder goes first.
    free: list[tuple[float, int]] = [(0.0, -1)]
    for machine in range(n if step.down else 0):
        when, holder = heapq.heappop(free)
        if machine == 0 and not machines.tree:
            free = []  # the driver hands it to the first alone
        done = when + machines.latency + step.down / machines.bandwidth
        arrived[machine], moved = done, moved + step.down
        if machine == 0 and not machines.tree:
            heapq.heappush(free, (done, machine))
            continue
        heapq.heappush(free, (done, holder))
        if machines.tree:
            heapq.heappush(free, (done, machine))
    ready = arrived + step.work * np.exp(machines.spread * rng.standard_normal(n))
    wire_in = np.zeros(n)
    holders = list(range(n))
    while len(holders) > 1:
        for left, right in zip(holders[::2], holders[1::2], strict=False):
            begin = max(ready[right], wire_in[left])
            wire_in[left] = begin + machines.latency + step.up / machines.bandwidth
            ready[left] = max(ready[left], wire_in[left]) + step.up / machines.adding
            moved += step.up
        holders = holders[::2]
    end = ready[holders[0]] + machines.latency + step.up / machines.bandwidth
    return float(end), moved + step.up


@dataclass(frozen=True)
class Data:
    """How much there is, and how fast a machine learns from it (all of its cores)."""

    tokens: float = 1e7
    interactions: float = 1e11
    size: int = 128
    als_rate: float = 16 * 0.45e6  # interactions × epochs a second
    spectral_rate: float = 16 * 4.0e6  # interactions × products a second, of `size` + 32 columns
    sampling_rate: float = 16 * 0.35e6  # tokens a second


def trainings(data: Data, machines: Machines) -> dict[str, list[tuple[int, Step]]]:
    """Return the steps of each training, and how often each is taken."""
    share = data.interactions / machines.n
    table = 4 * data.tokens * data.size
    wide = 4 * data.tokens * (data.size + 32)
    epoch = share / data.als_rate
    rounds = 48  # as embedkit.trainers.sampling.averaging has in all but small corpora
    return {
        "als, an epoch": [
            (1, Step("keys and first sums", table, 0.6 * epoch, table)),
            (3, Step("product for a step", table, 0.4 * epoch / 3, table)),
        ],
        "spectral, an iteration": [(1, Step("product", wide, share / data.spectral_rate, wide))],
        f"skipgram, an epoch of {rounds} rounds": [
            (rounds, Step("round", 2 * table, share / rounds / data.sampling_rate, 2 * table))
        ],
    }


def total(steps: list[tuple[int, Step]], machines: Machines, rng: np.random.Generator | None) -> tuple[float, float]:
    """Return the seconds and bytes of a training, simulated where a generator is given."""
    made = np.zeros(2)
    for times, step in steps:
        if rng is None:
            made += times * np.array(model(step, machines))
        else:
            made += times * np.mean([simulate(step, machines, rng) for _ in range(20)], axis=0)
    return float(made[0]), float(made[1])


def working(steps: list[tuple[int, Step]]) -> float:
    """Return for how many of the seconds a machine works."""
    return sum(times * step.work for times, step in steps)


def main() -> None:
    """Print the tables of docs/scaling.md."""
    data, rng = Data(), np.random.default_rng(1)
    print(
        "| 100 machines | broadcast | model | simulation | working | moved over all wires |\n|---|---|---|---|---|---|"
    )
    for name, steps in trainings(data, Machines()).items():
        for machines in (Machines(), Machines(tree=True)):
            (expected, size), (met, moved) = (total(steps, machines, generator) for generator in (None, rng))
            assert math.isclose(size, moved, rel_tol=0.02), name
            how, share = "handed on" if machines.tree else "fetched", working(steps) / met
            print(f"| {name} | {how} | {expected:,.0f} s | {met:,.0f} s | {share:.0%} | {moved / 1e12:,.1f} TB |")
    print("\n| machines | " + " | ".join(name.partition(",")[0] for name in trainings(data, Machines())) + " |")
    print("|---|---|---|---|")
    for n in (1, 3, 10, 30, 100, 300, 1000):
        cells = [
            " / ".join(f"{total(steps, Machines(n=n, tree=tree), rng)[0]:,.0f} s" for tree in (False, True))
            for steps in trainings(data, Machines(n=n)).values()
        ]
        print(f"| {n} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
