"""One process beside 1, 2 and 4 Dask workers of this machine: quality and seconds.

python benchmarks/scaling.py --data DIR [--only als,spectral,skipgram] [--workers 1,2,4] [--partitions 2,4,8]
    [--seeds 3] [--words MEGABYTES]

Each worker is a process with one thread, each training has as many partitions as workers; times are of `train` alone,
reading included, without the start of the cluster. `--partitions` does the same on threads of this process. More
workers than cores cannot be faster: the last line tells how many cores there are, and how busy they were.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

from measure import note, plain_text

import embedkit
from embedkit import evaluation
from embedkit.evaluation.words import analogies, similarities


def recall(emb: embedkit.Embeddings, data: Path) -> tuple[float, float]:
    """Return Recall@20 and NDCG@20 on Gowalla's test part."""
    result = evaluation.evaluate(emb, evaluation.read_lines(data / "gowalla/test.txt"), k=20)
    return result["recall@20"], result["ndcg@20"]


def right(emb: embedkit.Embeddings, data: Path) -> tuple[float, float]:
    """Return the share of analogies that are right, and the correlation of WordSim-353."""
    sections = analogies(emb, data / "words/questions-words.txt")
    asked = sum(section.covered for section in sections)
    alike = similarities(emb, data / "words/EN-WS-353-ALL.txt")
    return sum(section.right for section in sections) / asked, alike.spearman


def first_megabytes(text: Path, megabytes: int, scratch: Path) -> Path:
    """Return a file with the beginning of a text, all of it where there are no more."""
    target = scratch / "words.txt"
    with text.open("rb") as source:
        target.write_bytes(source.read(megabytes << 20).rpartition(b" ")[0])
    return target


def numbers(text: str) -> list[int]:
    """Return the numbers between commas."""
    return [int(part) for part in text.split(",") if part]


def row(name: str, how: str, seeds: int, judge: Any, data: Path, **call: Any) -> None:
    """Train with some seeds, judge, and print a line of means."""
    found = []
    for seed in range(1, seeds + 1):
        started = time.perf_counter()
        emb = embedkit.train(seed=seed, **call)
        seconds = time.perf_counter() - started
        found.append((*judge(emb, data), emb.losses[-1], seconds))
        note(f"  seed {seed}: " + " ".join(f"{number:.4f}" for number in found[-1]))
    first, second, loss, seconds = map(mean, zip(*found, strict=True))
    note(f"| {name} | {how} | {first:.4f} | {second:.4f} | {loss:.4f} | {seconds:.0f} s |")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="als,spectral,skipgram")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--partitions", default="", help="partitions of the local engine")
    parser.add_argument("--seeds", type=int, default=1, help="train with so many seeds, and print means")
    parser.add_argument("--words", type=int, default=1000, help="megabytes of the text to read")
    given = parser.parse_args()
    from distributed import LocalCluster

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        gowalla = {"source": "sessions", "input": given.data / "gowalla/train.txt", "layout": "lines"}
        calls: dict[str, tuple[dict[str, Any], Any]] = dict.fromkeys(("als", "spectral"), (gowalla, recall))
        if "skipgram" in given.only:
            text = plain_text(given.data, "words/enwiki2015.txt", scratch)
            text = first_megabytes(text, given.words, scratch)
            calls["skipgram"] = ({"source": "text", "input": text}, right)
        note("| trainer | how | Recall@20 or analogies | NDCG@20 or WS-353 | loss | time |\n|---|---|---|---|---|---|")
        for name in given.only.split(","):
            call, judge = calls[name]
            row(name, "one process", given.seeds, judge, given.data, trainer=name, **call)
            for n in numbers(given.partitions):
                with embedkit.make_engine("local", partitions=n) as engine:
                    how = f"local, {n} partitions"
                    row(name, how, given.seeds, judge, given.data, trainer=name, engine=engine, **call)
            for n in numbers(given.workers):
                with (
                    LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None) as cluster,
                    embedkit.make_engine("dask", scheduler=cluster.scheduler_address) as engine,
                ):
                    how = f"Dask, {n} workers"
                    row(name, how, given.seeds, judge, given.data, trainer=name, engine=engine, **call)
    note(f"{os.cpu_count()} cores; load over the last 15 minutes {os.getloadavg()[2]:.1f}")


if __name__ == "__main__":
    main()
