"""Trainings from files larger than the memory that they may take.

    python benchmarks/larger_than_memory.py [--gigabytes 4] [--limit 1] [--only words,sessions,...] [--cgroup]

A text and a table of clicks are made by a generator of their own and trained on under `ulimit -d` (the data segment:
what a process maps for itself, touched or not); with --cgroup, which takes root, also in a control group whose memory
is limited to the same, page cache included. A line a training tells whether it finished, how long it took and what its
peaks were. The exit status is 1 if one did not finish.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count, islice, product
from pathlib import Path

import numpy as np
from measure import markdown, note

VOCABULARY = 4_000_000
TOPICS = 1000
LINE = 1000
ROWS = 1 << 20
CGROUPS = Path("/sys/fs/cgroup")
_PEAKS = {"RssAnon": "anonymous", "VmHWM": "resident", "VmData": "data segment"}
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvz"


def words(n: int) -> np.ndarray:
    """Return n different words of syllables, bytes: the shorter the earlier."""
    syllables = [c + v for c in _CONSONANTS for v in _VOWELS]
    lengths = (product(syllables, repeat=length) for length in count(1))
    return np.array(["".join(word).encode() for word in islice(chain.from_iterable(lengths), n)], dtype=object)


def make_text(path: Path, n_bytes: int) -> None:
    """Write a text of lines whose words are drawn by Zipf's law, half of them from the line's topic."""
    rng, vocabulary, written = np.random.default_rng(1), words(VOCABULARY), 0
    with path.open("wb") as file:
        while written < n_bytes:
            ranks = _zipf(rng, (1000, LINE), VOCABULARY)
            topics = rng.integers(TOPICS, size=(1000, 1))
            of_topic = np.minimum(ranks // TOPICS * TOPICS + topics, VOCABULARY - 1)
            ids = np.where(rng.random(ranks.shape) < 0.5, ranks, of_topic)
            block = b"\n".join(map(b" ".join, vocabulary[ids].tolist())) + b"\n"
            file.write(block)
            written += len(block)


def make_clicks(path: Path, n_bytes: int, users: int = 1_000_000, items: int = 200_000) -> None:
    """Write a table of users, items and times, rows in the order of time."""
    rng, written, now = np.random.default_rng(2), 0, 1_600_000_000
    with path.open("wb") as file:
        file.write(b"user_id,item_id,timestamp\n")
        while written < n_bytes:
            user = rng.integers(users, size=ROWS)
            item = (_zipf(rng, ROWS, items) // 50 * 50 + user % 50) % items
            rows = zip(user.tolist(), item.tolist(), range(now, now + ROWS), strict=True)
            block = "".join(f"user{u},item{i},{t}\n" for u, i, t in rows).encode()
            file.write(block)
            written += len(block)
            now += ROWS


def _zipf(rng: np.random.Generator, shape: int | tuple[int, ...], n: int) -> np.ndarray:
    """Draw ranks from 0 to n - 1, each about in proportion to 1 / (rank + 1)."""
    return np.exp(rng.random(shape) * np.log(n + 1)).astype(np.int64) - 1


@dataclass
class Trial:
    """What became of a training."""

    name: str
    code: int
    wall: float
    peaks: dict[str, float] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def train(name: str, flags: list[str], limit: int, group: Path | None) -> Trial:
    """Run `embedkit train` under the limits and watch its peaks."""

    def restrict() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    command = [sys.executable, "-m", "embedkit", "train", *flags]
    start = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=restrict)
    trial = Trial(name, 0, 0.0)
    watcher = threading.Thread(target=_watch, args=(process.pid, trial.peaks), daemon=True)
    watcher.start()
    assert process.stderr is not None
    for line in process.stderr:
        note(line.rstrip())
        trial.said.append(line.rstrip())
    trial.code, trial.wall = process.wait(), time.perf_counter() - start
    if group is not None:
        trial.peaks["group"] = int(_group_file(group, "peak").read_text()) / 2**20
    return trial


def _watch(pid: int, peaks: dict[str, float]) -> None:
    """Note peaks, in MiB, until the process is gone."""
    while True:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return
        for line in lines:
            key, _, value = line.partition(":")
            if key in _PEAKS:
                peaks[_PEAKS[key]] = max(peaks.get(_PEAKS[key], 0.0), int(value.split()[0]) / 1024)
        time.sleep(0.05)


def _group_file(group: Path, what: str) -> Path:
    """Return the file of a control group that limits its memory, or tells the peak of it, in either version."""
    first = {"limit": "memory.limit_in_bytes", "peak": "memory.max_usage_in_bytes"}[what]
    return group / first if (group / first).exists() else group / {"limit": "memory.max", "peak": "memory.peak"}[what]


@contextmanager
def limited_group(limit: int) -> Iterator[Path]:
    """Make a control group whose memory is limited, and remove it."""
    parent = CGROUPS / "memory" if (CGROUPS / "memory").is_dir() else CGROUPS
    group = parent / f"embedkit-{os.getpid()}"
    group.mkdir()
    try:
        _group_file(group, "limit").write_text(str(limit))
        yield group
    finally:
        group.rmdir()


def trainings(text: Path, clicks: Path, output: Path) -> dict[str, tuple[Path, Callable[[Path, int], None], list[str]]]:
    """Return what is trained on what: the file, what makes it, and the flags."""
    out = ["--output", str(output), "--work-dir", str(output.parent), "--epochs", "1"]
    of_text = ["--source", "text", "--input", str(text), "--min-count", "200", *out]
    few = ["--min-count", "1000", "--window", "5", "--vector-size", "50"]
    of_clicks = ["--source", "sessions", "--input", str(clicks), *out]
    return {
        "words": (text, make_text, of_text),
        "glove": (text, make_text, [*of_text, "--trainer", "glove", *few]),
        "spectral": (text, make_text, [*of_text[:-2], "--trainer", "spectral", "--matrix", "token-token", *few]),
        "sessions": (clicks, make_clicks, [*of_clicks, "--trainer", "skipgram", "--vector-size", "50"]),
    }


def main() -> None:
    """Train and print the table."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--gigabytes", type=float, default=4.0, help="size of the text; the table has half of it")
    args.add_argument("--limit", type=float, default=1.0, help="memory, in GiB")
    args.add_argument("--only", default="words,sessions,glove,spectral")
    args.add_argument("--cgroup", action="store_true", help="also in a control group, which takes root")
    args.add_argument("--folder", help="for files of several times that size; the system's temporary one by default")
    given = args.parse_args()
    limit, trials = int(given.limit * 2**30), []
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        scratch = Path(folder)
        known = trainings(scratch / "words.txt", scratch / "clicks.csv", scratch / "model.safetensors")
        for name in given.only.split(","):
            path, make, flags = known[name]
            if not path.exists():
                size = given.gigabytes * (0.5 if path.suffix == ".csv" else 1)
                note(f"making {size:g} GB of {path.name}")
                make(path, int(size * 1e9))
            note(f"{name}: embedkit train {' '.join(flags)}")
            if given.cgroup:
                with limited_group(limit) as group:
                    trials.append(train(name, flags, limit, group))
            else:
                trials.append(train(name, flags, limit, None))
    columns = [*_PEAKS.values(), *(["group"] if given.cgroup else [])]
    rows = [[t.name, "yes" if t.code == 0 else t.said[-1], f"{t.wall:.0f} s"]
            + [f"{t.peaks.get(c, 0):.0f} MiB" for c in columns] for t in trials]  # fmt: skip
    print(f"limit: {limit / 2**20:.0f} MiB")
    print(markdown(["training", "finished", "wall", *columns], rows))
    sys.exit(any(trial.code for trial in trials))


if __name__ == "__main__":
    main()
