"""How many requests `embedkit serve` answers, and how long each takes, with the client on the same machine.

    python benchmarks/serve.py [--seconds 10] [--connections 16] [--tokens 100000] [--vector-size 128]

It needs no data, but the program wrk. It makes a model with as many keys as tokens and 20 tokens a history, starts the
server on a free port, and asks for keys and tokens drawn at random, ten answers each, over connections kept alive.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import markdown

import embedkit

_LUA = """
local n = {n}
math.randomseed(os.time())
function request() return wrk.format("GET", string.format("{path}", math.random(0, n - 1))) end
function done(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %f %d", summary.requests / summary.duration * 1e6, failed))
  for _, p in ipairs({{50, 90, 99, 99.9}}) do io.write(string.format(" %f", latency:percentile(p) / 1000)) end
  io.write("\\n")
end
"""
_ASKED = {
    "recommend, a key's history": "/api/recommend?key=user%d&topn=10",
    "recommend, a history of one": "/api/recommend?item=item%d&topn=10",
    "similar": "/api/similar?token=item%d&topn=10",
    "health (what HTTP alone takes)": "/health?%d",
}


def make_model(path: Path, n: int, size: int) -> None:
    """Write random Embeddings with a history of 20 tokens for each of n keys."""
    rng = np.random.default_rng(1)
    histories = embedkit.History(np.arange(n + 1, dtype=np.int64) * 20, rng.integers(0, n, 20 * n, dtype=np.int32))
    embedkit.Embeddings(
        [f"item{i}" for i in range(n)],
        rng.standard_normal((n, size), dtype=np.float32),
        context_vectors=rng.standard_normal((n, size), dtype=np.float32),
        counts=np.sort(rng.zipf(1.3, n).clip(max=1 << 40))[::-1],
        keys=[f"user{i}" for i in range(n)],
        histories=histories,
    ).save(path)


def start(model: Path, *flags: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server on a free port; return it and its address."""
    command = [sys.executable, "-m", "embedkit", "serve", "--port", "0", "--model", str(model), *flags]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://\S+:\d+", line):
            return server, found[0]
        print(line, end="", file=sys.stderr)
    raise SystemExit("the server did not start")


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--vector-size", type=int, default=128)
    parser.add_argument("--only", default="", help="of what is asked, what begins with this")
    parser.add_argument("--serve", nargs="*", default=[], metavar="FLAG", help="flags for the server, without hyphens")
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: https://github.com/wg/wrk, or your system's package wrk.")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.safetensors")
        make_model(model, asked.tokens, asked.vector_size)
        server, url = start(model, *asked.serve)
        try:
            cases = [
                (name, path, c)
                for name, path in _ASKED.items()
                if name.startswith(asked.only)
                for c in asked.connections
            ]
            rows = [measured(name, path, c, url, server.pid, asked) for name, path, c in cases]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    print(f"{asked.tokens:,} × {asked.vector_size}, load {os.getloadavg()[0]:.1f}")
    head = ["asked", "connections", "requests/s", "50%", "90%", "99%", "99.9%", "CPU a request", "failed"]
    print(markdown(head, rows))


def measured(name: str, path: str, connections: int, url: str, pid: int, asked: argparse.Namespace) -> list[str]:
    """Return one row of the table."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_LUA.format(n=asked.tokens, path=path))
        script.flush()
        command = ["wrk", "-t", "1", "-c", str(connections), "-s", script.name]
        subprocess.run([*command, "-d", "1", url], check=True, capture_output=True)
        before = cpu_seconds(pid)
        done = subprocess.run([*command, "-d", str(asked.seconds), url], check=True, capture_output=True, text=True)
        taken = cpu_seconds(pid) - before
    rate, failed, *times = map(float, re.search("RESULT (.*)", done.stdout)[1].split())
    each = taken / (rate * asked.seconds) * 1000
    shown = [f"{t:.1f} ms" for t in times]
    return [name, str(connections), f"{rate:,.0f}", *shown, f"{each:.2f} ms", f"{failed:.0f}"]


if __name__ == "__main__":
    main()
