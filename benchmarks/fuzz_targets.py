"""What is fuzzed: whole files of every kind that embedkit reads, made by itself or by others, and their readers."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import embedkit

TRAINERS = {
    "skipgram": {"source": "text", "epochs": 1},
    "cbow": {"source": "text", "epochs": 1},
    "fasttext": {"source": "text", "epochs": 1, "bucket": 60},
    "glove": {"source": "text", "epochs": 1},
    "doc2vec": {"source": "sessions", "epochs": 1},
    "als": {"source": "sessions", "epochs": 1},
    "als-explicit": {"source": "sessions", "epochs": 1, "loss": "explicit", "weight_column": "rating"},
    "spectral": {"source": "sessions"},
    "contrastive": {"source": "sessions", "epochs": 1},
}
STATES = ("skipgram", "fasttext", "doc2vec", "als", "glove", "contrastive")
TWO = ("doc2vec", "als")  # to be updated, and stopped early
SHARES = {
    "results.": 0.02,
    "sessions.": 0.06, "graph.mat": 0.02, "edges.": 0.25, "graph.": 0.25, "attributes.": 0.25, "lines.": 0.25,
    "small.": 0.25, "utf16.": 0.25,
}  # fmt: skip
"""Readers that take tens of milliseconds, where others take one, are given fewer cases."""


class WrongError(Exception):
    """A reader gave a result that cannot be right."""


@dataclass(frozen=True)
class Target:
    """A whole file under its name, how it is damaged (`fuzz_mutations.FORMS`), and what reads it."""

    name: str
    path: Path
    form: str
    read: Callable[[Path], object]
    share: float = 1.0

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.path.read_bytes()


def make(folder: Path) -> None:
    """Write whole files of every kind."""
    rng = np.random.default_rng(0)
    _tables(folder, rng)
    _matrices(folder, rng)
    for name, options in TRAINERS.items():
        options = dict(options)
        source, trainer = options.pop("source"), name.partition("-")[0]
        given = "small.txt" if source == "text" else "sessions.csv"
        emb = embedkit.train(source, trainer, input=str(folder / given), vector_size=4, workers=1, **options)
        emb.save(folder / f"{name}.safetensors")
    for name in STATES:
        with contextlib.suppress(_StopError):
            _train_on(folder, name, folder / f"state-{name}", run=_Stopping())
        (folder / f"state-{name}" / "state.safetensors").rename(folder / f"{name}.state")
    for name in TWO:
        with contextlib.suppress(_StopError):
            _train_on(folder, name, folder / f"stopping-{name}", run=_Stopping(), early_stopping="loss")
        (folder / f"stopping-{name}" / "state.safetensors").rename(folder / f"{name}.stopping")
    _index(folder, rng)
    _results(folder)


def _results(folder: Path) -> None:
    """Write what `embedkit evaluate recommendations --format json` would."""
    from embedkit.cli.scores import as_json
    from embedkit.evaluation import HeldOut, evaluate

    test = HeldOut.from_corpus(_corpus(folder, "sessions"))
    found = [evaluate(embedkit.load(folder / f"{name}.safetensors"), test, (1, 3), include_seen=True) for name in TWO]
    (folder / "results.json").write_text(json.dumps(json.loads(as_json(found, {}))))  # in one line, which is damaged


def _tables(folder: Path, rng: np.random.Generator) -> None:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    stamps = pd.date_range("2026-01-01", periods=60, freq="h")
    frame = pd.DataFrame(
        {
            "user": [f"u{i % 7}" for i in range(60)],
            "item": [f"i{(i * i) % 11}" for i in range(60)],
            "time": stamps.astype(str),
            "rating": rng.integers(1, 6, 60),
        }
    )
    frame.to_csv(folder / "sessions.csv", index=False)
    frame.to_csv(folder / "sessions.tsv", index=False, sep="\t")
    frame.to_parquet(folder / "sessions.parquet")
    rows = [json.dumps(row) for row in frame.to_dict("records")]
    (folder / "sessions.jsonl").write_text("\n".join(rows))
    (folder / "sessions.json").write_text("[" + ",".join(rows) + "]")
    lines = [f"u{i} " + " ".join(f"i{j}" for j in rng.integers(0, 9, 6)) for i in range(30)]
    (folder / "lines.txt").write_text("\n".join(lines))
    text = "the cat sits on the mat and the dog on the rug, ünïcode 한국어 too. A King! A queen? 12 of them...\n" * 12
    (folder / "small.txt").write_text(text)
    (folder / "utf16.txt").write_bytes(text.encode("utf-16"))
    (folder / "small.txt.gz").write_bytes(gzip.compress(text.encode()))
    edges = [f"n{i % 9},n{(i * 7 + 1) % 9},{i % 5 + 1}" for i in range(40)]
    (folder / "edges.csv").write_text("source,target,weight\n" + "\n".join(edges))
    (folder / "edges.txt").write_text("# a graph\n" + "\n".join(e.replace(",", " ") for e in edges))
    attributes = [f"a{i % 5} b{i % 7} {{'weight': {i % 4 + 0.5}}}" for i in range(30)]
    (folder / "attributes.edgelist").write_text("\n".join(attributes))
    table = pa.table({"source": [e.split(",")[0] for e in edges], "target": [e.split(",")[1] for e in edges]})
    pq.write_table(table, folder / "edges.parquet")
    vectors = rng.random((20, 4))
    pd.DataFrame({"key": [f"k{i}" for i in range(20)], "vector": list(vectors)}).to_parquet(folder / "vectors.parquet")
    head = "key," + ",".join(f"d{j}" for j in range(4))
    lines = [f"k{i}," + ",".join(map(str, vector)) for i, vector in enumerate(vectors)]
    (folder / "vectors.csv").write_text(head + "\n" + "\n".join(lines))
    (folder / "questions.txt").write_text(": some\nthe cat the dog\nthe mat the rug\n: more\ncat mat dog rug\n")
    (folder / "pairs.csv").write_text("word1,word2,score\nthe,cat,5\ndog,cat,7.5\nmat,rug,9\non,the,1\n")
    (folder / "prefixes.txt").write_text("\n".join(f"i{i % 5} i{i % 7}\ti{i % 4}" for i in range(20)))
    (folder / "keys.json").write_text(json.dumps([f"k{i}" for i in range(20)]))
    (folder / "keys.txt").write_text("\n".join(f"k{i}" for i in range(20)))


def _matrices(folder: Path, rng: np.random.Generator) -> None:
    import scipy.io
    import scipy.sparse

    from embedkit.embeddings.safetensors import write_tensors

    graph = scipy.sparse.random(12, 12, 0.3, random_state=0, format="csr")
    scipy.io.mmwrite(str(folder / "graph.mtx"), graph)
    scipy.io.savemat(str(folder / "graph.mat"), {"network": graph})
    vectors = rng.standard_normal((20, 4)).astype(np.float32)
    words = [f"k{i}" for i in range(20)]
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "keys.npy", np.array(words))
    np.savez(folder / "vectors.npz", vectors=vectors, keys=np.array(words))
    with open(folder / "foreign.safetensors", "wb") as file:
        write_tensors(file, {"emb.weight": vectors, "step": np.arange(3)}, {"format": "pt"})
    body = "\n".join(f"{w} " + " ".join(f"{x:.4f}" for x in v) for w, v in zip(words, vectors, strict=True))
    (folder / "vectors.vec").write_text("20 4\n" + body)
    (folder / "glove.txt").write_text(body)
    records = b"".join(w.encode() + b" " + v.tobytes() + b"\n" for w, v in zip(words, vectors, strict=True))
    (folder / "word2vec.bin").write_bytes(b"20 4\n" + records)
    (folder / "fasttext.bin").write_bytes(_fasttext(words, rng))


def _fasttext(words: list[str], rng: np.random.Generator) -> bytes:
    """Return a small model as fastText writes it."""
    n, size, buckets = len(words), 4, 30
    matrices = [rng.standard_normal((rows, size)).astype("<f4") for rows in (n + buckets, n)]
    settings = (size, 5, 5, 1, 5, 1, 2, 2, buckets, 3, 6, 100)
    entries = b"".join(word.encode() + b"\0" + struct.pack("<qb", 3, 0) for word in words)
    parts = [struct.pack("<?qq", False, *matrix.shape) + matrix.tobytes() for matrix in matrices]
    head = struct.pack("<ii12id", 793712314, 12, *settings, 1e-4) + struct.pack("<iiiqq", n, n, 0, 100, -1)
    return head + entries + b"".join(parts)


def _index(folder: Path, rng: np.random.Generator) -> None:
    """Make an index beside a model, where faiss is installed."""
    from embedkit.embeddings import index
    from embedkit.scoring.cells import FEWEST

    emb = embedkit.Embeddings([f"t{i}" for i in range(FEWEST)], rng.standard_normal((FEWEST, 4)))
    emb.save(folder / "indexed.safetensors")
    with contextlib.suppress(embedkit.EmbedkitError):
        index.save(index.build(embedkit.load(folder / "indexed.safetensors")), folder / "indexed.safetensors")


class _StopError(Exception):
    pass


class _Stopping(embedkit.Run):
    """Ends a training after its second epoch, as a kill would."""

    done = 0

    def epoch_done(self, loss: float, snapshot: Callable[[], embedkit.Embeddings]) -> bool:
        self.done += 1
        if self.done > 2:
            raise _StopError
        return True


def _train_on(
    folder: Path, trainer: str, states: Path, run: embedkit.Run | None = None, early_stopping: str | None = None
) -> embedkit.Embeddings:
    options = {k: v for k, v in TRAINERS[trainer].items() if k in ("bucket",)}
    checkpoint = embedkit.Checkpoint(states, every="1epoch", resume=True)
    corpus = _corpus(folder, "text" if TRAINERS[trainer]["source"] == "text" else "sessions")
    settings = {"vector_size": 4, "epochs": 3, "workers": 1, **options}
    settings |= {"early_stopping": early_stopping, "checkpoint": checkpoint, "run": run or embedkit.Run()}
    return embedkit.train(corpus, trainer, **settings)


_CORPORA: dict[str, embedkit.Corpus] = {}


def _corpus(folder: Path, source: str) -> embedkit.Corpus:
    if source not in _CORPORA:
        given = folder / ("small.txt" if source == "text" else "sessions.csv")
        _CORPORA[source] = embedkit.read(source, input=str(given))
    return _CORPORA[source]


def targets(kind: str, folder: Path) -> Iterator[Target]:
    """Yield what there is to fuzz of a kind."""
    if kind == "models":
        for name in TRAINERS:
            yield Target(name, folder / f"{name}.safetensors", "tensors", _use_model)
        if (folder / "indexed.safetensors.index").exists():
            read = partial(_use_index, folder / "indexed.safetensors")
            yield Target("index", folder / "indexed.safetensors.index", "header", read, 0.3)
        for name in TWO:
            yield Target(f"update-{name}", folder / f"{name}.safetensors", "tensors", partial(_update, folder), 0.1)
        yield Target("extend", folder / "skipgram.safetensors", "tensors", _extend, 0.3)
    elif kind == "states":
        for name in STATES:
            yield Target(name, folder / f"{name}.state", "tensors", partial(_resume, folder, name))
        for name in TWO:
            read = partial(_resume, folder, name, early_stopping="loss")
            yield Target(f"stopping-{name}", folder / f"{name}.stopping", "tensors", read)
    else:
        yield from _inputs(folder)


def _inputs(folder: Path) -> Iterator[Target]:
    def target(name: str, form: str, read: Callable[[Path], object]) -> Target:
        return Target(name, folder / name, form, read, SHARES.get(name, SHARES.get(name.partition(".")[0] + ".", 1.0)))

    keys = str(folder / "keys.txt")
    small = embedkit.load(folder / "skipgram.safetensors")
    for name, form in (("csv", "text"), ("tsv", "text"), ("parquet", "bytes"), ("jsonl", "json"), ("json", "json")):
        yield target(f"sessions.{name}", form, partial(_read, "sessions"))
    yield target("lines.txt", "text", partial(_read, "sessions", layout="lines"))
    for name, form in (("small.txt", "text"), ("utf16.txt", "bytes"), ("small.txt.gz", "gzip")):
        yield target(name, form, partial(_read, "text"))
    for name in ("edges.csv", "edges.txt", "attributes.edgelist", "graph.mtx"):
        yield target(name, "text", _read_graph)
    yield target("edges.parquet", "bytes", _read_graph)
    yield target("graph.mat", "bytes", _read_graph)
    yield target("vectors.npy", "npy", partial(_import, keys=keys))
    yield target("vectors.npz", "zip", _import)
    yield target("foreign.safetensors", "tensors", partial(_import, keys=keys, vector_columns="emb.weight"))
    for name in ("vectors.vec", "glove.txt", "vectors.csv"):
        yield target(name, "text", _import)
    yield target("word2vec.bin", "bytes", _import)
    yield target("fasttext.bin", "bytes", _import)
    yield target("vectors.parquet", "bytes", _import)
    for name, form in (("keys.json", "json"), ("keys.txt", "text"), ("keys.npy", "npy")):
        yield target(name, form, partial(_import_keys, folder / "vectors.npy"))
    for name in ("questions.txt", "pairs.csv"):
        yield target(name, "text", partial(_word_test, small))
    yield target("prefixes.txt", "text", _read_prefixes)
    yield target("results.json", "json", _plot)


def _use_model(path: Path) -> None:
    """Open a model, ask it everything, and check all of it."""
    from embedkit.embeddings.file import verify

    emb = embedkit.load(path)
    repr(emb)
    answers = []
    if len(emb):
        answers.append(emb.most_similar(emb.tokens[0], topn=3))
        answers.append(emb.recommend(history=[emb.tokens[0], emb.tokens[len(emb) - 1]], topn=3))
    if emb.keys is not None and len(emb.keys):
        answers.append(emb.recommend(emb.keys[0], topn=3))
        if emb.key_vectors is None:
            emb.explain(emb.keys[0], emb.tokens[0])
    if emb.subwords is not None:
        emb["kingdoms"]
    verify(path)
    if not all(np.isfinite(score) for answer in answers for _, score in answer):
        raise WrongError(f"scores that are not finite: {answers}")


def _update(folder: Path, path: Path) -> None:
    """Update a model with what it was made of, and a token more."""
    with open(folder / "sessions.csv") as rows, open(path.parent / "new.csv", "w") as more:
        more.write(rows.read() + "".join(f"u1,new,2026-02-0{day},3\n" for day in range(1, 8)))
    grown = embedkit.update(path, "sessions", input=str(path.parent / "new.csv"), epochs=1, workers=1, again=True)
    _refuse_not_finite(grown)


def _extend(path: Path) -> None:
    """Give a model vectors of tokens that it has not, as the command does."""
    from embedkit.embeddings.file import verify

    verify(path)
    emb = embedkit.load(path)
    rng = np.random.default_rng(0)
    content = embedkit.Embeddings([*list(emb.tokens)[:50], "new 1", "new 2"], rng.random((min(50, len(emb)) + 2, 3)))
    _refuse_not_finite(embedkit.extend(emb, content))


def _refuse_not_finite(emb: embedkit.Embeddings) -> None:
    if not np.isfinite(emb.vectors).all():
        raise WrongError("vectors that are not finite")


def _plot(path: Path) -> None:
    """Draw what a file of results holds, by k and by popularity."""
    from embedkit.cli.plot import evaluation

    look = {"dpi": 50, "size": (1.0, 1.0), "title": "", "output": path.parent / "drawn.png"}
    with contextlib.redirect_stderr(io.StringIO()):
        for by in ("k", "popularity"):
            evaluation.callback((path,), by=by, metric=None, k=None, **look)


def _use_index(model: Path, path: Path) -> None:
    beside = path.parent / "indexed.safetensors"
    if not beside.exists():
        shutil.copy(model, beside)
    emb = embedkit.load(beside, index=True)
    emb.most_similar(emb.tokens[0], topn=3)
    emb.recommend(history=[emb.tokens[0]], topn=3)


def _resume(folder: Path, trainer: str, path: Path, early_stopping: str | None = None) -> None:
    """Go on from a state; what comes out must be finite, unless it is refused."""
    states = path.parent / "states"
    states.mkdir(exist_ok=True)
    shutil.copy(path, states / "state.safetensors")
    emb = _train_on(folder, trainer, states, early_stopping=early_stopping)
    (states / "state.safetensors").unlink(missing_ok=True)
    _refuse_not_finite(emb)


def _read(source: str, path: Path, **options: object) -> None:
    corpus = embedkit.read(source, input=str(path), **options)
    if len(corpus.ids) and not 0 <= corpus.ids.min() <= corpus.ids.max() < len(corpus.tokens):
        raise WrongError("ids out of range")
    list(corpus.tokens)  # decodes them


def _read_graph(path: Path) -> None:
    _read("graph", path, walks_per_node=1, walk_length=5)


def _import(path: Path, **options: object) -> None:
    emb = embedkit.import_vectors(str(path), **options)
    _refuse_not_finite(emb)
    emb.most_similar(emb.tokens[0], topn=2)
    if emb.subwords is not None:
        emb["kingdoms"]


def _import_keys(vectors: Path, path: Path) -> None:
    _import(vectors, keys=str(path))


def _word_test(emb: embedkit.Embeddings, path: Path) -> None:
    from embedkit.evaluation.word_files import word_test

    word_test(emb, path)


def _read_prefixes(path: Path) -> None:
    from embedkit.evaluation.heldout import read_prefixes

    read_prefixes(path)
