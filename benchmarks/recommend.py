"""Top-k recommendation: all Gowalla users beside implicit, one query, batches of similar items.

python benchmarks/recommend.py --data DIR [--peers implicit] [--rounds 5]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from measure import chosen_peers, markdown, median, parser, seconds, sgemm_gflops

import embedkit

TOPN = 20


def with_keys(corpus: embedkit.Corpus, size: int) -> embedkit.Embeddings:
    """Return random Embeddings of that size in which every key has a vector of its own."""
    rng = np.random.default_rng(size)
    items, users = (rng.standard_normal((len(names), size), np.float32) for names in (corpus.tokens, corpus.keys))
    return embedkit.Embeddings.from_corpus(corpus, items, key_vectors=users)


def ours(emb: embedkit.Embeddings) -> np.ndarray:
    """Return the ids of the top items of every key."""
    return np.concatenate([block.ids for block in emb.recommend_all(topn=TOPN)])


def theirs(emb: embedkit.Embeddings) -> np.ndarray:
    """Return the same from implicit, given the same vectors and seen items, its BLAS on one thread as it advises."""
    from implicit.cpu.matrix_factorization_base import MatrixFactorizationBase
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    class Given(MatrixFactorizationBase):
        """A model whose vectors are given."""

        def fit(self, user_items, show_progress=True):
            """Do nothing: the vectors are there."""

        def save(self, fileobj_or_path):
            """Do nothing."""

    model = Given(num_threads=0)
    model.user_factors, model.item_factors = np.asarray(emb.key_vectors), np.asarray(emb.vectors)
    seen = emb.histories
    shape = (len(emb.keys), len(emb.tokens))
    matrix = csr_matrix((np.ones(len(seen.indices), np.float32), seen.indices, seen.indptr), shape)
    with threadpool_limits(1, "blas"):
        ids, _ = model.recommend(np.arange(len(emb.keys)), matrix, N=TOPN, filter_already_liked_items=True)
    return ids


def agreement(left: np.ndarray, right: np.ndarray) -> float:
    """Return the share of rows with the same set of items."""
    return float((np.sort(left, axis=1) == np.sort(right, axis=1)).all(axis=1).mean())


def main() -> None:
    """Measure and print the table."""
    given = parser(__doc__, "implicit").parse_args()
    corpus = embedkit.read("sessions", input=str(given.data / "gowalla/train.txt"), layout="lines", key="first")
    rows = []
    for size in (64, 256):
        emb = with_keys(corpus, size)
        systems = {"embedkit": lambda emb=emb: ours(emb)}
        if "implicit" in chosen_peers(given.peers):
            systems["implicit"] = lambda emb=emb: theirs(emb)
        found = {name: work() for name, work in systems.items()}
        times = {name: [] for name in systems}
        for _ in range(given.rounds):
            for name, work in systems.items():
                times[name].append(seconds(work))
        base = median(times["embedkit"])
        for name in systems:
            took = median(times[name])
            same = agreement(found["embedkit"], found[name])
            row = [f"all {len(corpus.keys):,} users, d = {size}", name, f"{took:.2f} s", f"{took / base:.2f}"]
            rows.append([*row, f"{100 * same:.2f}%"])
    header = ["top 20, seen items out", "system", "wall, median", "times embedkit's", "same items"]
    print(markdown(header, rows))
    print()
    print(markdown(["one process, model open", "median"], single_queries(emb)))
    print(f"\nlarge sgemm on 2 threads: {sgemm_gflops(2):.0f} GFLOPS")


def single_queries(emb: embedkit.Embeddings) -> list[list[str]]:
    """Time one query and a batch of similar items on a model that was loaded from its file."""
    with tempfile.TemporaryDirectory() as folder:
        emb.save(Path(folder, "model.safetensors"))
        model = embedkit.load(Path(folder, "model.safetensors"))
        key, tokens = model.keys[7], model.tokens[:256]
        works = {
            f"recommend one key, {len(model):,} × {model.vectors.shape[1]}": lambda: model.recommend(key, topn=TOPN),
            "similar to one token": lambda: model.most_similar(tokens[0], topn=TOPN),
            "similar to 256 tokens": lambda: model.most_similar(tokens, topn=TOPN),
        }
        for work in works.values():
            work()
        return [[name, f"{1e3 * median([seconds(work) for _ in range(9)]):.1f} ms"] for name, work in works.items()]


if __name__ == "__main__":
    main()
