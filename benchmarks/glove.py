"""GloVe and PPMI on the whole text: time of counting and of learning, and word tests, by window.

python benchmarks/glove.py --data DIR [--windows 5,10,15] [--epochs 15] [--workers 2] [--option unmet_weight=0.001 ...]
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import words
from measure import markdown, note, parser, plain_text

import embedkit


class Watch(embedkit.Run):
    """Notes when learning begins, counting being over."""

    begun = 0.0

    def progress(self, done, total, *, unit="tokens", loss=None, snapshot=None):
        """Look at the clock when what is told of is no longer counting."""
        if unit != "tokens counted" and not self.begun:
            self.begun = time.perf_counter()


def measured(corpus, trainer: str, folder: Path, **options) -> list[list[object]]:
    """Train once and return rows: what it was, seconds of counting, of learning, of all cores; loss; word tests."""
    run, start, before = Watch(), time.perf_counter(), os.times()
    emb = embedkit.train(corpus, trainer, run=run, keep="both", **options)
    end, after = time.perf_counter(), os.times()
    cpu = after.user + after.system - before.user - before.system
    times = [f"{run.begun - start:.1f} s", f"{end - run.begun:.1f} s", f"{cpu:.0f} s", f"{emb.losses[-1]:.4f}"]
    summed = embedkit.Embeddings(emb.tokens, emb.vectors + emb.context_vectors, counts=emb.counts)
    rows = []
    for kept, model in (("vectors", emb), ("sum", summed)):
        model.save(folder / "model.safetensors")
        scores = words.quality(folder / "model.safetensors")
        rows.append([
            trainer, options["window"], kept, *times,
            f"{scores['semantic']:.1f} / {scores['syntactic']:.1f} / {scores['all']:.1f}",
            f"{scores['ws353']:.3f}", f"{scores['simlex']:.3f}",
        ])  # fmt: skip
        note(" | ".join(map(str, rows[-1])))
    return rows


def number(text: str) -> float | int | str:
    """Return a number where the text is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def main() -> None:
    """Measure and print the table."""
    args = parser(__doc__, "")
    args.add_argument("--windows", default="5,10,15")
    args.add_argument("--trainers", default="glove,spectral")
    args.add_argument("--epochs", type=int, default=15)
    args.add_argument("--workers", type=int, default=2)
    args.add_argument("--option", action="append", default=[], help="NAME=VALUE, for glove")
    given = args.parse_args()
    words.DATA = given.data
    common = {"vector_size": 100, "workers": given.workers}
    own = {
        "glove": {"epochs": given.epochs, **{k: number(v) for k, _, v in (o.partition("=") for o in given.option)}},
        "spectral": {"matrix": "token-token"},
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        text = plain_text(given.data, "words/enwiki2015.txt", Path(folder))
        corpus = embedkit.read("text", input=str(text), min_count=5)
        for trainer in given.trainers.split(","):
            embedkit.train(embedkit.Corpus.from_sentences([["a", "b"]] * 2), trainer, window=1, **own[trainer])
            for window in map(int, given.windows.split(",")):
                rows += measured(corpus, trainer, Path(folder), window=window, **common, **own[trainer])
    header = ["trainer", "window", "kept", "counting", "learning", "CPU", "loss", "analogies", "WS-353", "SimLex"]
    print(f"vector_size 100, {given.workers} workers; semantic / syntactic / all analogies\n")
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
