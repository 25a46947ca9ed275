"""How time and memory grow: with the corpus (×1, ×4, ×16) and with the vocabulary (10⁴ to 10⁷ tokens).

    python benchmarks/growth.py --data DIR [--largest 10000000]

Memory is the peak of anonymous pages of the whole process. Training runs one epoch. min_count grows with the corpus, so
that its vocabulary stays the same.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import markdown, note, parser, plain_text, whole_process

SIZE = 100


def train(text: Path, scratch: Path, *flags: str) -> list[str]:
    """Train on the text; return wall seconds and MiB as cells."""
    command = [sys.executable, "-m", "embedkit", "train", "--source", "text", "--input", str(text), "--epochs=1"]
    output = scratch / "model.safetensors"
    measured = whole_process([*command, f"--vector-size={SIZE}", f"--output={output}", *flags])
    output.unlink()
    note(f"{text.name} {' '.join(flags)}: {measured.wall:.1f} s, {measured.peak:.0f} MiB")
    return [f"{measured.wall:.1f} s", f"{measured.peak:.0f} MiB"]


def times(text: Path, factor: int, scratch: Path) -> Path:
    """Return a file that holds the text so many times, a line each time."""
    target = scratch / f"times{factor}.txt"
    content = text.read_bytes().rstrip() + b"\n"
    with target.open("wb") as file:
        for _ in range(factor):
            file.write(content)
    return target


def of_vocabulary(n: int, scratch: Path) -> Path:
    """Return a text of n different words, each twice, in random order, twenty a line."""
    target = scratch / f"vocabulary{n}.txt"
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(n), 2))
    with target.open("w", encoding="utf-8") as file:
        for start in range(0, len(order), 20):
            file.write(" ".join(f"w{i}" for i in order[start : start + 20]) + "\n")
    return target


def main() -> None:
    """Measure and print the tables."""
    args = parser(__doc__, "")
    args.add_argument("--largest", type=int, default=10_000_000, help="the largest vocabulary")
    given = args.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        text = plain_text(given.data, "words/enwiki2015.txt", scratch)
        rows = []
        for factor in (1, 4, 16):
            grown = times(text, factor, scratch)
            rows.append(
                [
                    f"×{factor}",
                    f"{grown.stat().st_size / 1e6:.0f} MB",
                    *train(grown, scratch, f"--min-count={5 * factor}"),
                ]
            )
            grown.unlink()
        print(markdown(["corpus", "size", "one epoch, whole process", "peak memory"], rows) + "\n")
        rows = []
        for exponent in range(4, 8):
            n = 10**exponent
            if n <= given.largest:
                grown = of_vocabulary(n, scratch)
                vectors = f"{2 * n * SIZE * 4 / 2**20:.0f} MiB"
                rows.append([f"{n:,}", vectors, *train(grown, scratch, "--min-count=1")])
                grown.unlink()
        print(markdown(["vocabulary", "its vectors alone", "one epoch, whole process", "peak memory"], rows))


if __name__ == "__main__":
    main()
