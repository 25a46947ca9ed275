"""fastText's own models (`.bin`): vectors of words and of all buckets of n-grams, which stay in the file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.embeddings.embeddings import Embeddings
from embedkit.embeddings.ngrams import Ngrams
from embedkit.embeddings.subwords import Subwords
from embedkit.embeddings.word2vec_text import map_bytes, names_of
from embedkit.errors import ModelError
from embedkit.names import Names

_MAGIC = 793712314
_VERSIONS = (11, 12)
_SETTINGS = (
    "dim", "ws", "epoch", "minCount", "neg", "wordNgrams", "loss", "model", "bucket", "minn", "maxn", "lrUpdateRate",
)  # fmt: skip
_LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
_MODELS = {1: "cbow", 2: "skipgram", 3: "supervised"}
_END_OF_SENTENCE = "</s>"
_ENTRY = 10  # bytes of the shortest: an empty word's end, its count, its type
_WORDS = 1 << 13


@dataclass
class _Reader:
    """Reads numbers one behind the other, never past the end."""

    path: str | os.PathLike[str]
    data: np.ndarray
    at: int = 0

    def array(self, dtype: str, n: int) -> np.ndarray:
        """Return the next n numbers of a type; they stay in the file."""
        end = self.at + n * np.dtype(dtype).itemsize
        if n < 0 or end > len(self.data):
            raise self.damaged("it ends too soon")
        found = self.data[self.at : end].view(dtype)
        self.at = end
        return found

    def number(self, dtype: str) -> Any:
        return self.array(dtype, 1)[0].item()

    def matrix(self) -> np.ndarray:
        """Return the next matrix of float32."""
        if self.number("u1"):
            raise ModelError(f"{self.path} is quantized, which loses what is read here; take the model's .bin instead.")
        rows, columns = (self.number("<i8") for _ in range(2))
        if rows < 0 or columns < 0 or max(rows, 1) * max(columns, 1) > len(self.data):
            raise self.damaged("the size of a matrix is none")
        return self.array("<f4", rows * columns).reshape(rows, columns)

    def damaged(self, reason: str) -> ModelError:
        return ModelError(f"{self.path} is damaged or no model of fastText: {reason}. Fetch or save it again.")


def read_bin(path: str | os.PathLike[str]) -> Embeddings:
    """Read a model that fastText wrote; words' vectors are put together as fastText does, from all their subwords.

    The table of n-grams stays in the file, which must not change while the embeddings are in use.

    Raises
    ------
    ModelError
        If the file cannot be read, is no such model, or is quantized.
    """
    reader = _Reader(path, map_bytes(Path(path)))
    settings = _read_settings(reader)
    words, counts = _read_words(reader)
    inputs = reader.matrix()
    n, buckets = len(words), settings["bucket"] if settings["maxn"] > 0 else 0
    if inputs.shape[1] != settings["dim"] or len(inputs) < n + buckets or not n or not inputs.shape[1]:
        raise reader.damaged(f"{inputs.shape[0]:,} × {inputs.shape[1]:,} numbers are no vectors of {n:,} words")
    outputs = reader.matrix()
    config = {name: value for name, value in settings.items() if name not in ("dim", "bucket", "minn", "maxn")}
    scores = settings["loss"] != "hs" and settings["model"] != "supervised" and outputs.shape == (n, settings["dim"])
    subwords = None
    if buckets:
        ngrams = Ngrams(max(1, settings["minn"]), settings["maxn"], buckets)
        subwords = Subwords(ngrams, inputs[n : n + buckets], None, "mean")
    return Embeddings(
        words,
        inputs[:n] if subwords is None else _compose(words, inputs[:n], subwords),
        counts=counts,
        context_vectors=outputs if scores else None,
        arrays={} if subwords is None else subwords.arrays,
        config={"fasttext": config} | ({} if subwords is None else {"subwords": subwords.config}),
    )


def _read_settings(reader: _Reader) -> dict[str, Any]:
    if len(reader.data) < 8 or reader.number("<i4") != _MAGIC:
        raise ModelError(f"{reader.path} is no model of fastText: it does not begin like one.")
    version = reader.number("<i4")
    if version not in _VERSIONS:
        raise ModelError(f"{reader.path} is of version {version} of fastText's format; 11 and 12 can be read.")
    settings: dict[str, Any] = dict(zip(_SETTINGS, reader.array("<i4", len(_SETTINGS)).tolist(), strict=True))
    settings["t"] = reader.number("<f8")
    if settings["loss"] not in _LOSSES or settings["model"] not in _MODELS:
        raise reader.damaged("its settings are none")
    settings |= {"loss": _LOSSES[settings["loss"]], "model": _MODELS[settings["model"]]}
    if version == 11 and settings["model"] == "supervised":
        settings["maxn"] = 0  # as fastText does: such models had no n-grams
    if settings["maxn"] > 0 and not (settings["bucket"] > 0 and settings["minn"] <= settings["maxn"]):
        raise reader.damaged("its settings of n-grams are none")
    return settings


def _read_words(reader: _Reader) -> tuple[Names, np.ndarray]:
    """Return the words and their counts; labels, which a supervised model has behind them, are passed over."""
    from embedkit.embeddings.kernels_fasttext_bin import find_entries

    n, n_words, n_labels = reader.array("<i4", 3).tolist()
    reader.number("<i8")  # how many tokens the text had
    pruned = reader.number("<i8")
    if min(n, n_words, n_labels) < 0 or n != n_words + n_labels or n * _ENTRY > len(reader.data) - reader.at:
        raise reader.damaged("its number of words is none")
    if pruned >= 0:
        raise ModelError(f"{reader.path} is pruned, which loses what is read here; take the model's .bin instead.")
    starts, stops, counts, kinds = (np.zeros(n, np.int64) for _ in range(4))
    reader.at = int(find_entries(reader.data, reader.at, starts, stops, counts, kinds))
    if reader.at < 0 or kinds[:n_words].any() or (counts < 0).any():
        raise reader.damaged("its list of words is none")
    return names_of(reader.path, reader.data, starts[:n_words], stops[:n_words]), counts[:n_words]


def _compose(words: Names, own: np.ndarray, subwords: Subwords) -> np.ndarray:
    """Return the mean of each word's own vector and those of its n-grams: float32 (n × vector_size)."""
    from embedkit.embeddings.kernels_fasttext_bin import mean_rows

    vectors = np.empty(own.shape, np.float32)
    for start in range(0, len(words), _WORDS):
        stop = min(start + _WORDS, len(words))
        indptr, buckets = subwords.ngrams.of_all(words.take(np.arange(start, stop)))
        mean_rows(own[start:stop], subwords.vectors, indptr, buckets, vectors[start:stop])
    end = words.find(_END_OF_SENTENCE)
    if end >= 0:
        vectors[end] = own[end]  # the one word that fastText gives no n-grams
    return vectors
