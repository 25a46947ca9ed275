"""What the same bits cost: `--reproducible` beside workers that race, in turn; time of training alone, and quality.

python benchmarks/reproducible.py --data DIR [--rounds 3] [--workers 2] [--trainers skipgram,cbow] [--sessions]

Words: all of enwiki2015.txt, 5 epochs. With --sessions, item2vec on Gowalla instead, with the defaults that sessions
have: a tenth of each user's interactions is hidden, and Recall@20 is of 5,000 users. Either with fewer --epochs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import Measured, in_turn, markdown, median, parser, plain_text

import embedkit

WORDS = {"vector_size": 100, "window": 5, "negative": 5, "sample": 1e-3, "epochs": 5}
SESSIONS = {"vector_size": 100, "window": "sentence", "sample": 0, "ns_exponent": 0.25, "alpha": 0.1, "epochs": 60}
USERS = 5000


def trained(corpus, trainer: str, judge: Callable, options: dict, **more) -> Measured:
    """Train once, and judge what was learned."""
    start, before = time.perf_counter(), time.process_time()
    emb = embedkit.train(corpus, trainer, **options, **more)
    measured = Measured(time.perf_counter() - start, time.process_time() - before, 0.0)
    bits = hashlib.blake2b(emb.vectors.tobytes() + emb.context_vectors.tobytes(), digest_size=4).hexdigest()
    measured.report = {**judge(emb), "bits": bits}
    return measured


def judge_words(data: Path, emb) -> dict[str, float]:
    """Return analogies (percent, 30,000 most frequent words) and correlations with WordSim-353 and SimLex-999."""
    from embedkit.evaluation.words import analogies, similarities

    sections = analogies(emb, data / "words/questions-words.txt")
    kinds = {
        "semantic": [s for s in sections if not s.section.startswith("gram")],
        "syntactic": [s for s in sections if s.section.startswith("gram")],
        "all": sections,
    }
    return {
        **{name: 100 * sum(s.right for s in part) / sum(s.covered for s in part) for name, part in kinds.items()},
        "WS-353": similarities(emb, data / "words/EN-WS-353-ALL.txt").spearman,
        "SimLex": similarities(emb, data / "words/EN-SIMLEX-999.txt").spearman,
    }


def hidden_tenth(path: Path) -> tuple[list[embedkit.Sentence], dict[str, set[str]]]:
    """Return users' interactions without a tenth, drawn at random, and that tenth."""
    rng, shown, hidden = np.random.default_rng(0), [], {}
    for line in path.read_text(encoding="utf-8").splitlines():
        user, *items = line.split()
        hide = rng.random(len(items)) < 0.1
        kept = [item for item, gone in zip(items, hide, strict=True) if not gone]
        if len(kept) > 1 and hide.any():
            hidden[user] = {item for item, gone in zip(items, hide, strict=True) if gone}
        if len(kept) > 1:
            shown.append(embedkit.Sentence(kept, key=user))
    return shown, hidden


def judge_sessions(hidden: dict[str, set[str]], emb) -> dict[str, float]:
    """Return Recall@20 of the hidden tenth."""
    users = sorted(hidden)[:USERS]
    found = emb.recommend(users, topn=20).groupby("key")["token"].agg(set)
    return {"Recall@20": float(np.mean([len(found[user] & hidden[user]) / len(hidden[user]) for user in users]))}


def report(results: dict[str, list[Measured]], trainer: str, given: argparse.Namespace) -> None:
    """Print medians, the ratio of medians, quality and whether the bits were the same in all rounds."""
    base, rows = median([m.wall for m in results["racing"]]), []
    for name, runs in results.items():
        scores = {key: median([m.report[key] for m in runs]) for key in runs[0].report if key != "bits"}
        wall = median([m.wall for m in runs])
        rows.append([
            name, f"{wall:.1f} s", f"{wall / base:.2f}", f"{median([m.cpu for m in runs]):.1f} s",
            *(f"{score:.3f}" if score < 1 else f"{score:.1f}" for score in scores.values()),
            len({m.report["bits"] for m in runs}),
        ])  # fmt: skip
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"\n{trainer}, {given.workers} workers, medians of {given.rounds} rounds in turn, {load}\n")
    print(markdown(["", "training", "times racing's", "CPU", *scores, "different results"], rows), flush=True)


def main() -> None:
    """Measure and print a table for each trainer."""
    args = parser(__doc__, "")
    args.add_argument("--trainers", default="skipgram,cbow")
    args.add_argument("--workers", type=int, default=2)
    args.add_argument("--sessions", action="store_true")
    args.add_argument("--epochs", type=int, help="fewer passes, for a look")
    given = args.parse_args()
    if given.sessions:
        shown, hidden = hidden_tenth(given.data / "gowalla/train.txt")
        corpus, options = embedkit.Corpus.from_sentences(shown), SESSIONS

        def judge(emb) -> dict[str, float]:
            return judge_sessions(hidden, emb)
    else:
        with tempfile.TemporaryDirectory() as folder:
            text = plain_text(given.data, "words/enwiki2015.txt", Path(folder))
            corpus, options = embedkit.read("text", input=str(text), min_count=5), WORDS

        def judge(emb) -> dict[str, float]:
            return judge_words(given.data, emb)

    options = {**options, "epochs": given.epochs or options["epochs"]}
    for trainer in given.trainers.split(","):

        def run(trainer=trainer, **more) -> Measured:
            return trained(corpus, trainer, judge, options, workers=given.workers, **more)

        embedkit.train(embedkit.read("text"), trainer, epochs=1, vector_size=100)  # compiles
        report(in_turn({"racing": run, "reproducible": lambda: run(reproducible=True)}, given.rounds), trainer, given)


if __name__ == "__main__":
    main()
