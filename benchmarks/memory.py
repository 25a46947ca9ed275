"""What trainers, indexes and maps say that they need, beside what they take: estimates of memory and measured peaks.

    python benchmarks/memory.py [--only skipgram,als,...] [--scale 1]

Each runs in a process of its own. Its estimate is what is taken when it is checked whether training fits, and
what is then said to be needed; its peak is that of anonymous pages (`RssAnon`, sampled). "vectors" has many tokens and
few interactions, "interactions" the other way round. The exit status is 1 if an estimate is off by more than a quarter.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import markdown, note, whole_process

VECTORS = {"tokens": 400_000, "sentences": 200_000, "length": 20}
INTERACTIONS = {"tokens": 20_000, "sentences": 200_000, "length": 100}
FEW = {"tokens": 50_000, "sentences": 100_000, "length": 20}
TRAININGS: dict[str, tuple[str, dict[str, int], dict[str, Any]]] = {
    "skipgram": ("skipgram", VECTORS, {"vector_size": 200, "epochs": 1}),
    "cbow": ("cbow", VECTORS, {"vector_size": 200, "epochs": 1}),
    "skipgram, hierarchical softmax": (
        "skipgram", VECTORS, {"vector_size": 200, "epochs": 1, "loss": "hierarchical-softmax", "sample": 1e-5},
    ),
    "cbow, softmax": (
        "cbow", FEW | {"sentences": 50_000, "length": 2},
        {"vector_size": 400, "epochs": 1, "loss": "softmax", "batch_size": 10_000, "sample": 1e-6},
    ),
    "fasttext": ("fasttext", FEW | {"tokens": 100_000}, {"vector_size": 200, "epochs": 1, "sample": 1e-5}),
    "doc2vec, dm": ("doc2vec", VECTORS, {"vector_size": 200, "epochs": 1, "architecture": "dm"}),
    "doc2vec, dbow": ("doc2vec", VECTORS, {"vector_size": 200, "epochs": 1, "architecture": "dbow"}),
    "glove": ("glove", VECTORS | {"length": 5}, {"vector_size": 100, "epochs": 1}),
    "spectral, token-token": ("spectral", FEW, {"vector_size": 300, "matrix": "token-token", "window": 2}),
    "spectral, vectors": ("spectral", FEW | {"tokens": 100_000}, {"vector_size": 300}),
    "spectral, interactions": ("spectral", INTERACTIONS, {"vector_size": 64}),
    "als, vectors": ("als", FEW | {"tokens": 200_000}, {"vector_size": 200, "epochs": 1}),
    "als, explicit": ("als", FEW | {"tokens": 200_000}, {"vector_size": 200, "epochs": 1, "loss": "explicit"}),
    "als, interactions": ("als", INTERACTIONS, {"vector_size": 16, "epochs": 1}),
    "contrastive": ("contrastive", FEW | {"tokens": 200_000}, {"vector_size": 200, "epochs": 1}),
    "contrastive, from spectral": (
        "contrastive", FEW | {"tokens": 200_000}, {"vector_size": 200, "epochs": 1, "start": "spectral"},
    ),
    "skipgram, two partitions": ("skipgram", FEW, {"vector_size": 200, "epochs": 1, "partitions": 2}),
    "skipgram, six partitions": ("skipgram", FEW, {"vector_size": 200, "epochs": 1, "partitions": 6}),
    "als, two partitions": ("als", FEW | {"tokens": 200_000}, {"vector_size": 200, "epochs": 1, "partitions": 2}),
    "als, six partitions": ("als", FEW, {"vector_size": 200, "epochs": 1, "partitions": 6}),
    "spectral, two partitions": ("spectral", FEW, {"vector_size": 300, "partitions": 2}),
    "contrastive, interactions": ("contrastive", INTERACTIONS, {"vector_size": 16, "epochs": 1}),
}  # fmt: skip
MODELS: dict[str, tuple[str, int, int]] = {  # what is made of it, tokens, vector_size
    "index, many": ("index", 1_000_000, 64),
    "index, wide": ("index", 200_000, 512),
    "map, tsne": ("tsne", 30_000, 128),
    "map, umap": ("umap", 30_000, 128),
    "map, pca": ("pca", 300_000, 128),
}


class Clicks:
    """Batches of sentences of tokens drawn by Zipf's law, each token once at least, and each sentence with a key."""

    def __init__(self, tokens: int, sentences: int, length: int) -> None:
        self.tokens, self.sentences, self.length = tokens, sentences, length

    def batches(self) -> Any:
        """Yield `SentenceBatch`es of 50,000 sentences."""
        import pyarrow as pa

        from embedkit import SentenceBatch

        rng = np.random.default_rng(1)
        dictionary = pa.array([f"t{i}" for i in range(self.tokens)])
        for start in range(0, self.sentences, 50_000):
            n = min(50_000, self.sentences - start)
            ids = np.exp(rng.random(n * self.length) * np.log(self.tokens + 1)).astype(np.int32) - 1
            evenly = ids[:: self.length // 2]  # so that each token is there
            evenly[:] = (2 * start + np.arange(len(evenly))) % self.tokens
            yield SentenceBatch(
                pa.DictionaryArray.from_arrays(pa.array(ids), dictionary),
                np.arange(n + 1, dtype=np.int64) * self.length,
                pa.array([f"k{i}" for i in range(start, start + n)]),
                np.ones(len(ids), np.float32),
                np.arange(len(ids), dtype=np.int64),
            )


def child(name: str, scale: float) -> None:
    """Do it, and print as JSON the estimate and the peak, in bytes, and which check was the greatest."""
    from embedkit import memory

    checks: list[tuple[int, str]] = []
    checked = memory.check_fits

    def noted(needed: int, what: str, remedy: str) -> None:
        checks.append((anonymous() + needed, what))
        checked(needed, what, remedy)

    memory.check_fits = noted  # before what calls it is imported
    work = _training(name, scale) if name in TRAININGS else _of_model(name, scale)
    checks.clear()
    before, peak = anonymous(), [0]
    watching = threading.Event()
    watcher = threading.Thread(target=_watch, args=(peak, watching), daemon=True)
    watcher.start()
    work()
    watching.set()
    watcher.join()
    estimate, what = max(checks, default=(before, "nothing was checked"))
    print(json.dumps({"before": before, "estimate": estimate, "peak": peak[0], "what": what}))


def _training(name: str, scale: float) -> Callable[[], Any]:
    import embedkit
    from embedkit.corpus import Corpus
    from embedkit.engines.local import LocalEngine

    trainer, shape, options = TRAININGS[name]
    options = dict(options)
    shape_of_all = {key: int(value * scale) if key != "length" else value for key, value in shape.items()}

    class Drawn(embedkit.Source):
        """Drawn clicks."""

        name = "drawn"
        shape = shape_of_all

        def batches(self) -> Any:
            return Clicks(**self.shape).batches()

        def divided(self, n: int) -> list[embedkit.Source]:
            parts = [Drawn(None) for _ in range(n)]
            for part in parts:
                part.shape = self.shape | {"sentences": self.shape["sentences"] // n}
            return list(parts)

    if n_parts := options.pop("partitions", None):
        engine = LocalEngine(2, partitions=n_parts)
        return lambda: embedkit.train(Drawn, trainer, engine=engine, **options)
    corpus = Corpus.from_source(Drawn(None))
    return lambda: embedkit.train(corpus, trainer, **options)


def _of_model(name: str, scale: float) -> Callable[[], Any]:
    """Return what is to be done with a model that lies in a file, as those of users do."""
    import embedkit
    from embedkit.atlas import coordinates
    from embedkit.memory import give_back

    act, n, width = MODELS[name]
    n = int(n * scale)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        rng = np.random.default_rng(1)
        vectors = rng.normal(size=(n, width)).astype(np.float32)
        embedkit.Embeddings(map(str, range(n)), vectors, context_vectors=vectors[::-1].copy()).save(path)
        del vectors
        give_back()
        model = embedkit.load(path)
    return model.indexed if act == "index" else lambda: coordinates(model, np.arange(n), method=act)


def anonymous() -> int:
    """Return the bytes of anonymous pages of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def _watch(peak: list[int], over: threading.Event) -> None:
    while not over.is_set():
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.005)


def main() -> None:
    """Measure each in a process of its own, and print the table."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--only", help="those whose names begin so, separated by commas")
    args.add_argument("--scale", type=float, default=1.0, help="of the corpora")
    args.add_argument("--child", help=argparse.SUPPRESS)
    given = args.parse_args()
    if given.child:
        child(given.child, given.scale)
        return
    rows, worst = [], 0.0
    begins = tuple(given.only.split(",")) if given.only else ("",)
    for name in (name for name in [*TRAININGS, *MODELS] if name.startswith(begins)):
        report = whole_process([sys.executable, __file__, "--child", name, "--scale", str(given.scale)]).report
        before, estimate, peak = (report[key] / 2**20 for key in ("before", "estimate", "peak"))
        worst = max(worst, abs(estimate / peak - 1))
        rows.append([name, f"{before:.0f}", f"{estimate:.0f}", f"{peak:.0f}", f"{estimate / peak:.2f}"])
        note(f"{name}: {report}")
    print(markdown(["what", "before, MiB", "estimate, MiB", "peak, MiB", "ratio"], rows))
    sys.exit(worst > 0.25)


if __name__ == "__main__":
    main()
