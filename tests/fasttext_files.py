"""Writes fastText's binary format, as its source has it, so that tests need no package of it."""

import struct

import numpy as np

MAGIC = 793712314
SETTINGS = {
    "dim": 3, "ws": 5, "epoch": 5, "minCount": 1, "neg": 5, "wordNgrams": 1, "loss": 2, "model": 2, "bucket": 50,
    "minn": 3, "maxn": 6, "lrUpdateRate": 100,
}  # fmt: skip


def matrix(numbers):
    return struct.pack("<?qq", False, *numbers.shape) + numbers.astype("<f4").tobytes()


def model_bytes(
    words, inputs, outputs, *, counts=None, labels=(), magic=MAGIC, version=12, pruned=-1, quantized=False, **settings
):
    """Return the bytes of a model; `settings` as fastText names them."""
    chosen = {**SETTINGS, "dim": inputs.shape[1], **settings}
    entries = [(word, 0) for word in words] + [(label, 1) for label in labels]
    counts = counts or [1] * len(entries)
    parts = [
        struct.pack("<ii", magic, version),
        struct.pack("<12i", *chosen.values()),
        struct.pack("<d", 1e-4),
        struct.pack("<iiiqq", len(entries), len(words), len(labels), 100, pruned),
        *(w.encode() + b"\0" + struct.pack("<qb", n, kind) for (w, kind), n in zip(entries, counts, strict=True)),
        struct.pack("<?", True) if quantized else matrix(inputs),
        matrix(outputs),
    ]
    return b"".join(parts)


def drawn(n, size, seed=0):
    return np.random.default_rng(seed).standard_normal((n, size)).astype(np.float32)
