"""Files of vectors made elsewhere, and what comes of importing them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedkit import ModelError
from embedkit.embeddings.importing import import_vectors

TOKENS = ["고양이", "dog's", "=cmd", "007", "x y"]
VECTORS = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


def write_keys(tokens=TOKENS, name="keys.txt"):
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join(tokens) + "\n")
    return name


def write_npy(vectors=VECTORS, name="v.npy"):
    np.save(name, vectors)
    return name


def write_parquet(columns, name="v.parquet"):
    pq.write_table(pa.table(columns), name)
    return name


def write_word2vec(tokens=TOKENS, vectors=VECTORS, name="v.bin", line_end=b"\n", header=None):
    with open(name, "wb") as file:
        file.write(header or f"{len(tokens)} {vectors.shape[1]}\n".encode())
        for token, row in zip(tokens, vectors, strict=True):
            file.write(token.replace(" ", "_").encode() + b" " + row.astype("<f4").tobytes() + line_end)
    return name


def refused(message, *args, **options):
    with pytest.raises(ModelError, match=message) as caught:
        import_vectors(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(emb, tokens=TOKENS, vectors=VECTORS):
    assert list(emb.tokens) == list(tokens)
    assert emb.vectors.dtype == np.float32
    assert np.array_equal(emb.vectors, vectors)
