"""The kernels of skip-gram and CBOW against the machine's own sgemm on as many cores.

    python benchmarks/kernels.py --data DIR [--rounds 5] [--tokens 2000000]

Needed operations are 6 · vector_size · contexts · (1 + negative): three products, each a multiply and an add, for each
pair of a centre and a context with its true output and its noise, counted after subsampling, padding left out. What a
kernel saves by sharing is its gain. Kernel and sgemm take turns, so that a noisy machine disturbs both alike.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

from measure import markdown, median, note, parser, sgemm_gflops

import embedkit
from embedkit.trainers.sampling.word2vec import Part, Task
from embedkit.trainers.skipgram import Word2VecOptions

CASES = [
    {"vector_size": size, "window": window, "negative": negative, "workers": workers}
    for size, window, negative, workers in (
        (100, 5, 5, 1), (100, 5, 5, 2), (300, 5, 5, 1), (300, 5, 5, 2), (50, 5, 5, 2), (200, 5, 5, 2),
        (100, 2, 5, 2), (100, 10, 5, 2), (100, 5, 2, 2), (100, 5, 10, 2), (100, 5, 20, 2),
    )
]  # fmt: skip

_IDLE = 0.5  # OpenBLAS's threads keep a core busy for a tenth of a second after a product


class Bench:
    """One setting of a kernel, run over the first tokens of the corpus by one or two workers."""

    def __init__(self, corpus: embedkit.Corpus, tokens: int, architecture: str, case: dict) -> None:
        self.case, self.architecture = case, architecture
        self.task = Task.of(corpus, Word2VecOptions(**case), architecture)
        n = case["workers"]
        share = min(tokens * n, corpus.n_tokens) // n
        self.parts = [Part(self.task, i * share, (i + 1) * share, i) for i in range(n)]
        self.tokens = share * n
        self.speeds: list[float] = []
        self.gflops: list[float] = []
        self.limits: list[float] = []
        self._pass()

    def round(self) -> None:
        """Measure the limit, then the kernel."""
        self.limits.append(sgemm_gflops(self.case["workers"]))
        time.sleep(_IDLE)
        start = time.perf_counter()
        contexts = self._pass()
        took = time.perf_counter() - start
        needed = 6 * self.case["vector_size"] * contexts * (1 + self.case["negative"])
        self.speeds.append(self.tokens / took / 1e6)
        self.gflops.append(needed / took / 1e9)

    def _pass(self) -> float:
        def work(part: Part) -> None:
            part.begin(0)
            while part.advance():
                pass

        with ThreadPoolExecutor(len(self.parts)) as pool:
            list(pool.map(work, self.parts))
        return sum(part.pairs for part in self.parts)

    def row(self) -> list[str]:
        """Return the medians as cells; GFLOPS only for skip-gram, whose pairs are contexts."""
        cells = [self.architecture, *(str(self.case[k]) for k in ("vector_size", "window", "negative", "workers"))]
        cells.append(f"{median(self.speeds):.2f}")
        if self.architecture == "cbow":
            return [*cells, "", "", ""]
        shares = [100 * ours / limit for ours, limit in zip(self.gflops, self.limits, strict=True)]
        return [*cells, f"{median(self.gflops):.0f}", f"{median(self.limits):.0f}", f"{median(shares):.1f}%"]


def main() -> None:
    """Measure and print the table."""
    args = parser(__doc__, "")
    args.add_argument("--tokens", type=int, default=1_000_000, help="tokens a worker goes over in one measurement")
    given = args.parse_args()
    text = given.data / "words/enwiki2015.txt"
    corpus = embedkit.read("text", input=str(text if text.exists() else f"{text}.xz"))
    benches = [Bench(corpus, given.tokens, "skipgram", case) for case in CASES]
    benches += [Bench(corpus, given.tokens, "cbow", case) for case in CASES[:4]]
    for turn in range(given.rounds):
        note(f"round {turn + 1} of {given.rounds}")
        for bench in benches:
            bench.round()
    header = ["kernel", "vector_size", "window", "negative", "workers", "million tokens/s", "GFLOPS", "sgemm", "share"]
    print(markdown(header, [bench.row() for bench in benches]))
    one, two = benches[0], benches[1]
    ratios = [b / a for a, b in zip(one.speeds, two.speeds, strict=True)]
    print(f"\ntwo workers against one, skip-gram, vector_size 100: {median(ratios):.2f} times ({os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
