"""Export: a million vectors to each format, beside what gensim and NumPy take for the same files.

    python benchmarks/export.py [--tokens 1000000] [--vector-size 100] [--rounds 3] [--peers gensim,numpy]

Each export is a process of its own with compiled kernels at hand; what it reports leaves interpreter start and imports
out, and the wait for the disk in: files are synced. Vectors are normal, of deviation .1, so that text has about nine
digits a number.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from measure import Measured, chosen_peers, in_turn, markdown, median, whole_process

FORMS = ("word2vec", "word2vec-binary", "glove", "vec", "npz", "parquet", "projector", "safetensors")
STORES = ("lancedb", "qdrant")
GENSIM = {"gensim word2vec": False, "gensim word2vec-binary": True}
_MOST_IN_QDRANT = 20_000


def child(system: str, model: str, target: str) -> None:
    """Export once and report."""
    import embedkit

    emb = embedkit.load(model)
    emb.vectors.max()  # read once, so that the disk's reading is left out
    if system.startswith("gensim"):
        from gensim.models import KeyedVectors

        vectors = KeyedVectors(emb.vector_size)
        vectors.add_vectors(list(emb.tokens), emb.vectors)
        start = time.perf_counter()
        vectors.save_word2vec_format(target, binary=GENSIM[system])
    elif system == "numpy savez":
        import numpy as np

        start = time.perf_counter()
        np.savez(target, tokens=np.array(list(emb.tokens)), vectors=emb.vectors)
    else:
        small = embedkit.Embeddings(["warm", "up"], emb.vectors[:2])
        if system not in STORES:
            small.export(system, f"{target}-warm")
        start = time.perf_counter()
        emb.export(system, target)
    print(json.dumps({"seconds": time.perf_counter() - start}))


def make_model(path: Path, n: int, width: int) -> None:
    """Write a model of random vectors."""
    import numpy as np

    import embedkit

    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((n, width), np.float32) * np.float32(0.1)
    embedkit.Embeddings([f"token{i}" for i in range(n)], vectors).save(path)


def size_of(target: Path) -> float:
    """Return the megabytes of a file, or of the files in a folder; `.npz` may have been added to its name."""
    for path in (target, target.with_name(target.name + ".npz")):
        if path.is_file():
            return path.stat().st_size / 1e6
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--vector-size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="gensim,numpy")
    parser.add_argument("--stores", action="store_true", help="LanceDB and (20,000 vectors) Qdrant's embedded mode too")
    given = parser.parse_args()
    peers = chosen_peers(given.peers)
    systems = [*FORMS, *(STORES if given.stores else ()), *(GENSIM if "gensim" in peers else ())]
    systems += ["numpy savez"] * ("numpy" in peers)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        make_model(scratch / "model.safetensors", given.tokens, given.vector_size)
        make_model(scratch / "small.safetensors", min(given.tokens, _MOST_IN_QDRANT), given.vector_size)
        sizes: dict[str, float] = {}

        def measure(system: str) -> Measured:
            model = scratch / ("small.safetensors" if system == "qdrant" else "model.safetensors")
            target = scratch / "out"
            measured = whole_process([sys.executable, __file__, "--child", system, str(model), str(target)])
            sizes[system] = size_of(target)
            for path in scratch.glob("out*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            return measured

        results = in_turn({system: lambda system=system: measure(system) for system in systems}, given.rounds)
    rows = []
    for system, runs in results.items():
        n = min(given.tokens, _MOST_IN_QDRANT) if system == "qdrant" else given.tokens
        took = median([m.report["seconds"] for m in runs])
        peak = median([m.peak for m in runs])
        rows.append([system, f"{n:,}", f"{took:.2f} s", f"{sizes[system]:,.0f} MB", f"{peak:.0f} MiB"])
    print(markdown(["format", f"vectors of {given.vector_size}", "median", "written", "peak memory"], rows))


if __name__ == "__main__":
    if "--child" in sys.argv:
        child(*sys.argv[2:])
    else:
        main()
