"""Fuzzing: damaged files of every kind are read, and none may crash, hang, take memory, or end in a traceback.

    python benchmarks/fuzz.py --kind models|inputs|states [--times 100000] [--seed 1] [--only NAME ...] [--keep DIR]
    python benchmarks/fuzz.py --kind bombs
    python benchmarks/fuzz.py --atheris 3600 [--keep DIR]

Whole files (`fuzz_targets.py`) are damaged (`fuzz_mutations.py`) and read, many in one process, which another watches:
if it dies, hangs or is killed, the case that did it is told of and the rest goes on in a new one. Right is an
`EmbedkitError` in one line or a result that can be right, within a second and 200 MiB of memory above the file; a
second of the processor, or three of waiting, which this machine's load does not explain. `--kind bombs` unpacks small
files that become ten gigabytes, of which memory alone is measured. `--atheris` lets that program look for new paths
through the readers that are Python. A case is made again from its seed and number (`--seed S --case N`). The exit
status is 1 where something was found. Linux only: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

OUTCOMES = ("right", "refused", "found")
SECONDS, MEMORY = 1.0, 200 << 20
_WAITS = 3.0  # seconds beyond the processor's, after which a case waits for something
_HANG = 20.0  # seconds after which a case is killed
_LIMIT = 6 << 30  # bytes of memory that a process may have: a guard of the machine that runs this
_CASE, _SINCE = 0, 1


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("models", "inputs", "states", "bombs"), default="models")
    parser.add_argument("--times", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--case", type=int, help="run this case alone and show what comes of it")
    parser.add_argument("--keep", type=Path, help="folder for the files that something was found with")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end earlier than after --times")
    parser.add_argument("--atheris", type=int, metavar="SECONDS")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="embedkit-fuzz-") as name:
        folder = Path(name)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        if args.atheris is not None:
            from fuzz_atheris import run

            run(folder, args.atheris, args.keep)
        elif args.kind == "bombs":
            from fuzz_bombs import run as unpack

            raise SystemExit(unpack(folder))
        else:
            run_in_child(_make, folder)
            raise SystemExit(Campaign(args, folder).run())


def _make(folder: Path) -> None:
    from fuzz_targets import make

    (folder / "whole").mkdir()
    make(folder / "whole")


def run_in_child(call: Callable[..., None], *given: Any) -> None:
    """Call a function in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=call, args=given)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{call.__name__} failed: {process.exitcode}")


class Campaign:
    """The cases of one seed, the process that reads them and what was found."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.spawning = multiprocessing.get_context("spawn")
        self.now = RawArray("d", 2)  # the case that is being read, and since when
        self.names = _names(args.kind, folder / "whole", args.only)
        self.counts = RawArray("q", len(self.names) * len(OUTCOMES))
        self.slowest, self.largest = (RawArray("d", len(self.names)) for _ in range(2))
        self.deaths: list[str] = []

    def run(self) -> int:
        """Read all cases; return the exit status."""
        start, first = time.monotonic(), 0
        if self.args.case is not None:
            self._child(self.args.case, self.args.case + 1, verbose=True).join()
            return 0
        while first < self.args.times and time.monotonic() - start < 60 * self.args.minutes:
            child = self._child(first, min(self.args.times, first + 20_000))
            ended = self._watch(child, start)
            if ended is None:
                first = min(self.args.times, first + 20_000)
            elif ended == "time":
                break
            elif self.now[_CASE] < first:
                raise SystemExit(f"the whole files could not be read: the process {ended}")
            else:
                case = int(self.now[_CASE])
                self.deaths.append(f"case {case} {ended}")
                print(f"FOUND: case {case} {ended}", flush=True)
                self._keep(case)
                first = case + 1
        return self._report(time.monotonic() - start)

    def _child(self, first: int, last: int, verbose: bool = False) -> Any:
        shared = self.now, self.counts, self.slowest, self.largest
        given = self.args, self.folder, self.names, first, last, *shared, verbose
        child = self.spawning.Process(target=read_cases, args=given)
        self.now[_CASE], self.now[_SINCE] = -1, time.time() + 120  # to start
        child.start()
        return child

    def _watch(self, child: Any, start: float) -> str | None:
        """Wait for the process; return how it died, None where it did not."""
        while True:
            child.join(0.5)
            if child.exitcode is not None:
                return None if child.exitcode == 0 else f"ended the process with {child.exitcode}"
            if time.time() - self.now[_SINCE] > _HANG:
                child.kill()
                child.join()
                return f"did not end within {_HANG:.0f} s"
            if time.monotonic() - start > 60 * self.args.minutes:
                child.kill()
                child.join()
                return "time"

    def _keep(self, case: int) -> None:
        if self.args.keep:
            from fuzz_targets import targets

            chosen = [t for t in targets(self.args.kind, self.folder / "whole") if t.name in self.names]
            keep(self.args, *case_of(self.args.seed, case, chosen)[:2], f"death-{case}")

    def _report(self, seconds: float) -> int:
        found = 0
        for row, name in enumerate(self.names):
            right, refused, wrong = self.counts[3 * row : 3 * row + 3]
            found += wrong
            print(
                f"{name:24} {right:7,} right {refused:7,} refused {wrong:4,} found; slowest "
                f"{self.slowest[row]:.2f} s, most memory {self.largest[row] / 2**20:.0f} MiB"
            )
        total = sum(self.counts)
        print(
            f"{self.args.kind}: {total:,} damaged files (seed {self.args.seed}) in {seconds:.0f} s; "
            f"found: {found}; deaths of the process: {len(self.deaths)}"
        )
        return int(bool(found or self.deaths))


def _names(kind: str, folder: Path, only: list[str]) -> list[str]:
    from fuzz_targets import targets

    return [target.name for target in targets(kind, folder) if not only or target.name in only]


def case_of(
    seed: int, case: int, chosen: list[Any], originals: dict[str, bytes] | None = None
) -> tuple[Any, bytes, random.Random]:
    """Return the target and the damaged bytes of a case."""
    from fuzz_mutations import mutated

    chance = random.Random(f"{seed}:{case}")
    target = chance.choices(chosen, [t.share for t in chosen])[0]
    data = target.data if originals is None else originals[target.name]
    return target, mutated(chance, data, target.form), chance


def read_cases(
    args: argparse.Namespace, folder: Path, names: list[str], first: int, last: int,
    now: Any, counts: Any, slowest: Any, largest: Any, verbose: bool,
) -> None:  # fmt: skip
    """Read damaged files, one behind the other, in a process of its own."""
    from fuzz_targets import targets

    resource.setrlimit(resource.RLIMIT_DATA, (_LIMIT, _LIMIT))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for kind in (RuntimeWarning, UserWarning):
        warnings.simplefilter("error", kind)
    chosen = [target for target in targets(args.kind, folder / "whole") if target.name in names]
    originals = {target.name: target.data for target in chosen}
    here = folder / f"case-{args.kind}"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    for target in chosen:  # whole files are read, and everything is imported and compiled
        shutil.copy(target.path, here / target.path.name)
        target.read(here / target.path.name)
    seen: set[str] = set()
    watcher = os.getppid()
    for case in range(first, last):
        if os.getppid() != watcher:
            return  # whoever watches is gone
        target, data, _ = case_of(args.seed, case, chosen, originals)
        row, path = names.index(target.name), here / target.path.name
        path.write_bytes(data)
        now[_SINCE], now[_CASE] = time.time(), case
        outcome, told, seconds, memory = read(target, path)
        if outcome != "found" and (seconds > SECONDS or memory > MEMORY + len(data)):
            outcome, told, seconds, memory = read(target, path)  # another program's load, or a thread's first memory?
            if seconds > SECONDS or memory > MEMORY + len(data):
                outcome, told = "found", f"{seconds:.1f} s of processor, {memory / 2**20:.0f} MiB\n{outcome}: {told}"
        slowest[row], largest[row] = max(slowest[row], seconds), max(largest[row], memory)
        counts[3 * row + OUTCOMES.index(outcome)] += 1
        if verbose:
            print(case, target.name, outcome, told, f"{seconds:.2f} s, {memory / 2**20:.0f} MiB")
        mark = told.rpartition("\n")[0][-300:] if outcome == "found" else ""
        if outcome == "found" and mark not in seen:
            seen.add(mark)
            print(f"FOUND: case {case}, {target.name}: {told}", flush=True)
            if args.keep:
                keep(args, target, data, str(case))


def read(target: Any, path: Path) -> tuple[str, str, float, int]:
    """Read one file; return the outcome, what was said, the processor's seconds and the memory that it took."""
    from embedkit import EmbedkitError

    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
    before, clock, wall = _memory("VmRSS"), time.process_time(), time.monotonic()
    try:
        target.read(path)
        outcome, told = "right", ""
    except EmbedkitError as error:
        outcome, told = "refused", str(error)
        if "\n" in told or len(told) > 2000:
            outcome, told = "found", f"more than a line: {told[:300]!r}"
    except BaseException as error:
        outcome, told = "found", "".join(traceback.format_exception(error)[-6:])
    # Other programs make a case wait too, but not for long, and hardly a second time (see `read_cases`).
    busy, passed = time.process_time() - clock, time.monotonic() - wall
    seconds = passed if passed - busy > _WAITS else min(busy, passed)
    return outcome, told, seconds, _memory("VmHWM") - before


def _memory(field: str) -> int:
    """Return a field of this process's status, in bytes."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))


def keep(args: argparse.Namespace, target: Any, data: bytes, name: str) -> None:
    """Write a damaged file down."""
    args.keep.mkdir(parents=True, exist_ok=True)
    (args.keep / f"{args.kind}-{args.seed}-{name}-{target.path.name}").write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
