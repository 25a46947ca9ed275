"""Alternating least squares beside implicit's at the same options: time to train, and what is found of the test.

python benchmarks/factorize.py --data DIR [--vector-size 64] [--rounds 4]

Gowalla, LightGCN's split, alpha 20, regularization 1, ten iterations, conjugate gradients with three steps in both.
Both get the interactions in memory, and seed r in round r. implicit's loss weighs observed entries by alpha and all
others by 1, ours by 1 and `unobserved_weight`, on top of what observed ones have: 1 / 19 makes them equal.
"""

from __future__ import annotations

import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as implicit advises; embedkit sets what it needs itself

import numpy as np
from measure import Measured, in_turn, markdown, median, parser

import embedkit
from embedkit import evaluation

ALPHA, REGULARIZATION, ITERATIONS = 20, 1, 10


def ours(corpus: embedkit.Corpus, size: int, seed: int) -> embedkit.Embeddings:
    """Train with embedkit."""
    share = 1 / (ALPHA - 1)
    return embedkit.train(
        corpus, "als", vector_size=size, epochs=ITERATIONS, unobserved_weight=share,
        regularization=REGULARIZATION * share, regularization_exponent=0, seed=seed,
    )  # fmt: skip


def theirs(corpus: embedkit.Corpus, matrix, size: int, seed: int) -> embedkit.Embeddings:
    """Train with implicit, its vectors as Embeddings."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=size, alpha=ALPHA, regularization=REGULARIZATION, iterations=ITERATIONS, random_state=seed
    )
    model.fit(matrix, show_progress=False)
    return embedkit.Embeddings.from_corpus(corpus, model.item_factors, key_vectors=model.user_factors)


def main() -> None:
    """Measure and print the table."""
    args = parser(__doc__, "implicit")
    args.add_argument("--vector-size", type=int, default=64)
    given = args.parse_args()
    folder = given.data / "gowalla"
    corpus = embedkit.read("sessions", input=str(folder / "train.txt"), layout="lines", key="first")
    test = evaluation.read_lines(folder / "test.txt")
    matrix = corpus.matrix()
    size = given.vector_size
    systems = {"embedkit": lambda seed: ours(corpus, size, seed)}
    if given.peers:
        systems["implicit"] = lambda seed: theirs(corpus, matrix, size, seed)
    ours(corpus, size, 0)  # compiles
    turn = dict.fromkeys(systems, 0)

    def measured(name: str) -> Measured:
        turn[name] += 1
        start = time.perf_counter()
        model = systems[name](turn[name])
        wall = time.perf_counter() - start
        return Measured(wall, 0, 0, {"ndcg": evaluation.evaluate(model, test, k=20)["ndcg@20"]})

    results = in_turn({name: lambda name=name: measured(name) for name in systems}, given.rounds)
    own = median([run.wall for run in results["embedkit"]])
    rows = [
        [
            name,
            f"{median([run.wall for run in runs]):.2f} s",
            f"{median([run.wall for run in runs]) / own:.2f}",
            f"{np.mean([run.report['ndcg'] for run in runs]):.4f}",
            ", ".join(f"{run.report['ndcg']:.4f}" for run in runs),
        ]
        for name, runs in results.items()
    ]
    print(f"{size} numbers a vector")
    print(markdown(["system", "trained in", "times embedkit's", "NDCG@20, mean", "of each seed"], rows))


if __name__ == "__main__":
    main()
