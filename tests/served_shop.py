"""A small shop to serve, and what its answers are compared with."""

import numpy as np
import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client")


import embedkit

N, SIZE = 203, 8


def make(seed=1, n=N, **more):
    """A model of random vectors with labels, counts, keys and histories; the last key has no history."""
    rng = np.random.default_rng(seed)
    lengths = np.append(rng.integers(1, 9, 39), 0)
    histories = embedkit.History(
        np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        rng.integers(0, n, lengths.sum(), dtype=np.int32),
        times=np.sort(rng.integers(0, 10**15, lengths.sum())),
    )
    parts = {
        "counts": rng.permutation(n) + 1,
        "labels": [f"Name of {i}" if i % 3 else "" for i in range(n)],
        "context_vectors": rng.standard_normal((n, SIZE), np.float32),
        "keys": [f"user{i}" for i in range(40)],
        "histories": histories,
        "config": {"trainer": "skipgram"},
    }
    return embedkit.Embeddings(
        [f"item{i}" for i in range(n)], rng.standard_normal((n, SIZE), np.float32), **parts | more
    )


def pairs(results):
    return [(result["token"], pytest.approx(result["score"], rel=1e-4, abs=1e-5)) for result in results]


def assert_refused(answer, status, *words):
    found, body = answer
    assert found == status, body
    assert body["error"] == " ".join(body["error"].split())
    assert body["error"][-1] in ".?"
    for word in words:
        assert word in body["error"]
