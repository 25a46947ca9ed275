"""Reading: text to ids with the default tokenizer, and a CSV of interactions to sessions.

    python benchmarks/reading.py --data DIR [--rows 25000000] [--rounds 3]

Each reading is a process of its own with compiled kernels at hand; what it reports leaves interpreter start and imports
out. The sentences of the table come from a Zipf distribution, its users' rows lie scattered over the file in order of
time, as a log's do.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from measure import Measured, copy_gigabytes, in_turn, markdown, median, note, parser, plain_text, whole_process


def child(source: str, path: str) -> None:
    """Read once and report."""
    import embedkit

    embedkit.Corpus.from_sentences([["warm", "up"]])
    start = time.perf_counter()
    corpus = embedkit.read(source, input=path, min_count=5 if source == "text" else 1)
    took = time.perf_counter() - start
    print(json.dumps({"seconds": took, "tokens": corpus.n_tokens, "different": len(corpus.tokens)}))


def write_table(path: Path, rows: int, users: int = 200_000, items: int = 100_000) -> None:
    """Write a CSV of interactions in order of time, with header `user,item,timestamp`."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    rng = np.random.default_rng(1)
    weights = 1 / np.arange(1, items + 1) ** 0.9
    step = 1 << 20
    with csv.CSVWriter(path, pa.schema([("user", pa.int64()), ("item", pa.int64()), ("timestamp", pa.int64())])) as out:
        for start in range(0, rows, step):
            n = min(step, rows - start)
            columns = [
                rng.integers(0, users, n),
                rng.choice(items, n, p=weights / weights.sum()),
                1_600_000_000 + np.arange(start, start + n),
            ]
            out.write_table(pa.table(columns, ["user", "item", "timestamp"]))


def reading(source: str, path: Path) -> Measured:
    """Measure one reading in a process of its own."""
    return whole_process([sys.executable, __file__, "--child", source, str(path)])


def main() -> None:
    """Measure and print the table."""
    args = parser(__doc__, "")
    args.add_argument("--rows", type=int, default=25_000_000)
    given = args.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        text = plain_text(given.data, "words/enwiki2015.txt", scratch)
        note(f"writing a table of {given.rows:,} rows")
        write_table(scratch / "table.csv", given.rows)
        n_bytes = {"text": text.stat().st_size, "sessions": (scratch / "table.csv").stat().st_size}
        results = in_turn(
            {"text": lambda: reading("text", text), "sessions": lambda: reading("sessions", scratch / "table.csv")},
            given.rounds,
        )
    rows = []
    for source, runs in results.items():
        took = median([m.report["seconds"] for m in runs])
        tokens = runs[0].report["tokens"]
        rows.append([
            source, f"{tokens:,}", f"{took:.2f} s", f"{tokens / took / 1e6:.1f}", f"{n_bytes[source] / took / 1e6:.0f}",
            f"{median([m.peak for m in runs]):.0f} MiB",
        ])  # fmt: skip
    print(markdown(["source", "tokens kept", "median", "million tokens/s", "MB/s", "peak memory"], rows))
    print(f"\nmemory copy of one thread: {copy_gigabytes():.1f} GB/s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
