"""How benchmarks measure: whole processes side by side, in turn, several rounds; medians and ratios."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Measured:
    """One run of one system: wall and CPU seconds, peak of anonymous memory in MiB, and what it reported itself."""

    wall: float
    cpu: float
    peak: float
    report: dict = field(default_factory=dict)


def whole_process(command: Sequence[str], **environment: str) -> Measured:
    """Run a command to its end and measure it; the last line it prints may be a JSON object, its own report.

    Memory is the peak of anonymous pages (`RssAnon` of /proc, sampled every 20 ms), so that memory-mapped files,
    which the system may drop at will, are left out.
    """
    before = os.times()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    peak = [0.0]
    sampler = threading.Thread(target=_sample_memory, args=(process.pid, peak), daemon=True)
    sampler.start()
    out, _ = process.communicate()
    wall = time.perf_counter() - start
    after = os.times()
    if process.returncode:
        raise SystemExit(f"failed ({process.returncode}): {' '.join(command)}\n{out}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    last = out.strip().splitlines()[-1] if out.strip() else ""
    return Measured(wall, cpu, peak[0], json.loads(last) if last.startswith("{") else {})


def _sample_memory(pid: int, peak: list[float]) -> None:
    status = Path(f"/proc/{pid}/status")
    while True:
        try:
            line = next(x for x in status.read_text().splitlines() if x.startswith("RssAnon"))
        except (OSError, StopIteration):
            return
        peak[0] = max(peak[0], int(line.split()[1]) / 1024)
        time.sleep(0.02)


def in_turn(systems: dict[str, Callable[[], Measured]], rounds: int) -> dict[str, list[Measured]]:
    """Run every system once a round, in an order that turns from round to round."""
    names = list(systems)
    results: dict[str, list[Measured]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            results[name].append(systems[name]())
            note(f"round {turn + 1}: {name} took {results[name][-1].wall:.1f} s")
    return results


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def sgemm_gflops(threads: int, n: int = 4096) -> float:
    """Return the machine's own limit: float32 matrix products of n × n on so many threads, billions of operations/s."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
    with threadpool_limits(threads):
        a @ b
        return 2 * n**3 / median([seconds(lambda: a @ b) for _ in range(3)]) / 1e9


def copy_gigabytes() -> float:
    """Return how many gigabytes a second one thread copies in memory (read and written, each counted once)."""
    import numpy as np

    source = np.ones(1 << 28, np.uint8)
    target = np.empty_like(source)
    np.copyto(target, source)
    return 2 * len(source) / median([seconds(lambda: np.copyto(target, source)) for _ in range(5)]) / 1e9


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def note(text: str) -> None:
    """Say something on standard error."""
    print(text, file=sys.stderr, flush=True)


def parser(description: str, peers: str, *, needs_data: bool = True) -> argparse.ArgumentParser:
    """Return a parser with the flags that all benchmarks share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--data", type=Path, required=needs_data, help="folder of the data sets")
    made.add_argument("--peers", default=peers, help="comma-separated peers to measure beside embedkit; '' for none")
    made.add_argument("--rounds", type=int, default=3)
    return made


def chosen_peers(given: str) -> list[str]:
    """Return the peers asked for."""
    return [peer for peer in given.split(",") if peer]


def plain_text(folder: Path, name: str, scratch: Path) -> Path:
    """Return the data set's text, unpacked into `scratch` where it lies there only as .xz."""
    import lzma
    import shutil

    plain = folder / name
    if plain.exists():
        return plain
    target = scratch / Path(name).name
    if not target.exists():
        with lzma.open(f"{plain}.xz") as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    return target
