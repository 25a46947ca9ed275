"""Korean word similarity after training on film reviews: whitespace tokens, words, morphemes, subwords of jamo.

python benchmarks/korean.py --data DIR [--epochs 10] [--vector-size 100] [--workers 2]

Trained on the texts of NSMC (the first 24 MB), each with the same options; the test is WordSim-353 in Korean. A model
scores the pairs it has vectors for, so their number is shown, and the correlation over the pairs that all of them have
words for as well; fastText builds the vectors of words that it has not seen.
"""

from __future__ import annotations

import lzma
import tempfile
import time
from pathlib import Path

from measure import markdown, parser

import embedkit
from embedkit.evaluation.words import similarities

SYSTEMS = {
    "whitespace": {"whitespace": ("skipgram", {}), "whitespace, fasttext of jamo": ("fasttext", {"jamo": True})},
    "word": {"words": ("skipgram", {})},
    "morpheme": {"morphemes": ("skipgram", {}), "morphemes, fasttext of jamo": ("fasttext", {"jamo": True})},
}
"""What is trained on the tokens of each tokenizer, which are read once."""


def reviews(data: Path, target: Path) -> Path:
    """Write the texts of the reviews, one a line."""
    with lzma.open(data / "korean/nsmc.tsv.xz", "rt", encoding="utf-8") as lines, target.open("w") as out:
        next(lines)
        for line in lines:
            fields = line.rstrip("\n").split("\t")
            if len(fields) >= 5 and fields[4].strip():
                out.write(fields[4] + "\n")
    return target


def common(models: dict[str, embedkit.Embeddings], pairs: Path, target: Path) -> Path:
    """Write the pairs whose words are in all vocabularies."""
    header, *lines = pairs.read_text(encoding="utf-8-sig").splitlines()
    kept = [line for line in lines if all(word in m for m in models.values() for word in line.split(",")[:2])]
    target.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    return target


def main() -> None:
    """Train all, and print the table."""
    args = parser(__doc__, "")
    args.add_argument("--epochs", type=int, default=10)
    args.add_argument("--vector-size", type=int, default=100)
    args.add_argument("--workers", type=int, default=2)
    given = args.parse_args()
    pairs = given.data / "korean/WS353_korean.csv"
    options = {"epochs": given.epochs, "vector_size": given.vector_size, "workers": given.workers, "seed": 1}
    models, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        text = reviews(given.data, Path(folder, "reviews.txt"))
        for tokenizer, trained in SYSTEMS.items():
            begun = time.perf_counter()
            corpus = embedkit.read("text", input=str(text), tokenizer=tokenizer)
            print(f"{tokenizer}: {corpus.n_tokens:,} tokens in {time.perf_counter() - begun:.0f} s", flush=True)
            for name, (trainer, more) in trained.items():
                begun = time.perf_counter()
                models[name] = embedkit.train(corpus, trainer, **options, **more)
                seconds[name] = time.perf_counter() - begun
                print(name, similarities(models[name], pairs), f"{seconds[name]:.0f} s", flush=True)
        shared = common(models, pairs, Path(folder, "common.csv"))
        rows = []
        for name, model in models.items():
            score, same = similarities(model, pairs), similarities(model, shared)
            built = f", {score.built} of subwords" if score.built else ""
            rows.append([
                name, f"{len(model):,}", f"{score.spearman:.3f}", f"{score.covered} of {score.pairs}{built}",
                f"{same.spearman:.3f} ({same.covered} pairs)", f"{seconds[name]:.0f} s",
            ])  # fmt: skip
    print(markdown(["tokens", "vocabulary", "Spearman", "covered", "over the common pairs", "trained in"], rows))


if __name__ == "__main__":
    main()
