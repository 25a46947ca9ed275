"""How long a user waits before anything happens: --help, a recommendation from a large model, the first training.

    python benchmarks/startup.py [--rounds 5]

It needs no data: it makes a model of a million tokens × 128 with 100,000 keys.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import in_turn, markdown, median, parser, whole_process

import embedkit


def large_model(path: Path, n: int = 1_000_000, size: int = 128, n_keys: int = 100_000) -> None:
    """Write random Embeddings with histories of ten tokens a key."""
    rng = np.random.default_rng(1)
    histories = embedkit.History(
        np.arange(n_keys + 1, dtype=np.int64) * 10, rng.integers(0, n, 10 * n_keys, dtype=np.int32)
    )
    embedkit.Embeddings(
        [f"item{i}" for i in range(n)],
        rng.standard_normal((n, size), dtype=np.float32),
        keys=[f"user{i}" for i in range(n_keys)],
        histories=histories,
    ).save(path)


def main() -> None:
    """Measure and print the table."""
    rounds = parser(__doc__, "", needs_data=False).parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "large.safetensors")
        large_model(model)
        command = [sys.executable, "-m", "embedkit"]
        asked = [*command, "recommend", "user42", "--model", str(model)]
        whole_process(asked)
        results = in_turn(
            {
                "`--help`": lambda: whole_process([*command, "--help"]),
                "`recommend`, 1,000,000 × 128": lambda: whole_process(asked),
            },
            rounds,
        )
        firsts = []
        for turn in range(2):
            cache = Path(folder, f"cache{turn}")
            first = [*command, "train", "--source", "text", "--output", f"{folder}/first.safetensors"]
            firsts.append(whole_process(first, NUMBA_CACHE_DIR=os.fspath(cache)))
        results["first training on the sample, compiling included"] = firsts
    rows = [
        [name, f"{median([m.wall for m in runs]):.2f} s", f"{median([m.peak for m in runs]):.0f} MiB"]
        for name, runs in results.items()
    ]
    print(markdown(["whole process", "wall, median", "peak memory"], rows))


if __name__ == "__main__":
    main()
