"""The trainer `fasttext` beside the package fasttext, as whole processes: time, memory, analogies, rare words.

python benchmarks/subwords.py --data DIR [--architecture skipgram] [--rounds 3]

Both read the first 3 million tokens of enwiki2015.txt in lines of 1,000, with the same options. The package's time is
that of `train_unsupervised` alone: writing its 800 MB is left out; embedkit's is its whole process. Rare words are
judged by the pairs of WordSim-353, and of SimLex-999, of which a word occurs fewer than 50 times in that text, or
never: both systems build vectors of n-grams for words they have not.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from measure import Measured, in_turn, markdown, median, parser, plain_text, whole_process

SETTINGS = {"vector_size": 100, "window": 5, "negative": 5, "sample": 1e-3, "min_count": 5, "min_n": 3, "max_n": 6}
TOKENS, RARE = 3_000_000, 50
TESTS = {"WS-353": "words/EN-WS-353-ALL.txt", "SimLex": "words/EN-SIMLEX-999.txt"}


def first_tokens(text: Path, scratch: Path) -> Path:
    """Return the text's first tokens, in lines of 1,000."""
    target = scratch / "cut.txt"
    with text.open(encoding="utf-8") as file:
        tokens = file.read(12 * TOKENS).split()[:TOKENS]
    lines = (" ".join(tokens[start : start + 1000]) + "\n" for start in range(0, len(tokens), 1000))
    target.write_text("".join(lines), encoding="utf-8")
    return target


def embedkit(text: Path, given, scratch: Path) -> Measured:
    """Train with the command line, as a user would."""
    model = scratch / "embedkit.safetensors"
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    flags += [f"--architecture={given.architecture}", f"--epochs={given.epochs}", f"--workers={given.workers}"]
    flags += [f"--alpha={given.alpha}"] if given.alpha else []
    command = [sys.executable, "-m", "embedkit", "train", "--source=text", f"--input={text}", "--trainer=fasttext"]
    measured = whole_process([*command, *flags, f"--output={model}"])
    measured.report = quality(model, text, given.data)
    return measured


def package(text: Path, given, scratch: Path) -> Measured:
    """Train with the package in a process of its own; its time is what it says of training alone."""
    model = scratch / "package.bin"
    call = [sys.executable, __file__, "--child", str(text), given.architecture, str(given.epochs), str(given.workers)]
    measured = whole_process([*call, str(model)])
    measured.wall, measured.cpu = measured.report["wall"], measured.report["cpu"]
    measured.report = quality(model, text, given.data)
    model.unlink()
    return measured


def child(text: str, architecture: str, epochs: str, workers: str, model: str) -> None:
    """Be the package: train, save, and tell how long training took."""
    import fasttext

    wall, cpu = time.perf_counter(), time.process_time()
    made = fasttext.train_unsupervised(
        text, model=architecture, dim=SETTINGS["vector_size"], ws=SETTINGS["window"], neg=SETTINGS["negative"],
        t=SETTINGS["sample"], minCount=SETTINGS["min_count"], minn=SETTINGS["min_n"], maxn=SETTINGS["max_n"],
        epoch=int(epochs), thread=int(workers), lr=0.05, verbose=0,
    )  # fmt: skip
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    made.save_model(model)
    print(json.dumps(took))


def quality(model: Path, text: Path, data: Path) -> dict[str, float]:
    """Return analogies (percent) and rank correlations with human judgements: covered, all, and rare pairs."""
    import numpy as np

    from embedkit import load
    from embedkit.embeddings.fasttext_bin import read_bin
    from embedkit.evaluation.words import analogies

    emb = read_bin(model) if model.suffix == ".bin" else load(model)
    counts = dict(zip(emb.tokens, np.asarray(emb.counts).tolist(), strict=True))
    sections = analogies(emb, data / "words/questions-words.txt")
    scores = {}
    for name, syntactic in (("semantic", False), ("syntactic", True)):
        part = [s for s in sections if s.section.startswith("gram") == syntactic]
        scores[name] = 100 * sum(s.right for s in part) / sum(s.covered for s in part)
    for name, file in TESTS.items():
        scores |= {f"{name} {which}": value for which, value in similarity_scores(emb, counts, data / file).items()}
    return scores


def similarity_scores(emb, counts: dict[str, int], file: Path) -> dict[str, float]:
    """Return Spearman's correlation over all pairs and over the rare ones, and how many these are."""
    from scipy.stats import spearmanr

    lines = [line.lower().replace(",", "\t").split("\t") for line in file.read_text().splitlines() if line.strip()]
    pairs = [(a.strip(), b.strip(), float(judged)) for a, b, judged, *_ in lines if is_number(judged)]
    cosines = emb.similarity([a for a, _, _ in pairs], [b for _, b, _ in pairs])
    rare = [min(counts.get(a, 0), counts.get(b, 0)) < RARE for a, b, _ in pairs]
    judged = [score for _, _, score in pairs]
    chosen = [(c, j) for c, j, r in zip(cosines, judged, rare, strict=True) if r]
    return {
        "all": float(spearmanr(cosines, judged)[0]),
        "rare": float(spearmanr(*zip(*chosen, strict=True))[0]),
        "rare pairs": len(chosen),
    }


def is_number(text: str) -> bool:
    """Tell a score from a header."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def main() -> None:
    """Measure and print the table."""
    args = parser(__doc__, "fasttext")
    args.add_argument("--architecture", choices=("skipgram", "cbow"), default="skipgram")
    args.add_argument("--alpha", type=float, help="embedkit's learning rate where not its default")
    args.add_argument("--epochs", type=int, default=5)
    args.add_argument("--workers", type=int, default=2)
    given = args.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        text = first_tokens(plain_text(given.data, "words/enwiki2015.txt", scratch), scratch)
        systems = {"embedkit": lambda: embedkit(text, given, scratch)}
        if given.peers:
            systems["fasttext"] = lambda: package(text, given, scratch)
        results = in_turn(systems, given.rounds)
    report(results, given)


def report(results: dict[str, list[Measured]], given) -> None:
    """Print medians and ratios of medians as Markdown, then everything measured as JSON."""
    base = median([m.wall for m in results["embedkit"]])
    rows = []
    for name, runs in results.items():
        wall = median([m.wall for m in runs])
        scores = {key: median([m.report[key] for m in runs]) for key in runs[0].report}
        shown = [f"{scores[key]:.1f}" for key in ("semantic", "syntactic")]
        shown += [f"{scores[f'{test} {which}']:.3f}" for test in TESTS for which in ("all", "rare")]
        cpu, peak = median([m.cpu for m in runs]), median([m.peak for m in runs])
        rows.append([name, f"{wall:.1f} s", f"{wall / base:.2f}", f"{cpu:.1f} s", f"{peak:.0f} MiB", *shown])
    header = ["system", "wall", "times embedkit's", "CPU", "peak memory", "semantic", "syntactic"]
    first = next(iter(results.values()))[0].report
    header += [title for t in TESTS for title in (f"{t}, all pairs", f"{t}, {first[f'{t} rare pairs']:.0f} rare pairs")]
    print(f"{given.architecture}, {given.epochs} epochs, {given.workers} workers, medians of {given.rounds} rounds\n")
    print(markdown(header, rows))
    print(json.dumps({name: [vars(m) for m in runs] for name, runs in results.items()}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
