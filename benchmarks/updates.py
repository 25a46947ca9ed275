"""Ten updates beside training anew, on data split by time: quality, seconds, and how far old vectors moved.

    python benchmarks/updates.py --data DIR [--only movietweetings,diginetica,retail,words] [--trainers skipgram,als]
        [--drift 1,0.5,0] [--seeds 8] [--validation] [--set epochs=10]

The first six tenths of the data train a base model, ten slices of three hundredths update it one after the other, what
comes then is the test. `--validation` leaves the last tenth out and does the same with the rest: it is there to choose
options on. Every model is asked the same rows; who is unknown to it gets the most popular items. Of text nine tenths
are the base and the slices hundredths; words that the base knows are asked for.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from measure import markdown, note, parser, plain_text

import embedkit
from embedkit.evaluation.evaluating import evaluate
from embedkit.evaluation.heldout import HeldOut

BASE, SLICES, SLICE, VALIDATION = 0.6, 10, 0.03, 0.9
TEXT_BASE, TEXT_SLICE = 0.9, 0.01
COLUMNS = {"user_column": "user", "item_column": "item", "time_column": "time"}
SESSIONS, TEXT = 60_000, 20_000_000  # how many of diginetica's sessions, and of the encyclopedia's characters


@dataclass
class Task:
    """A data set in parts, and how good a model of it is.

    Attributes
    ----------
    source, options
        The source, and its options but for the input.
    parts
        Inputs: the base, then ten slices.
    whole
        All of them in one.
    quality
        Measures of a model by name.
    """

    source: str
    options: dict[str, Any]
    parts: list[Any]
    whole: Any
    quality: Callable[[embedkit.Embeddings], dict[str, float]]


def cuts(n: int, validation: bool) -> tuple[list[int], int]:
    """Return where the base and the slices end, and where the test does."""
    total = int(n * VALIDATION) if validation else n
    return [int(total * (BASE + SLICE * i)) for i in range(SLICES + 1)], total


def interactions(frame: Any, validation: bool) -> Task:
    """Return the task of a table of users, items and times: returning users are asked for what is new to them."""
    frame = frame.sort_values("time", kind="stable").reset_index(drop=True)
    ends, total = cuts(len(frame), validation)
    parts = [frame.iloc[first:last] for first, last in zip([0, *ends], ends, strict=False)]
    whole, later = frame.iloc[: ends[-1]], frame.iloc[ends[-1] : total]
    seen = set(zip(whole.user, whole.item, strict=True))
    fresh = np.array([(u, i) not in seen for u, i in zip(later.user, later.item, strict=True)])
    later = later[fresh & later.user.isin(set(whole.user))]
    test = HeldOut.from_corpus(embedkit.read("sessions", input=later, **COLUMNS))
    return Task("sessions", COLUMNS, parts, whole, lambda emb: ranks(emb, test))


def ranks(emb: embedkit.Embeddings, test: HeldOut) -> dict[str, float]:
    """Return Recall@20 and NDCG@20."""
    found = evaluate(emb, test, 20, fallback="popular")
    return {name: found[name] for name in ("recall@20", "ndcg@20")}


def movietweetings(data: Path, validation: bool, scratch: Path) -> Task:
    """Return the task of films that people rated, whatever the rating."""
    import pandas as pd

    names = ["user", "item", "rating", "time"]
    table = pd.read_csv(
        data / "movietweetings/ratings.dat", sep="::", engine="python", names=names, dtype={"item": str}
    )
    return interactions(table.drop(columns="rating"), validation)


def retail(data: Path, validation: bool, scratch: Path) -> Task:
    """Return the task of what customers bought."""
    import pandas as pd

    table = pd.read_parquet(data / "online-retail/online_retail.parquet")
    names = {str(name).lower(): name for name in table.columns}
    table = table[table[names["customerid"]].notna() & ~table[names["invoiceno"]].astype(str).str.startswith("C")]
    user, item, when = (table[names[name]] for name in ("customerid", "stockcode", "invoicedate"))
    made = pd.DataFrame({"user": user.astype(int).astype(str), "item": item.astype(str), "time": pd.to_datetime(when)})
    return interactions(made, validation)


def diginetica(data: Path, validation: bool, scratch: Path) -> Task:
    """Return the task of anonymous sessions: each prefix of the later ones is asked for the next click."""
    lines = (data / "diginetica/train_sessions.txt").read_text(encoding="utf-8").splitlines()[:SESSIONS]
    ends, total = cuts(len(lines), validation)
    bounds = list(zip([0, *ends], ends, strict=False))
    files = [scratch / f"part{i}.txt" for i in range(len(bounds))]
    for file, (first, last) in zip(files, bounds, strict=True):
        file.write_text("\n".join(lines[first:last]) + "\n", encoding="utf-8")
    whole = scratch / "whole.txt"
    whole.write_text("\n".join(lines[: ends[-1]]) + "\n", encoding="utf-8")
    rows = scratch / "test.txt"
    pairs = [
        f"{' '.join(clicks[:i])}\t{clicks[i]}"
        for clicks in map(str.split, lines[ends[-1] : total])
        for i in range(1, len(clicks))
    ]
    rows.write_text("\n".join(pairs) + "\n", encoding="utf-8")
    from embedkit.evaluation.heldout import read_prefixes

    test = read_prefixes(rows)

    def quality(emb: embedkit.Embeddings) -> dict[str, float]:
        found = evaluate(emb, test, 20, fallback="popular", include_seen=True)
        return {name: found[name] for name in ("recall@20", "mrr@20")}

    return Task("sessions", {"layout": "lines", "key": "none"}, [str(f) for f in files], str(whole), quality)


def words(data: Path, validation: bool, scratch: Path) -> Task:
    """Return the task of the first fifth of the encyclopedia's text: analogies and likeness of words."""
    from embedkit.evaluation.words import analogies, similarities

    text = plain_text(data, "words/enwiki2015.txt", scratch).read_text(encoding="utf-8")
    tokens = text[:TEXT].split()
    tokens = tokens[: int(len(tokens) * VALIDATION)] if validation else tokens
    ends = [int(len(tokens) * (TEXT_BASE + TEXT_SLICE * i)) for i in range(SLICES + 1)]
    files = []
    for number, (first, last) in enumerate([*zip([0, *ends], ends, strict=False), (0, ends[-1])]):
        files.append(scratch / f"text{number}.txt")
        lines = (" ".join(tokens[start : min(start + 1000, last)]) for start in range(first, last, 1000))
        files[-1].write_text("\n".join(lines) + "\n", encoding="utf-8")

    def quality(emb: embedkit.Embeddings) -> dict[str, float]:
        sections = analogies(emb, data / "words/questions-words.txt")
        right = sum(s.right for s in sections) / sum(s.covered for s in sections)
        alike = (similarities(emb, data / f"words/EN-{name}.txt").spearman for name in ("WS-353-ALL", "SIMLEX-999"))
        return {"analogies": right, **dict(zip(("ws353", "simlex"), alike, strict=True))}

    paths = [str(file) for file in files]
    return Task("text", {}, paths[:-1], paths[-1], quality)


DATA = {"movietweetings": movietweetings, "diginetica": diginetica, "retail": retail, "words": words}
TRAINERS = {
    "movietweetings": ("skipgram", "cbow", "contrastive", "als", "spectral"),
    "diginetica": ("skipgram", "cbow", "contrastive"),
    "retail": ("skipgram", "cbow", "contrastive", "als", "spectral"),
    "words": ("skipgram", "cbow", "fasttext"),
}


def moved(old: embedkit.Embeddings, new: embedkit.Embeddings) -> float | None:
    """Return the median distance of old tokens' vectors to where they are now, as a share of their lengths."""
    if old.vector_size != new.vector_size:
        return None
    now = new.vectors[new.tokens.find_all(old.tokens)]
    ways = np.linalg.norm(now - old.vectors, axis=1) / np.maximum(np.linalg.norm(old.vectors, axis=1), 1e-9)
    return float(np.median(ways))


def known_to(base: embedkit.Embeddings, emb: embedkit.Embeddings) -> embedkit.Embeddings:
    """Return embeddings of the base's tokens alone."""
    rows = np.sort(emb.tokens.find_all(base.tokens))
    return embedkit.Embeddings(emb.tokens.take(rows), emb.vectors[rows])


def timed(work: Callable[[], embedkit.Embeddings]) -> tuple[embedkit.Embeddings, float]:
    """Return what `work` makes, and the seconds it takes."""
    began = time.perf_counter()
    made = work()
    return made, time.perf_counter() - began


@dataclass
class Found:
    """A model's measures, the seconds that it took, and how far the base's vectors moved; means where of several."""

    quality: dict[str, float]
    seconds: float
    moved: float | None

    @classmethod
    def mean(cls, several: Sequence[Found]) -> Found:
        """Return the means of what was found with one seed each."""
        quality = {name: mean([one.quality[name] for one in several]) for name in several[0].quality}
        ways = [one.moved for one in several if one.moved is not None]
        return cls(quality, mean([one.seconds for one in several]), mean(ways) if ways else None)

    def row(self, trainer: str, what: str, best: dict[str, float]) -> list[str]:
        """Return a row: measures with their difference to training anew, seconds, and how far vectors moved."""
        cells = [f"{value:.4f} ({100 * (value / best[name] - 1):+.1f}%)" for name, value in self.quality.items()]
        return [trainer, what, *cells, f"{self.seconds:.1f} s", "-" if self.moved is None else f"{self.moved:.3f}"]


def look(
    task: Task, trainer: str, drifts: Sequence[float], changes: dict[str, Any], common: dict[str, Any]
) -> dict[str, Found]:
    """Train the base and anew, update, and return what was found of each."""

    def learn(part: Any) -> embedkit.Embeddings:
        return embedkit.train(task.source, trainer, input=part, **task.options, **common)

    base, base_seconds = timed(lambda: learn(task.parts[0]))
    anew, anew_seconds = timed(lambda: learn(task.whole))

    def found(emb: embedkit.Embeddings, seconds: float) -> Found:
        quality = task.quality(known_to(base, emb) if task.source == "text" else emb)
        return Found(quality, seconds, moved(base, emb))

    looks = {"base alone": found(base, base_seconds)}
    for drift in drifts:
        grown, seconds = base, 0.0
        for part in task.parts[1:]:
            how = {"input": part, "drift": drift, **task.options, **changes}
            grown, more = timed(lambda last=grown, how=how: embedkit.update(last, task.source, **how))
            seconds += more
        assert set(grown.tokens) <= set(anew.tokens)
        looks[f"ten updates, drift {drift:g}"] = found(grown, seconds)
    return {**looks, "anew": found(anew, anew_seconds)}


def rows_of(looks: Sequence[dict[str, Found]], trainer: str) -> list[list[str]]:
    """Return a row of the table for the base, for each drift and for training anew: means over seeds."""
    means = {what: Found.mean([one[what] for one in looks]) for what in looks[0]}
    return [found.row(trainer, what, means["anew"].quality) for what, found in means.items()]


def main() -> None:
    """Measure and print a table for each data set."""
    args = parser(__doc__, "")
    args.add_argument("--only", default=",".join(DATA), help="comma-separated data sets")
    args.add_argument("--trainers", help="comma-separated trainers; those that suit the data where not given")
    args.add_argument("--drift", default="1", help="comma-separated values")
    args.add_argument("--seeds", type=int, default=1, help="train with so many seeds, and print means")
    args.add_argument("--validation", action="store_true", help="leave the last tenth of the data out")
    args.add_argument("--set", nargs="*", default=[], help="options of the updates: epochs=3")
    args.add_argument("--train", nargs="*", default=[], help="options of base and anew: workers=1")
    given = args.parse_args()
    changes, common = (
        {name: float(value) if "." in value else int(value) for name, value in (text.split("=") for text in some)}
        for some in (given.set, given.train)
    )
    drifts = [float(value) for value in given.drift.split(",")]
    for name in given.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            task = DATA[name](given.data, given.validation, Path(folder))
            rows = []
            for trainer in given.trainers.split(",") if given.trainers else TRAINERS[name]:
                looks = []
                for seed in range(1, given.seeds + 1):
                    looks.append(look(task, trainer, drifts, changes, {**common, "seed": seed}))
                    for cells in rows_of(looks[-1:], f"{name}: {trainer}, seed {seed},"):
                        note(" ".join(cells))
                rows += rows_of(looks, trainer)
        ranking = ["Recall@20", "MRR@20" if name == "diginetica" else "NDCG@20"]
        measures = ["analogies", "WS-353", "SimLex"] if name == "words" else ranking
        print(f"\n{name}\n\n" + markdown(["trainer", "", *measures, "time", "old vectors moved"], rows), flush=True)


if __name__ == "__main__":
    main()
