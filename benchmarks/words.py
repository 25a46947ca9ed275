"""Word vectors as a whole process: wall and CPU time, peak memory and quality, beside gensim and fastText.

python benchmarks/words.py --data DIR [--trainer skipgram] [--loss hierarchical-softmax] [--peers gensim] [--rounds 3]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from measure import Measured, chosen_peers, in_turn, markdown, median, parser, plain_text, sgemm_gflops, whole_process

SETTINGS = {"vector_size": 100, "window": 5, "negative": 5, "sample": 1e-3, "min_count": 5}


def embedkit(text: Path, trainer: str, loss: str, epochs: int, workers: int, model: Path) -> Measured:
    """Train with the command line, as a user would."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    command = [
        sys.executable,
        "-m",
        "embedkit",
        "train",
        "--source",
        "text",
        "--input",
        str(text),
        "--trainer",
        trainer,
    ]
    flags += [f"--loss={loss}", f"--epochs={epochs}", f"--workers={workers}", f"--output={model}"]
    measured = whole_process([*command, *flags])
    measured.report = quality(model)
    return measured


def peer(name: str, text: Path, trainer: str, loss: str, epochs: int, workers: int, model: Path) -> Measured:
    """Train with a peer in a process of its own, then judge its vectors by the same tests."""
    call = [sys.executable, __file__, "--child", name, str(text), trainer, loss, str(epochs), str(workers), str(model)]
    measured = whole_process(call)
    measured.report = quality(model)
    return measured


def child(name: str, text: str, trainer: str, loss: str, epochs: str, workers: str, model: str) -> None:
    """Be a peer: train, and write the vectors for the tests."""
    if name == "gensim":
        from gensim.models import Word2Vec

        settings = SETTINGS if loss == "negative-sampling" else {**SETTINGS, "hs": 1, "negative": 0}
        made = Word2Vec(
            corpus_file=text, sg=int(trainer == "skipgram"), epochs=int(epochs), workers=int(workers), **settings
        ).wv
        made.save_word2vec_format(model, binary=True)
    elif name == "fasttext":
        import fasttext

        made = fasttext.train_unsupervised(
            text, model=trainer, loss="ns" if loss == "negative-sampling" else "hs", dim=SETTINGS["vector_size"],
            ws=SETTINGS["window"], neg=SETTINGS["negative"], t=SETTINGS["sample"], minCount=SETTINGS["min_count"],
            epoch=int(epochs), thread=int(workers), maxn=0, lr=0.025 if trainer == "skipgram" else 0.05, verbose=0,
        )  # fmt: skip
        words = made.get_words()
        with open(model, "w", encoding="utf-8") as file:
            file.write(f"{len(words)} {SETTINGS['vector_size']}\n")
            for word in words:
                file.write(f"{word} {' '.join(f'{x:.6g}' for x in made.get_word_vector(word))}\n")
    else:
        raise SystemExit(f"no peer {name!r}; there are gensim and fasttext")


def load(model: Path):
    """Return the vectors of embedkit or of a peer as Embeddings."""
    import embedkit as library

    if model.suffix == ".safetensors":
        return library.load(model)
    from gensim.models import KeyedVectors

    vectors = KeyedVectors.load_word2vec_format(str(model), binary=model.suffix == ".bin")
    return library.Embeddings(vectors.index_to_key, vectors.vectors)


DATA = Path()


def quality(model: Path) -> dict[str, float]:
    """Return analogies (percent, 30,000 most frequent words) and correlations with WordSim-353 and SimLex-999."""
    from embedkit.evaluation.words import analogies, similarities

    emb = load(model)
    sections = analogies(emb, DATA / "words/questions-words.txt")
    semantic = [s for s in sections if not s.section.startswith("gram")]
    syntactic = [s for s in sections if s.section.startswith("gram")]
    shares = {
        name: 100 * sum(s.right for s in part) / sum(s.covered for s in part)
        for name, part in (("semantic", semantic), ("syntactic", syntactic), ("all", sections))
    }
    return {
        **shares,
        "ws353": similarities(emb, DATA / "words/EN-WS-353-ALL.txt").spearman,
        "simlex": similarities(emb, DATA / "words/EN-SIMLEX-999.txt").spearman,
    }


def lines_of_1000(text: Path, scratch: Path) -> Path:
    """Return the text in lines of 1,000 tokens: gensim cuts longer ones and shares lines out among its workers."""
    target = scratch / "lines.txt"
    tokens = text.read_text(encoding="utf-8").split()
    with target.open("w", encoding="utf-8") as file:
        for start in range(0, len(tokens), 1000):
            file.write(" ".join(tokens[start : start + 1000]) + "\n")
    return target


def main() -> None:
    """Measure and print the table."""
    global DATA
    args = parser(__doc__, "gensim")
    args.add_argument("--trainer", choices=("skipgram", "cbow"), default="skipgram")
    args.add_argument("--loss", choices=("negative-sampling", "hierarchical-softmax"), default="negative-sampling")
    args.add_argument("--epochs", type=int, default=5)
    args.add_argument("--workers", type=int, default=2)
    given = args.parse_args()
    DATA = given.data
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        text = plain_text(given.data, "words/enwiki2015.txt", scratch)
        lines = lines_of_1000(text, scratch)
        common = (given.trainer, given.loss, given.epochs, given.workers)
        systems = {"embedkit": lambda: embedkit(text, *common, scratch / "embedkit.safetensors")}
        for name in chosen_peers(given.peers):
            ending = "bin" if name == "gensim" else "vec"
            systems[name] = lambda name=name, ending=ending: peer(name, lines, *common, scratch / f"{name}.{ending}")
        results = in_turn(systems, given.rounds)
    report(results, given)


def report(results: dict[str, list[Measured]], given) -> None:
    """Print medians, ratios of medians and quality as Markdown, then everything measured as JSON."""
    base = median([m.wall for m in results["embedkit"]])
    rows = []
    for name, runs in results.items():
        scores = {key: median([m.report[key] for m in runs]) for key in runs[0].report}
        wall = median([m.wall for m in runs])
        rows.append([
            name, f"{wall:.1f} s", f"{wall / base:.2f}", f"{median([m.cpu for m in runs]):.1f} s",
            f"{median([m.peak for m in runs]):.0f} MiB",
            f"{scores['semantic']:.1f} / {scores['syntactic']:.1f} / {scores['all']:.1f}",
            f"{scores['ws353']:.3f}", f"{scores['simlex']:.3f}",
        ])  # fmt: skip
    header = ["system", "wall", "times embedkit's", "CPU", "peak memory", "analogies", "WS-353", "SimLex"]
    learned = f"{given.trainer}, {given.loss}, {given.epochs} epochs, {given.workers} workers"
    print(f"{learned}, medians of {given.rounds} rounds in turn\n")
    print(markdown(header, rows))
    print(f"\nlarge sgemm on {given.workers} threads: {sgemm_gflops(given.workers):.0f} GFLOPS")
    print(json.dumps({name: [vars(m) for m in runs] for name, runs in results.items()}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
