"""Whether `embedkit serve` keeps working: mixed load, models exchanged underneath, and abusers beside it.

    python benchmarks/soak.py [--minutes 60] [--rate 60] [--items 5000] [--no-abuse]

Two models are trained on made-up sessions, and a third by `embedkit update` where that command is there. One is served,
and every minute another takes its place; now and then a truncated, a foreign or no file does. Clients of good will ask
every endpoint, rightly and wrongly, `--rate` times a second over connections kept alive: each must get the status that
the question deserves, and one answer in ten must be what one of the models says. Abusers hang, send slowly, send
rubbish or too much, never read, leave; others ask for what is large: a history of 100,000, recommendations to it,
vectors by the thousand, maps of many sizes. Memory, files and threads are looked at every 10 s. At the end the server
gets SIGTERM amid all that: what it had been asked must be answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from measure import markdown
from serve import start
from soak_abuse import Abusers
from soak_clients import Clients, Truth, request

_EXCHANGE = 60.0
_SAMPLE = 10.0
_LONG = 100_000  # entries of one user's history
_HEAVY = 8  # clients that ask for what is large


def train(folder: Path, n_items: int) -> list[Path]:
    """Train models on sessions of items that come in groups; return their files."""
    models = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        tables = folder / f"sessions{seed}.csv"
        n_users, groups = n_items, max(1, n_items // 20)
        favourites = rng.integers(0, groups, (n_users, 2))
        with tables.open("w", encoding="utf-8") as out:
            out.write("user,item\n")
            for user in range(n_users):
                for place in rng.integers(0, 20, rng.integers(3, 30)):
                    group = favourites[user, int(rng.integers(0, 2))]
                    out.write(f"user{user},item{group * 20 + place}\n")
            out.writelines(f"bot,item{item}\n" for item in rng.integers(0, n_items // 2, _LONG))
        models.append(folder / f"model{seed}.safetensors")
        command = ["train", "--source", "sessions", "--input", str(tables), "--trainer", "spectral"]
        _embedkit(*command, "--user-column", "user", "--item-column", "item", "--vector-size", "64",
                  "--output", str(models[-1]))  # fmt: skip
    grown = folder / "model3.safetensors"
    command = ["update", "--model", str(models[0]), "--source", "sessions", "--input", str(folder / "sessions2.csv")]
    if _embedkit(*command, "--user-column", "user", "--item-column", "item", "--output", str(grown), check=False):
        models.append(grown)
    return models


def _embedkit(*arguments: str, check: bool = True) -> bool:
    done = subprocess.run([sys.executable, "-m", "embedkit", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise SystemExit(done.stderr)
    return done.returncode == 0


class Exchange:
    """Puts another model, or now and then none, in the place of the one that is served."""

    def __init__(self, served: Path, models: list[Path], url: str) -> None:
        self._served, self._models, self._url = served, models, url
        self.done: list[str] = []
        self.failed: list[str] = []

    async def run(self, until: float, every: float = _EXCHANGE) -> None:
        """Exchange until the time has come."""
        round_ = 0
        while time.monotonic() + every < until:
            await asyncio.sleep(every)
            round_ += 1
            bad = [self._truncated, self._foreign, self._removed, self._written_slowly]
            if round_ % 3 == 0:
                await bad[round_ // 3 % 4]()
                await asyncio.sleep(10)
            await self._put(self._models[round_ % len(self._models)])

    async def _put(self, model: Path) -> None:
        beside = self._served.with_suffix(".new")
        shutil.copyfile(model, beside)
        os.replace(beside, self._served)
        await self._expect(lambda health: "trouble" not in health and health["model"]["version"] == _version(model),
                           f"taken {model.stem}")  # fmt: skip

    async def _truncated(self) -> None:
        whole = self._models[0].read_bytes()
        self._served.write_bytes(whole[: len(whole) // 2])
        await self._expect(lambda health: "trouble" in health, "refused a truncated file")

    async def _foreign(self) -> None:
        self._served.write_bytes(random.randbytes(1 << 16))
        await self._expect(lambda health: "trouble" in health, "refused a foreign file")

    async def _removed(self) -> None:
        self._served.unlink()
        await self._expect(lambda health: "trouble" in health, "went on without a file")

    async def _written_slowly(self) -> None:
        whole = self._models[1].read_bytes()
        with self._served.open("wb") as out:
            for i in range(20):
                out.write(whole[i * len(whole) // 20 : (i + 1) * len(whole) // 20])
                out.flush()
                await asyncio.sleep(0.2)
        await self._expect(lambda health: health["model"]["version"] == _version(self._models[1]), "taken slowly")

    async def _expect(self, condition, what: str) -> None:
        deadline = time.monotonic() + 45
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError, KeyError):
                status, body = await request(self._url, "GET", "/health")
                if status == 200 and condition(body):
                    self.done.append(what)
                    return
            await asyncio.sleep(0.5)
        self.failed.append(what)


def _version(model: Path) -> str:
    from embedkit.embeddings import verify

    return verify(model).checksum[:12]


class Heavy:
    """Clients that ask for what is large, and take any answer that says what it is."""

    def __init__(self, url: str, clients: Clients, truth: Truth) -> None:
        self._url, self._clients, self._truth = url, clients, truth
        self.by_status: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def run(self) -> None:
        """Ask one after the other, for ever."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5))
            name, method, path, body = self._question()
            try:
                status, _ = await request(self._url, method, path, body)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                if time.monotonic() < self._clients.stopping:
                    self.wrong.append(f"{name}: {type(error).__name__} {error}")
                continue
            self.by_status[f"{name} {status}"] += 1
            if status not in (200, 202, 404, 429, 503):
                self.wrong.append(f"{name}: {status}")

    def _question(self) -> tuple[str, str, str, object]:
        tokens, limit = random.sample(self._truth.tokens, min(1000, len(self._truth.tokens))), random.randint(100, 3000)
        return random.choice([
            ("history", "GET", f"/api/history?key=bot&limit={random.choice((1000, 10_000))}", None),
            ("recommend", "POST", "/api/recommend", {"keys": ["bot"] * 32}),
            ("vectors", "POST", "/api/vectors", {"tokens": tokens}),
            ("map", "GET", f"/api/map?limit={limit}", None),
        ])  # fmt: skip


class Watch:
    """Looks at the server's process."""

    def __init__(self, pid: int, temporary: Path) -> None:
        self._pid, self._temporary = pid, temporary
        self.samples: list[tuple[float, ...]] = []
        self._began = time.monotonic()

    async def run(self) -> None:
        """Look every few seconds, for ever."""
        while True:
            self.look()
            await asyncio.sleep(_SAMPLE)

    def look(self) -> None:
        """Take down seconds, resident MB (all, and without mapped files), files, threads, temporary files."""
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="utf-8")
        told = dict(line.split(":", 1) for line in status.splitlines())
        resident, anonymous = (int(told[name].split()[0]) / 1000 for name in ("VmRSS", "RssAnon"))
        files = len(os.listdir(f"/proc/{self._pid}/fd"))
        kept = sum(1 for _ in self._temporary.rglob("*"))
        self.samples.append((time.monotonic() - self._began, resident, anonymous, files, int(told["Threads"]), kept))

    def table(self) -> str:
        """Return how it was at the start, after a twelfth, half way, and at the end, and the most of each."""
        seconds, *_ = zip(*self.samples, strict=True)
        places = [np.searchsorted(seconds, part * seconds[-1]) for part in (0, 1 / 12, 1 / 2)] + [len(seconds) - 1]
        most = [max(column) for column in zip(*self.samples, strict=True)]
        rows = []
        for sample in [*(self.samples[place] for place in places), most]:
            name = "most" if sample is most else f"{sample[0] / 60:.1f} min"
            rows.append([name, *(f"{number:.0f}" for number in sample[1:])])
        return markdown(["at", "RSS, MB", "without files", "open files", "threads", "temporary files"], rows)


async def drain(server: subprocess.Popen[str], clients: Clients, running: list[asyncio.Task[None]]) -> list[str]:
    """Send SIGTERM amid the load; tell what became of what was asked before."""
    large = [asyncio.create_task(clients.large()) for _ in range(16)]
    await asyncio.sleep(0.3)
    clients.stopping = began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    answered = await asyncio.gather(*large)
    code = await asyncio.to_thread(server.wait, 60)
    took = time.monotonic() - began
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return [
        f"SIGTERM under load: exit code {code} after {took:.1f} s",
        f"16 large requests at work then: {dict(Counter(answered))}",
        f"small requests at work then answered: {clients.drained}, lost: {clients.cut}; refused after: {clients.late}",
    ]


async def soak(asked: argparse.Namespace, folder: Path, models: list[Path]) -> int:
    """Run all; print; return how much is wrong."""
    temporary, served = folder / "tmp", folder / "served.safetensors"
    temporary.mkdir()
    shutil.copyfile(models[0], served)
    os.environ["TMPDIR"] = str(temporary)
    server, url = start(served, *asked.serve)
    threads = asyncio.create_task(asyncio.to_thread(lambda: [print("  |", line, end="") for line in server.stderr]))
    truth = Truth(models)
    clients, abusers = Clients(url, truth, asked.rate), Abusers(url)
    heavy = Heavy(url, clients, truth)
    exchange, watch = Exchange(served, models, url), Watch(server.pid, temporary)
    until = time.monotonic() + asked.minutes * 60
    exchanging = asyncio.create_task(exchange.run(until - 20, asked.exchange))
    watching = asyncio.create_task(watch.run())
    running = [asyncio.create_task(one) for one in clients.all()]
    if not asked.no_abuse:
        running += [asyncio.create_task(one) for one in abusers.all()]
        running += [asyncio.create_task(heavy.run()) for _ in range(_HEAVY)]
    while time.monotonic() < until and server.poll() is None:
        await asyncio.sleep(min(300, max(1, until - time.monotonic())))
        print(f"-- {clients.n:,} requests, {len(clients.lost)} lost, {clients.percentiles()}", flush=True)
    watching.cancel()
    await asyncio.gather(exchanging, return_exceptions=True)
    drained = await drain(server, clients, running)
    await threads
    report(asked, clients, abusers, exchange, watch, drained)
    print(f"large requests: {dict(sorted(heavy.by_status.items()))}; not as expected: {heavy.wrong[:10]}")
    left = list(temporary.iterdir())
    print(f"left in the temporary folder: {len(left)}")
    return len(clients.lost) + len(clients.wrong) + len(heavy.wrong) + len(exchange.failed) + clients.cut + len(left)


def report(asked, clients: Clients, abusers: Abusers, exchange: Exchange, watch: Watch, drained: list[str]) -> None:
    """Print what happened."""
    print(f"\n{asked.minutes:g} minutes, {asked.rate:g} requests/s wanted, load {os.getloadavg()[0]:.1f}\n")
    print(f"requests: {clients.n:,}; by status: {dict(sorted(clients.by_status.items()))}")
    print(f"refused by 429 or 503: {clients.refused}; lost: {len(clients.lost)}; wrong status: {len(clients.wrong)}")
    print(f"answers compared with the models: {clients.compared:,}, by model {clients.by_model}")
    print(f"latency: {clients.percentiles()}")
    print(f"abuse: {dict(sorted(abusers.done.items()))}")
    print(f"model exchanges: {len(exchange.done)} as expected, {len(exchange.failed)} not: {exchange.failed[:5]}\n")
    print(watch.table(), "\n")
    print("\n".join(drained))
    for line in [*clients.lost[:10], *clients.wrong[:10]]:
        print("  ", line)


def main() -> None:
    """Parse, train, run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=60)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--exchange", type=float, default=_EXCHANGE, help="seconds between models")
    parser.add_argument("--no-abuse", action="store_true")
    parser.add_argument("--serve", nargs="*", default=[], metavar="FLAG")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = train(Path(folder), asked.items)
        print(f"models: {', '.join(model.stem for model in models)}", flush=True)
        wrong = asyncio.run(soak(asked, Path(folder), models))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
