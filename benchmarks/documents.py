"""Vectors of documents as a whole process beside gensim's Doc2Vec: time, and what a classifier makes of the vectors.

python benchmarks/documents.py --data DIR [--architecture dbow] [--rounds 3]

The documents are film reviews (NSMC), rated 8 and more or 4 and less, cut into words as `--source text` cuts them; both
systems read the same file, a line a review, and learn vectors of all reviews. Four fifths of the reviews are good, so
of these as many are drawn as there are bad ones: a logistic regression on the vectors of four fifths of both tells good
from bad, and its accuracy on the rest is shown, where guessing reaches 50%. All systems and rounds get the same draws.
"""

from __future__ import annotations

import lzma
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import Measured, chosen_peers, in_turn, markdown, median, parser, whole_process

SETTINGS = {"vector_size": 100, "window": 5, "negative": 5, "sample": 1e-3, "min_count": 2, "alpha": 0.05}


def reviews(data: Path) -> tuple[list[str], np.ndarray]:
    """Return the reviews that have a word, each as words with spaces between, and whether each is a good one."""
    import re
    import unicodedata

    texts, good = [], []
    with lzma.open(data / "korean/nsmc.tsv.xz", "rt", encoding="utf-8") as file:
        next(file)
        for line in file:
            *_, rating, _, review = line.rstrip("\n").split("\t")
            words = re.findall(r"\w+", unicodedata.normalize("NFC", review).lower())
            if words and not 4 < int(rating) < 8:
                texts.append(" ".join(words))
                good.append(int(rating) >= 8)
    return texts, np.array(good)


def accuracy(vectors: np.ndarray, good: np.ndarray) -> float:
    """Return the accuracy of a logistic regression on the fifth that it has not seen."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(1)
    bad, fine = np.flatnonzero(~good), np.flatnonzero(good)
    order = rng.permutation(np.concatenate((bad, rng.choice(fine, len(bad), replace=False))))
    held_out, seen = order[: len(order) // 5], order[len(order) // 5 :]
    scaler = StandardScaler().fit(vectors[seen])
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(vectors[seen]), good[seen])
    return float(model.score(scaler.transform(vectors[held_out]), good[held_out]))


def embedkit(lines: Path, n: int, good: np.ndarray, given, model: Path) -> Measured:
    """Train with the command line, as a user would."""
    import embedkit as library

    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    command = [sys.executable, "-m", "embedkit", "train", "--source", "text", "--input", str(lines), "--key", "line"]
    command += ["--trainer", "doc2vec", f"--architecture={given.architecture}", f"--epochs={given.epochs}", *flags]
    measured = whole_process([*command, f"--workers={given.workers}", f"--output={model}"])
    emb = library.load(model)
    vectors = np.zeros((n, emb.vector_size), np.float32)
    vectors[[int(key) - 1 for key in emb.keys]] = emb.key_vectors
    measured.report = {"accuracy": accuracy(vectors, good)}
    return measured


def peer(lines: Path, good: np.ndarray, given, model: Path) -> Measured:
    """Train with gensim in a process of its own."""
    call = [sys.executable, __file__, "--child", str(lines), given.architecture, str(given.epochs), str(given.workers)]
    measured = whole_process([*call, str(model)])
    measured.report = {"accuracy": accuracy(np.load(model), good)}
    return measured


def child(lines: str, architecture: str, epochs: str, workers: str, model: str) -> None:
    """Be gensim: train, and write the documents' vectors."""
    from gensim.models.doc2vec import Doc2Vec

    made = Doc2Vec(
        corpus_file=lines, dm=int(architecture == "dm"), dm_mean=1, epochs=int(epochs), workers=int(workers),
        **SETTINGS,
    )  # fmt: skip
    np.save(model, made.dv.vectors)


def main() -> None:
    """Measure and print the table."""
    args = parser(__doc__, "gensim")
    args.add_argument("--architecture", choices=("dbow", "dm"), default="dbow")
    args.add_argument("--epochs", type=int, default=20)
    args.add_argument("--workers", type=int, default=2)
    given = args.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        texts, good = reviews(given.data)
        lines = Path(folder, "reviews.txt")
        lines.write_text("\n".join(texts) + "\n", encoding="utf-8")
        systems = {"embedkit": lambda: embedkit(lines, len(texts), good, given, Path(folder, "model.safetensors"))}
        if "gensim" in chosen_peers(given.peers):
            systems["gensim"] = lambda: peer(lines, good, given, Path(folder, "vectors.npy"))
        results = in_turn(systems, given.rounds)
    own = median([run.wall for run in results["embedkit"]])
    rows = [
        [
            name,
            f"{median([run.wall for run in runs]):.1f} s",
            f"{median([run.wall for run in runs]) / own:.2f}",
            f"{median([run.peak for run in runs]):.0f} MiB",
            f"{100 * median([run.report['accuracy'] for run in runs]):.2f}%",
        ]
        for name, runs in results.items()
    ]
    print(f"{len(texts):,} reviews, {100 * good.mean():.1f}% of them good; {given.architecture}, {given.epochs} epochs")
    print(markdown(["system", "wall", "times embedkit's", "peak memory", "accuracy"], rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
