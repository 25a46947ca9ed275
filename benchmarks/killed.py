"""Kill -9: trainings and updates that are killed again and again, and go on with --resume until they end.

    python benchmarks/killed.py [--times 200] [--every 0.5s] [--tokens 600000] [--vocabulary 20000] [--seed 1]

Trainings by skipgram, als and glove, and updates of models by skipgram and als, take turns. Each is first left alone,
without states and with them. Then it is killed at random instants, a third of them while a state or the model is being
written, a sixth while the model is, and called again with --resume, until one call gets to its end; then the next
begins, until as many kills as asked for are done. It is checked that

- a call goes on from the state that the one before left, also a call that is killed itself, and no state goes back,
- states and models are whole, and nothing half-written stays,
- no more than an interval was lost, besides twice what starting, or writing a state, was measured to take when left
  alone (in processor time, as the machine may do other things),
- the model is that of the training or update that was left alone, bit for bit; an update that was saved is not done
  again.

The exit status is 1 if any of this ever fails. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from pathlib import Path

from measure import note

_LOOK = 0.25  # seconds after which workers are asked at the latest whether it is time for a state
_SLACK = 2  # times as long as measured once
_MOST = 1.5  # seconds besides an interval that nothing takes here: an epoch, and writing a state


@dataclass
class Call:
    """One call of embedkit: its process and the lines it said, with when."""

    process: subprocess.Popen
    said: list[tuple[float, str]] = field(default_factory=list)
    used: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = time.time()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def look(self) -> None:
        """Note the processor time that it has used so far."""
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            self.used.append((time.time(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")))

    def used_until(self, when: float) -> float:
        """Return the processor time that it had used at the last look before."""
        return max((used for at, used in self.used if at <= when), default=0.0)

    def end(self) -> int:
        """Wait for its end, and for all that it said; return its exit status."""
        code = self.process.wait()
        self._listening.join()
        return code

    def at(self, words: str) -> float | None:
        """Return when it said a line with these words."""
        return next((when for when, line in self.said if words in line), None)

    def _listen(self) -> None:
        for line in self.process.stderr or ():
            self.said.append((time.time(), line.rstrip()))


@dataclass(frozen=True)
class Work:
    """A training, or an update of the model `base` in its place; the same call gives the same bits."""

    name: str
    flags: tuple[str, ...]
    base: Path | None = None

    def command(self, model: Path) -> list[str]:
        """Return the command that makes a model file, or updates it."""
        verb = ["train", "--output"] if self.base is None else ["update", "--model"]
        return [sys.executable, "-m", "embedkit", *verb, str(model), "--workers", "1", *self.flags]

    def prepare(self, model: Path) -> None:
        """Set the model file back to what the work begins with."""
        model.unlink(missing_ok=True)
        if self.base is not None:
            shutil.copyfile(self.base, model)

    def is_done(self, model: Path) -> bool:
        """Tell whether the model file is the work's result."""
        import embedkit

        return model.exists() and (self.base is None or "grown" in embedkit.load(model).config)


@dataclass
class Trial:
    """A work's folder, what it took when left alone, and what came of the kills; times are of the processor.

    Attributes
    ----------
    seconds
        How long it takes by the clock.
    starting, writing
        What is lost at most before the first state of a call, and between two, besides the interval.
    """

    work: Work
    folder: Path
    every: str
    interval: float
    wrong: list[str]
    seconds: float = 0.0
    starting: float = 0.0
    writing: float = 0.0
    counts: Counter = field(default_factory=Counter)
    lost: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.states, self.model = self.folder / "states", self.folder / "model.safetensors"
        self.state, self.whole = self.states / "state.safetensors", self.folder / "whole.safetensors"

    def call(self, model: Path, *more: str) -> Call:
        """Start the work."""
        # One thread, so that processor time passes no faster than the clock does.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        command = [*self.work.command(model), *more]
        return Call(subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, text=True, env=environment))

    def resumed(self) -> Call:
        """Start the work, with states, or go on with it."""
        return self.call(self.model, "--checkpoint", str(self.states), "--every", self.every, "--resume")

    def leave_alone(self) -> None:
        """Do the work without states and with them, and measure what these take.

        Raises
        ------
        SystemExit
            If it fails, ends before its second state, or states change the result.
        """
        self.work.prepare(self.whole)
        self.work.prepare(self.model)
        start = time.monotonic()
        alone = self.call(self.whole)
        if alone.end():
            raise SystemExit(f"{self.work.name}, left alone, failed: {alone.said[-1:]}")
        self.seconds = time.monotonic() - start
        call, kept = self.resumed(), []
        while call.process.poll() is None:
            call.look()
            with contextlib.suppress(FileNotFoundError):
                kept.append(self.state.stat().st_mtime)
            time.sleep(0.01)
        began = call.at("Read ")
        times = sorted(set(kept))
        if call.end() or began is None or len(times) < 2 or not same(self.model, self.whole):
            raise SystemExit(f"{self.work.name} with states failed, or kept too few (raise --tokens): {call.said[-2:]}")
        gaps = [call.used_until(after) - call.used_until(before) for before, after in pairwise([began, *times])]
        self.starting, self.writing = (max(0.0, gap - self.interval) for gap in (gaps[0], max(gaps[1:])))
        if max(self.starting, self.writing) > _MOST:
            self._fail(f"states come too rarely: {max(gaps):.2f} s apart")
        note(
            f"{self.work.name}: {self.seconds:.1f} s left alone, {len(times)} states; besides {self.interval} s, the "
            f"first took {self.starting:.2f} s of processor, others {self.writing:.2f} s at most"
        )

    def allowed(self, *, to_the_first: bool) -> float:
        """Return how much work may be lost."""
        return self.interval + _LOOK + _SLACK * (self.starting if to_the_first else self.writing)

    def written_now(self) -> list[Path]:
        """Return what is being written, or was left half-written."""
        return [*self.states.glob(".embedkit-*.tmp"), *self.folder.glob(".embedkit-*.tmp")]

    def go_on_until_the_end(self, kills: int, chance: random.Random) -> None:
        """Do the work once, killed until a call ends before its instant comes or there were kills enough."""
        self.work.prepare(self.model)
        while True:
            before, was_done = self._epochs_kept(), self.work.is_done(self.model)
            call = self.resumed()
            wait, during = chance.uniform(0, self.seconds), chance.choice(("", "", "", "any", "any", "model"))
            delay = chance.uniform(0, 0.05) if during else 0.0
            killed = self.counts["kills"] < kills and self._killed(call, wait, during, delay)
            code = call.end()
            self._check_resumed(call, before, was_done)
            # A training whose model is there is not called again; an update is, and is to find nothing left to do.
            if not killed or (self.work.base is None and self.model.exists() and not self.state.exists()):
                break
        self.counts["came to an end"] += 1
        if code and not killed:
            self._fail(f"a call ended with {code}: {call.said[-2:]}")
        elif not same(self.model, self.whole):
            self._fail("the model is not the one that comes when left alone")
        else:
            self.counts["equal bit for bit"] += 1
        if left := self.written_now():
            self._fail(f"{len(left)} half-written files were left")
        if self.state.exists():
            self._fail("a state was left though all is done")
        for path in (*left, self.state):
            path.unlink(missing_ok=True)

    def _killed(self, call: Call, wait: float, during: str, delay: float) -> bool:
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
        if call.end() != -9:
            return False
        self._look_at_what_is_left(call, when, set(self.written_now()) - before)
        return True

    def _writes(self, during: str, before: set[Path]) -> bool:
        """Tell whether something is being written, the model if it is to be that."""
        new = set(self.written_now()) - before
        return any(during != "model" or path.parent == self.folder for path in new)

    def _look_at_what_is_left(self, call: Call, when: float, half_written: set[Path]) -> None:
        from embedkit import EmbedkitError
        from embedkit.embeddings.file import verify

        self.counts["kills"] += 1
        self.counts["while writing a state"] += any(path.parent == self.states for path in half_written)
        self.counts["while writing the model"] += any(path.parent == self.folder for path in half_written)
        try:
            done = self.model.exists() and verify(self.model) is not None and self.work.is_done(self.model)
        except EmbedkitError as error:
            self._fail(str(error))
            return
        began, kept = call.at("Read "), self.state.stat().st_mtime if self.state.exists() else 0.0
        if done:
            self.counts["when the model was there"] += 1  # nothing can be lost
        elif began is not None:
            since = max(began, kept)
            self.counts["before its first state"] += since == began
            self.lost.append((call.used_until(when) - call.used_until(since), when - since))
            if self.lost[-1][0] > (allowed := self.allowed(to_the_first=since == began)):
                self._fail(
                    f"{self.lost[-1][0]:.2f} s were lost, and {allowed:.2f} s are allowed; state: {kept > 0}, "
                    f"half-written: {len(half_written)}, it said: {call.said[-3:]}"
                )

    def _check_resumed(self, call: Call, before: int | None, was_done: bool) -> None:
        """See that a call, killed or not, went on from the state of so many whole epochs, if there was one."""
        went_on, ended = call.at("Going on from the state") is not None, call.process.returncode == 0
        if was_done:
            if ended and call.at("nothing left to do") is None:
                self._fail(f"what was done already was done again: {call.said}")
            return
        if before is None:
            return
        if call.at("begins anew") is not None:
            self._fail(f"a call began anew though there was a state: {call.said}")
        now = self._epochs_kept()
        if now is not None and now < before:
            self._fail(f"the state was of {before} whole epochs and is of {now}: {call.said}")
        if now is None and not self.work.is_done(self.model):
            self._fail(f"the state is gone, and the model is not there: {call.said}")
        learned = ended or (now is not None and self.state.stat().st_mtime > call.began)
        if learned and not went_on:
            self._fail(f"a call did not go on from the state: {call.said}")

    def _epochs_kept(self) -> int | None:
        """Return of how many whole epochs the state is; None where there is none, or a damaged one, which is wrong."""
        from embedkit import EmbedkitError
        from embedkit.checkpoints import _read

        if not self.state.exists():
            return None
        try:
            return len(_read(self.state)[0]["losses"])
        except EmbedkitError as error:
            self._fail(str(error))
            return None

    def _fail(self, what: str) -> None:
        self.wrong.append(f"{self.work.name}: {what}")


def same(left: Path, right: Path) -> bool:
    """Tell whether two models hold the same bits: names, vectors on all sides, counts, losses."""
    import numpy as np

    import embedkit

    a, b = embedkit.load(left), embedkit.load(right)
    parts = ("vectors", "context_vectors", "key_vectors", "counts")
    pairs = [(getattr(a, part), getattr(b, part)) for part in parts]
    names = list(a.tokens) == list(b.tokens) and list(a.keys or ()) == list(b.keys or ())
    return names and a.losses == b.losses and all(np.array_equal(x, y) for x, y in pairs)


def works(folder: Path, n_tokens: int, vocabulary: int, seed: int) -> list[Work]:
    """Write the input and the models that are to be updated, and return what is to be done."""
    text, more = (_generated(folder / name, n_tokens, vocabulary, seed + i) for i, name in enumerate(("a", "b")))
    words = ("--source", "text", "--input")
    items = ("--source", "sessions", "--layout", "lines", "--key", "first", "--input")
    skipgram = ("--trainer", "skipgram", "--vector-size", "100", "--epochs")
    als = ("--trainer", "als", "--vector-size", "64", "--epochs", "12")
    bases = [folder / "base-of-words.safetensors", folder / "base-of-items.safetensors"]
    for path, flags in zip(bases, ((*words, str(text), *skipgram, "1"), (*items, str(text), *als)), strict=True):
        subprocess.run(Work("base", flags).command(path), check=True, stderr=subprocess.DEVNULL)
    return [
        Work("skipgram", (*words, str(text), *skipgram, "12")),
        Work("update of skipgram", (*words, str(more), "--epochs", "10"), bases[0]),
        Work("als", (*items, str(text), *als)),
        Work("update of als", (*items, str(more), "--epochs", "8"), bases[1]),
        Work("glove", (*words, str(text), "--trainer", "glove", "--vector-size", "50", "--epochs", "20")),
    ]


def _generated(path: Path, n_tokens: int, vocabulary: int, seed: int) -> Path:
    """Write lines of words drawn by Zipf's law, twenty a line behind a first one that may be a key."""
    import numpy as np

    draws = np.random.default_rng(seed)
    ranks = np.arange(1, vocabulary + 1)
    words = draws.choice(vocabulary, n_tokens, p=(1 / ranks) / (1 / ranks).sum())
    with open(path, "w") as file:
        for line, start in enumerate(range(0, n_tokens, 20)):
            file.write(" ".join((f"k{line}", *(f"w{word}" for word in words[start : start + 20]))) + "\n")
    return path


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--every", default="0.5s")
    parser.add_argument("--tokens", type=int, default=600_000)
    parser.add_argument("--vocabulary", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    from embedkit import Checkpoint

    interval = Checkpoint("unused", args.every).seconds
    if interval is None:
        parser.error("--every must be a time here, so that it can be told whether more than that is lost.")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="embedkit-killed-") as name:
        folder = Path(name)
        made = works(folder, args.tokens, args.vocabulary, args.seed)
        trials = [Trial(work, folder / work.name.replace(" ", "-"), args.every, interval, wrong) for work in made]
        for trial in trials:
            trial.leave_alone()
        chance = random.Random(args.seed)
        for trial in cycle(trials):
            left = args.times - sum(trial.counts["kills"] for trial in trials)
            if left <= 0:
                break
            trial.go_on_until_the_end(trial.counts["kills"] + left, chance)
            note(f"{sum(trial.counts['kills'] for trial in trials)} kills of {args.times}; wrong so far: {len(wrong)}")
    report(trials, wrong)


def report(trials: list[Trial], wrong: list[str]) -> None:
    """Print what came of it."""
    for trial in trials:
        print(f"{trial.work.name}: {', '.join(f'{what} {number}' for what, number in trial.counts.items())}")
        if trial.lost:
            print(
                f"  lost at a kill: {max(lost for lost, _ in trial.lost):.2f} s of processor at most "
                f"({max(clock for _, clock in trial.lost):.2f} s by the clock); allowed: "
                f"{trial.allowed(to_the_first=True):.2f} s before the first state of a call, "
                f"{trial.allowed(to_the_first=False):.2f} s behind it"
            )
    for what in wrong:
        print(f"WRONG: {what}")
    print(f"failures: {len(wrong)}")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
