"""The index beside exact search, and beside peers: time to build, size, recall@10, queries a second.

python benchmarks/index.py [--tokens 1000000] [--model FILE ...] [--peers usearch,hnswlib] [--rounds 3] [--seed 1]

The catalogue is generated as learned ones are: directions in clusters of clusters whose sizes fall as 1 / rank^0.8, a
spectrum that falls as 1 / rank^0.35, lengths of a heavy tail (log-normal, sigma 0.4: als on Gowalla has 0.28, spectral
0.55). Queries by dot product are means of histories from one to three clusters, those by cosine are tokens. With
--model, a trained model's own vectors and keys are measured instead. Peers build graphs for minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import markdown, median, note, seconds

import embedkit
from embedkit import scoring

TOPN, WIDTH, ALONE = 10, 128, 100
N_QUERIES, N_JUDGED = 32_768, 4096  # answered by an index; and exactly, which takes so much longer


def catalogue(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors (float32, n × WIDTH) and the cluster of each."""
    rng = np.random.default_rng(seed)
    k = int(4 * n**0.5)
    scale = np.arange(1, WIDTH + 1, dtype=np.float32) ** -0.35
    rotation = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    above = rng.standard_normal((max(8, k // 50), WIDTH), np.float32) * scale
    centres = above[rng.integers(0, len(above), k)] + 0.8 * rng.standard_normal((k, WIDTH), np.float32) * scale
    shares = 1 / np.arange(1, k + 1) ** 0.8
    cluster = rng.choice(k, n, p=shares / shares.sum())
    vectors = np.empty((n, WIDTH), np.float32)
    for start in range(0, n, 1 << 16):
        part = cluster[start : start + (1 << 16)]
        rows = centres[part] + 0.7 * rng.standard_normal((len(part), WIDTH), np.float32) * scale
        rows *= rng.lognormal(0, 0.4, (len(part), 1)).astype(np.float32) / np.linalg.norm(rows, axis=1, keepdims=True)
        vectors[start : start + len(part)] = rows @ rotation
    return vectors, cluster


def histories(vectors: np.ndarray, cluster: np.ndarray, m: int, seed: int = 2) -> np.ndarray:
    """Return means of 2 to 20 vectors from one to three clusters each, float32 (m × WIDTH)."""
    rng = np.random.default_rng(seed)
    order = np.argsort(cluster, kind="stable")
    begins = np.searchsorted(cluster[order], np.arange(cluster.max() + 2))
    queries = np.empty((m, vectors.shape[1]), np.float32)
    for i in range(m):
        chosen = rng.choice(cluster[rng.integers(0, len(vectors), rng.integers(1, 4))], rng.integers(2, 21))
        within = rng.random(len(chosen)) * (begins[chosen + 1] - begins[chosen])
        queries[i] = vectors[order[(begins[chosen] + within).astype(np.intp)]].mean(axis=0)
    return queries


def peers(names: list[str], vectors: np.ndarray) -> dict[str, Callable[[], Callable[[np.ndarray], np.ndarray]]]:
    """Return what builds each peer's index for dot products; that returns its search."""

    def usearch() -> Callable[[np.ndarray], np.ndarray]:
        from usearch.index import Index

        index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=16, expansion_add=100)
        index.add(np.arange(len(vectors)), vectors)
        index.expansion_search = 128
        return lambda queries: np.atleast_2d(index.search(queries, TOPN).keys)

    def hnswlib(added: bool = False) -> Callable[[np.ndarray], np.ndarray]:
        from hnswlib import Index

        lengths = np.linalg.norm(vectors, axis=1)
        extra = np.sqrt(np.maximum(lengths.max() ** 2 - lengths**2, 0))[:, None].astype(np.float32)
        index = Index("l2" if added else "ip", vectors.shape[1] + added)
        index.init_index(len(vectors), M=16, ef_construction=100)
        index.add_items(np.hstack((vectors, extra)) if added else vectors)
        index.set_ef(128)
        zeros = np.zeros((1, 1), np.float32)
        return lambda queries: index.knn_query(
            np.hstack((queries, zeros.repeat(len(queries), axis=0))) if added else queries, TOPN
        )[0]

    known = {"usearch": usearch, "hnswlib": hnswlib, "hnswlib, one dimension added": lambda: hnswlib(added=True)}
    return {name: build for name, build in known.items() if name.partition(",")[0] in names}


def compare(what: str, exact: Callable, systems: dict[str, tuple[str, Callable]], queries: np.ndarray, rounds: int):
    """Yield rows of the table: all systems in turn, beside exact search."""
    truth = exact(queries[:N_JUDGED])
    everything = {"exact": ("", exact), **systems}
    batch: dict[str, list[float]] = {name: [] for name in everything}
    alone: dict[str, list[float]] = {name: [] for name in everything}
    for _ in range(rounds):
        for name, (_, search) in everything.items():
            part = queries[:N_JUDGED] if name == "exact" else queries
            batch[name].append(len(part) / seconds(lambda s=search, p=part: s(p)))
            one_by_one = queries[: ALONE // 10 if name == "exact" else ALONE]
            took = seconds(lambda s=search, p=one_by_one: [s(p[i : i + 1]) for i in range(len(p))])
            alone[name].append(took / len(one_by_one))
    for name, (cost, search) in everything.items():
        found = search(queries[:N_JUDGED])
        recall = np.mean([len(np.intersect1d(a, b)) / TOPN for a, b in zip(found, truth, strict=True)])
        rate, base = median(batch[name]), median(batch["exact"])
        yield [
            what, name, cost, f"{rate:,.0f}", f"{rate / base:.1f}", f"{1e3 * median(alone[name]):.2f} ms",
            f"{median(alone['exact']) / median(alone[name]):.0f}", f"{recall:.3f}",
        ]  # fmt: skip


def rows_of(what: str, vectors: np.ndarray, by_dot: np.ndarray, by_cosine: np.ndarray, given: argparse.Namespace):
    """Yield the table's rows for one catalogue."""
    inverse = scoring.inverse_norms(vectors)

    def dot(queries: np.ndarray, tiers: scoring.Tiers | None = None) -> np.ndarray:
        return scoring.topk(queries, vectors, TOPN, tiers=tiers).ids

    def cosine(queries: np.ndarray, tiers: scoring.Tiers | None = None) -> np.ndarray:
        return scoring.most_similar(queries, vectors, inverse, TOPN, tiers=tiers).ids

    for measure, exact, queries in (("dot", dot, by_dot), ("cosine", cosine, by_cosine)):
        built: list[scoring.Tiers] = []
        took = seconds(lambda m=measure, b=built: b.append(scoring.Tiers.build(vectors, m)))
        size = sum(len(cells.image) for cells in built[0].cells)
        note(f"{what}, {measure}: built in {took:.0f} s")
        cost = f"{took:.0f} s, {size / 1e6:.0f} MB"
        systems = {"embedkit": (cost, lambda q, e=exact, t=built[0]: e(q, t))}
        if measure == "dot":
            for name, build in peers(given.peers.split(","), vectors).items():
                searches: list[Callable] = []
                took = seconds(lambda b=build, s=searches: s.append(b()))
                note(f"{what}, {name}: built in {took:.0f} s")
                systems[name] = (f"{took:.0f} s", searches[0])
        yield from compare(f"{what}, {measure}", exact, systems, queries, given.rounds)


def of_model(path: Path) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Return a trained model's name, context vectors and queries."""
    model = embedkit.load(path, index=False)
    drawn = np.random.default_rng(1).integers(0, len(model), N_QUERIES)
    keys = np.arange(min(N_QUERIES, len(model.keys or ())))
    tokens = np.asarray(model.vectors[drawn])
    by_dot = model.key_queries(keys) if len(keys) else tokens
    return f"{path.stem}, {len(model):,} × {model.vector_size}", np.asarray(model.targets), by_dot, tokens


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1_000_000, help="size of the generated catalogue")
    parser.add_argument("--model", type=Path, nargs="*", default=[], help="trained models to measure instead")
    parser.add_argument("--peers", default="", help="usearch,hnswlib")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seed", type=int, default=1, help="of the catalogue and the queries; settings were chosen on 1"
    )
    given = parser.parse_args()
    rows = []
    for path in given.model:
        what, vectors, by_dot, by_cosine = of_model(path)
        rows += rows_of(what, vectors, by_dot, by_cosine, given)
    if not given.model:
        vectors, cluster = catalogue(given.tokens, given.seed)
        asked = histories(vectors, cluster, N_QUERIES, given.seed + 1)
        rows += rows_of(f"{given.tokens:,} × {WIDTH}", vectors, asked, vectors[:: -(-len(vectors) // N_QUERIES)], given)
    header = ["catalogue, by", "system", "build", "queries/s", "times exact", "one query", "times exact", "recall@10"]
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
