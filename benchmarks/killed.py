"""Kill -9: trainings that are killed again and again, and go on with --resume until they end.

    python benchmarks/killed.py [--times 200] [--every 0.5s] [--tokens 1000000] [--vocabulary 20000] [--seed 1]

One training is left alone. Then others like it are killed, each at random instants, a third of them while a state or
the model is being written, a sixth while the model is, and called again with --resume, until one gets to its end; then
the next begins, until as many kills as asked for are done. It is checked that each call goes on from the state that the
one before left, that states and models are whole, that no more than an interval was lost (in processor time, as the
machine may do other things), that nothing half-written stays, and that the model is that of the training that was left
alone, bit for bit. The exit status is 1 if any of this ever fails. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from measure import note

_LOOK = 0.25  # seconds after which workers are asked at the latest whether it is time for a state
_PATIENCE = 2.0  # more: kernels are loaded before the first state, and a state is written


@dataclass
class Call:
    """One call of `embedkit train`: its process and the lines it said, with when."""

    process: subprocess.Popen
    said: list[tuple[float, str]] = field(default_factory=list)
    used: list[tuple[float, float]] = field(default_factory=list)

    def look(self) -> None:
        """Note the processor time that it has used so far."""
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            self.used.append((time.time(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")))

    def used_since(self, when: float) -> float:
        """Return the processor time between then and the last look."""
        before = [used for at, used in self.used if at <= when]
        return self.used[-1][1] - before[-1] if before else 0.0

    def listen(self) -> None:
        """Note each line until the process ends."""
        for line in self.process.stderr or ():
            self.said.append((time.time(), line.rstrip()))

    def at(self, start: str) -> float | None:
        """Return when it said a line that begins so."""
        return next((when for when, line in self.said if line.startswith(start)), None)


@dataclass
class Trial:
    """The folder and the command of the trainings, and what came of the kills."""

    folder: Path
    flags: list[str]
    interval: float
    counts: Counter = field(default_factory=Counter)
    lost: list[float] = field(default_factory=list)
    lost_at_all: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def states(self) -> Path:
        """The folder of states."""
        return self.folder / "states"

    @property
    def bound(self) -> float:
        """How many seconds of work may be lost."""
        return self.interval + _LOOK + _PATIENCE

    @property
    def output(self) -> Path:
        """The model."""
        return self.folder / "model.safetensors"

    def call(self, *more: str) -> tuple[Call, threading.Thread]:
        """Start a training."""
        command = [sys.executable, "-m", "embedkit", "train", *self.flags, *more]
        process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        call = Call(process)
        listening = threading.Thread(target=call.listen, daemon=True)
        listening.start()
        return call, listening

    def written_now(self) -> list[Path]:
        """Return what is being written, or was left half-written."""
        return [*self.states.glob(".embedkit-*.tmp"), *self.folder.glob(".embedkit-*.tmp")]

    def killed(self, call: Call, listening: threading.Thread, wait: float, during: str, delay: float) -> bool:
        """Kill a call after so many seconds, or at the next write behind them; False if it ended before."""
        before = set(self.written_now())
        end, looked = time.monotonic() + wait, 0.0
        while call.process.poll() is None:
            if time.monotonic() >= looked + 0.02:
                looked = time.monotonic()
                call.look()
            if time.monotonic() >= end and (not during or self._writes(during, before)):
                time.sleep(delay)
                break
            time.sleep(0.001)
        call.look()
        call.process.kill()
        when = time.time()
        code = call.process.wait()
        listening.join()
        if code == 0:
            return False
        if code != -9:
            self.wrong.append(f"a call ended with {code}: {call.said[-1:]}")
            return False
        self._look_at_what_is_left(call, when, set(self.written_now()) - before)
        return True

    def _writes(self, during: str, before: set[Path]) -> bool:
        """Tell whether something is being written, the model if it is to be that."""
        new = set(self.written_now()) - before
        return any(during != "model" or path.parent == self.folder for path in new)

    def _look_at_what_is_left(self, call: Call, when: float, half_written: set[Path]) -> None:
        self.counts["kills"] += 1
        self.counts["while writing a state"] += any(path.parent == self.states for path in half_written)
        self.counts["while writing the model"] += any(path.parent == self.folder for path in half_written)
        if self.output.exists() and (trouble := _trouble(self.output, model=True)):
            self.wrong.append(trouble)
        began = call.at("Read ")
        state = self.states / "state.safetensors"
        if not state.exists() and self.output.exists():
            self.counts["when the model was there"] += 1  # the state is gone because all is done; nothing can be lost
            self.output.unlink()
            return
        if state.exists():
            if trouble := _trouble(state):
                self.wrong.append(trouble)
            began = max(began or 0.0, state.stat().st_mtime)
        else:
            self.counts["before the first state"] += 1
        if call.at("Read ") is not None and began is not None:
            self.lost.append(call.used_since(began))
            self.lost_at_all.append(when - began)
            if self.lost[-1] > self.bound:
                self.wrong.append(
                    f"more than an interval was lost: {self.lost[-1]:.2f} s, {self.bound:.2f} s allowed; "
                    f"state: {state.exists()}, half-written: {len(half_written)}, it said: {call.said[-3:]}"
                )

    def check_resumed(self, call: Call, there: bool) -> None:
        """See that a call went on from the state, if there was one."""
        if there and call.at("Read ") and call.process.returncode == 0 and call.at("Going on from the state") is None:
            self.wrong.append(f"a call did not go on from the state: {call.said}")


def _trouble(path: Path, *, model: bool = False) -> str:
    """Return what is wrong with a state or a model, as embedkit itself tells; empty where it is whole."""
    from embedkit import EmbedkitError
    from embedkit.checkpoints import _read
    from embedkit.embeddings.file import verify

    try:
        verify(path) if model else _read(path)
    except EmbedkitError as error:
        return str(error)
    return ""


def generate(path: Path, n_tokens: int, vocabulary: int, seed: int) -> None:
    """Write a text of words drawn by Zipf's law, twenty a line."""
    import numpy as np

    draws = np.random.default_rng(seed)
    ranks = np.arange(1, vocabulary + 1)
    words = draws.choice(vocabulary, n_tokens, p=(1 / ranks) / (1 / ranks).sum())
    with open(path, "w") as file:
        for start in range(0, n_tokens, 20):
            file.write(" ".join(f"w{word}" for word in words[start : start + 20]) + "\n")


def same(left: Path, right: Path) -> bool:
    """Tell whether two models hold the same bits: names, vectors on both sides, losses."""
    import numpy as np

    import embedkit

    a, b = embedkit.load(left), embedkit.load(right)
    pairs = ((a.vectors, b.vectors), (a.context_vectors, b.context_vectors))
    return list(a.tokens) == list(b.tokens) and a.losses == b.losses and all(np.array_equal(x, y) for x, y in pairs)


def one_training(trial: Trial, whole: Path, seconds: float, times: int, chance: random.Random) -> None:
    """Train once, killed until a call ends before its instant comes or there were kills enough."""
    trial.output.unlink(missing_ok=True)
    while True:
        there = (trial.states / "state.safetensors").exists()
        call, listening = trial.call("--resume")
        if trial.counts["kills"] < times:
            wait, during = chance.uniform(0, seconds), chance.choice(("", "", "", "any", "any", "model"))
            if trial.killed(call, listening, wait, during, chance.uniform(0, 0.05) if during else 0.0):
                note(f"kill {trial.counts['kills']} of {times}; wrong so far: {len(trial.wrong)}")
                trial.check_resumed(call, there)
                continue
        else:
            call.process.wait()
            listening.join()
        break
    trial.check_resumed(call, there)
    trial.counts["trainings ended"] += 1
    if call.process.returncode != 0:
        trial.wrong.append(f"a training did not end: {[line for _, line in call.said[-2:]]}")
    elif not same(trial.output, whole):
        trial.wrong.append("a model is not the one of the training that was left alone")
    else:
        trial.counts["models equal bit for bit"] += 1
    if left := trial.written_now():
        trial.wrong.append(f"{len(left)} half-written files were left")
    for path in left:
        path.unlink()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--every", default="0.5s")
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--vocabulary", type=int, default=20_000)
    parser.add_argument("--vector-size", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    from embedkit import Checkpoint

    interval = Checkpoint("unused", args.every).seconds
    if interval is None:
        parser.error("--every must be a time here, so that it can be told whether more than that is lost.")
    with tempfile.TemporaryDirectory(prefix="embedkit-killed-") as name:
        folder = Path(name)
        generate(folder / "text.txt", args.tokens, args.vocabulary, args.seed)
        common = ["--source", "text", "--input", "text.txt", "--trainer", "skipgram", "--workers", "1"]
        common += ["--vector-size", str(args.vector_size), "--epochs", str(args.epochs), "--output"]
        alone = Trial(folder, [*common, "whole.safetensors"], interval)
        call, listening = alone.call()
        start = time.monotonic()
        if call.process.wait():
            listening.join()
            raise SystemExit(f"the training that was left alone failed: {call.said[-1:]}")
        seconds = time.monotonic() - start
        note(f"left alone, the training took {seconds:.1f} s")
        flags = [*common, "model.safetensors", "--checkpoint", "states", "--every", args.every]
        trial = Trial(folder, flags, interval)
        chance = random.Random(args.seed)
        while trial.counts["kills"] < args.times:
            one_training(trial, folder / "whole.safetensors", seconds, args.times, chance)
        report(trial)


def report(trial: Trial) -> None:
    """Print what came of it."""
    for what, number in trial.counts.items():
        print(f"{what}: {number}")
    if trial.lost:
        print(
            f"work lost at a kill: {max(trial.lost):.2f} s of processor at most ({max(trial.lost_at_all):.2f} s by the "
            f"clock), where a state is due every {trial.interval} s"
        )
    for what in trial.wrong:
        print(f"WRONG: {what}")
    print(f"failures: {len(trial.wrong)}")
    if trial.wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
