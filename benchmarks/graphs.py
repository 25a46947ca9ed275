"""Node classification by the vectors of walks, and how fast walks are made, beside PecanPy and gensim.

python benchmarks/graphs.py --data DIR [--graph blogcatalog] [--peers pecanpy] [--peer-python PYTHON] [--rounds 1]

The protocol is DeepWalk's: vectors are learned from the whole graph without labels; half of the nodes, drawn by a seed,
train a logistic regression for each label against the rest (scikit-learn's, C = 10, vectors brought to length 1); each
other node is given as many labels as it has, the most probable ones. F1 is averaged over ten draws, over all labels
alike (macro) or over all decisions (micro). Cora's nodes have one class each: the share given the right one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from measure import Measured, chosen_peers, in_turn, markdown, median, note, parser, whole_process

FILES = {
    "blogcatalog": "graphs/blogcatalog.mat",
    "cora": "graphs/cora_edgelist.txt",
    "karate": "graphs/karate.edgelist",
}
WALKS = {"walks_per_node": 10, "walk_length": 80}
TRAINING = {"vector_size": 128, "window": 10, "negative": 15, "alpha": 0.05, "epochs": 3}
SPLITS = 10


def labels_of(data: Path, graph: str):
    """Return the nodes' names, and which of the labels each has (bool, nodes × labels)."""
    import numpy as np

    if graph == "blogcatalog":
        from scipy.io import loadmat

        group = loadmat(data / FILES[graph])["group"].toarray() > 0
        return [str(i) for i in range(len(group))], group
    rows = [line.split() for line in (data / "graphs/cora_labels.txt").read_text().splitlines()]
    classes = sorted({label for _, label in rows})
    return [node for node, _ in rows], np.array([[label == c for c in classes] for _, label in rows])


def classified(vectors, labels, train, test, c: float = 10.0):
    """Return which labels the test nodes are given: as many as they have, the most probable ones."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    present = np.flatnonzero(labels[train].any(0))
    model = OneVsRestClassifier(LogisticRegression(C=c, max_iter=1000))
    model.fit(vectors[train], labels[train][:, present].astype(int))
    chance = np.full((len(test), labels.shape[1]), -np.inf)
    chance[:, present] = model.decision_function(vectors[test])
    place = np.argsort(np.argsort(-chance, axis=1), axis=1)
    return place < labels[test].sum(1)[:, None]


def f1(given, true) -> dict[str, float]:
    """Return macro and micro F1, and the share of nodes whose labels are all right; a label nobody has counts 0."""
    import numpy as np

    hits, sizes = (given & true).sum(0), given.sum(0) + true.sum(0)
    return {
        "macro": float(np.mean(2 * hits / np.maximum(sizes, 1))),
        "micro": float(2 * hits.sum() / sizes.sum()),
        "right": float((given == true).all(1).mean()),
    }


def halves(n: int, seed: int):
    """Return a random half of n nodes, and the other."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(n)
    return order[: n // 2], order[n // 2 :]


def quality(model: Path, data: Path, graph: str, splits: int = SPLITS) -> dict[str, float]:
    """Return mean scores over the draws, and the deviation of macro F1 between them."""
    import numpy as np

    names, labels = labels_of(data, graph)
    vectors = load(model, names)
    found = []
    for seed in range(splits):
        train, test = halves(len(names), seed)
        found.append(f1(classified(vectors, labels, train, test), labels[test]))
    means = {key: float(np.mean([scores[key] for scores in found])) for key in found[0]}
    return means | {"deviation": float(np.std([scores["macro"] for scores in found], ddof=1))}


def load(model: Path, names: list[str]):
    """Return the nodes' vectors, of length 1; one that has none (a node without an edge) gets zeros.

    Where a model has two vectors a node, input and context, it is their sum.
    """
    import numpy as np

    if model.suffix == ".npz":
        with np.load(model) as file:
            known = dict(zip(file["names"].tolist(), file["vectors"], strict=True))
    else:
        import embedkit

        emb = embedkit.load(model)
        both = emb.vectors if emb.context_vectors is None else emb.vectors + emb.context_vectors
        known = dict(zip(emb.tokens, both, strict=True))
    size = len(next(iter(known.values())))
    vectors = np.array([known.get(name, np.zeros(size)) for name in names])
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def embedkit_train(source: Path, p: float, q: float, workers: int, model: Path, more: list[str]) -> Measured:
    """Train with the command line, as a user would; the defaults of the source are DeepWalk's."""
    command = [sys.executable, "-m", "embedkit", "train", "--source", "graph", "--input", str(source)]
    return whole_process([*command, f"--p={p}", f"--q={q}", f"--workers={workers}", f"--output={model}", *more])


def peer_train(python: str, name: str, source: Path, p: float, q: float, workers: int, model: Path) -> Measured:
    """Train with a peer in a process, and perhaps a Python, of its own."""
    return whole_process([python, __file__, "--child", name, str(source), str(p), str(q), str(workers), str(model)])


def edge_list(data: Path, graph: str, scratch: Path) -> Path:
    """Return the graph as lines of two nodes parted by a tab, each edge once: what peers read."""
    source, target = data / FILES[graph], scratch / f"{graph}.tsv"
    if source.suffix == ".mat":
        from scipy.io import loadmat
        from scipy.sparse import triu

        pairs = {tuple(pair) for pair in zip(*triu(loadmat(source)["network"]).nonzero(), strict=True)}
    else:
        pairs = {tuple(sorted(line.split())) for line in source.read_text().splitlines()}
    target.write_text("".join(f"{a}\t{b}\n" for a, b in sorted(pairs) if a != b))
    return target


def child(name: str, source: str, p: str, q: str, workers: str, model: str) -> None:
    """Be a peer: read, walk, train with gensim's skip-gram, write the vectors; report the seconds of walking."""
    import numpy as np
    from gensim.models import Word2Vec

    if name == "pecanpy":
        import os

        os.environ["NUMBA_NUM_THREADS"] = workers
        from pecanpy import pecanpy

        plain = float(p) == float(q) == 1
        kind = pecanpy.FirstOrderUnweighted if plain else pecanpy.SparseOTF
        graph = kind(p=float(p), q=float(q), workers=int(workers), random_state=1)
        graph.read_edg(source, weighted=False, directed=False)
        graph.preprocess_transition_probs()
        simulate = lambda: graph.simulate_walks(WALKS["walks_per_node"], WALKS["walk_length"])  # noqa: E731
    elif name == "node2vec":
        import networkx
        from node2vec import Node2Vec

        network = networkx.read_edgelist(source)
        simulate = lambda: Node2Vec(  # noqa: E731
            network, walk_length=WALKS["walk_length"], num_walks=WALKS["walks_per_node"], p=float(p), q=float(q),
            workers=int(workers), quiet=True, seed=1,
        ).walks  # fmt: skip
    else:
        raise SystemExit(f"no peer {name!r}; there are pecanpy and node2vec")
    start = time.perf_counter()
    walks = simulate()
    seconds = time.perf_counter() - start
    made = Word2Vec(
        [[str(node) for node in walk] for walk in walks], sg=1, sample=0, min_count=0,
        workers=int(workers), seed=1, **TRAINING,
    ).wv  # fmt: skip
    np.savez(model, names=np.array(made.index_to_key), vectors=made.vectors)
    print(json.dumps({"walk_seconds": seconds, "nodes": sum(map(len, walks))}))


def walking(source: object, p: float, q: float, workers: int, weighted: bool | None = None) -> float:
    """Return how many nodes of walks a second come out of the source, the graph read and the code compiled."""
    from embedkit.options import build
    from embedkit_graph import GraphWalks, Options

    values = {"input": source, "p": p, "q": q, "workers": workers, "weighted": weighted}
    start = None
    nodes = 0
    for batch in GraphWalks(build(Options, {**values, **WALKS})).batches():
        if start is None:
            start = time.perf_counter()
        else:
            nodes += len(batch.tokens)
    return nodes / (time.perf_counter() - start)


def random_graph(nodes: int, edges: int):
    """Return an Arrow table of random edges, some nodes far more popular than others, with weights."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(1)
    source, target = (rng.permutation(nodes)[(nodes * rng.random(edges) ** 2).astype(np.int64)] for _ in range(2))
    return pa.table({"source": source, "target": target, "weight": rng.random(edges) + 0.1})


def speeds(data: Path, workers: int) -> None:
    """Print how fast walks are made on a small graph and on a large one."""
    large = random_graph(1_000_000, 10_000_000)
    rows = []
    for name, graph in (("BlogCatalog", data / FILES["blogcatalog"]), ("random, 1 M nodes, 10 M edges", large)):
        for p, q in ((1.0, 1.0), (0.25, 0.25), (0.25, 4.0), (4.0, 0.25)):
            plain = walking(graph, p, q, workers, weighted=False) / 1e6
            weighted = f"{walking(graph, p, q, workers, weighted=True) / 1e6:.1f} M" if graph is large else ""
            rows.append([name, f"{p:g}", f"{q:g}", f"{plain:.1f} M", weighted])
            note(f"{name}, p {p:g}, q {q:g}: {plain:.1f} M nodes/s {weighted}")
    print(markdown(["graph", "p", "q", f"nodes/s, {workers} workers", "with weights"], rows))


def report(results: dict[str, list[Measured]], data: Path, graph: str) -> None:
    """Print times and scores as Markdown."""
    rows = []
    for name, runs in results.items():
        scores = {key: median([m.report[key] for m in runs]) for key in runs[0].report}
        speed = f"{scores['nodes'] / scores['walk_seconds'] / 1e6:.2f} M" if "nodes" in scores else ""
        shown = [f"{scores['macro']:.4f} ± {scores['deviation']:.4f}", f"{scores['micro']:.4f}"]
        wall, peak = median([m.wall for m in runs]), median([m.peak for m in runs])
        rows.append([name, *shown, f"{scores['right']:.4f}", f"{wall:.1f} s", f"{peak:.0f} MiB", speed])
    header = [graph, "macro F1", "micro F1", "all labels right", "wall", "peak memory", "its walks, nodes/s"]
    print(markdown(header, rows))


def main() -> None:
    """Measure and print."""
    args = parser(__doc__, "pecanpy")
    args.add_argument("--graph", choices=("blogcatalog", "cora", "speed"), default="blogcatalog")
    args.add_argument("--p", type=float, default=1.0)
    args.add_argument("--q", type=float, default=1.0)
    args.add_argument("--flags", default="", help="more flags for embedkit, such as '--trainer spectral'")
    args.add_argument("--workers", type=int, default=2)
    args.add_argument("--peer-python", default=sys.executable, help="the Python that the peers are installed for")
    given = args.parse_args()
    if given.graph == "speed":
        speeds(given.data, given.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        listed = edge_list(given.data, given.graph, scratch)
        common = (given.p, given.q, given.workers)

        def run(name: str) -> Measured:
            model = scratch / f"{name}.{'safetensors' if name == 'embedkit' else 'npz'}"
            if name == "embedkit":
                measured = embedkit_train(given.data / FILES[given.graph], *common, model, given.flags.split())
            else:
                measured = peer_train(given.peer_python, name, listed, *common, model)
            measured.report |= quality(model, given.data, given.graph)
            return measured

        systems = {name: lambda name=name: run(name) for name in ("embedkit", *chosen_peers(given.peers))}
        report(in_turn(systems, given.rounds), given.data, given.graph)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
