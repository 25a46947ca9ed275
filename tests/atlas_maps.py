"""Small maps for the tests of pictures and pages, some of their names as strangers would like them to be."""

import numpy as np

import embedkit
from embedkit.atlas import clusters, labels_of, make_map, select
from embedkit.contracts import History

HOSTILE = "</script><img src=x onerror=\"document.title='run'\">"
NAMES = ["alpha", "베타", HOSTILE, "$x^2$", "tab\tand\x07bell", "=1+1", "가나다라마바사" * 9]


def embeddings(n=60, width=8, seed=0):
    rng = np.random.default_rng(seed)
    vectors = np.eye(width)[np.arange(n) % 4] + rng.normal(scale=0.2, size=(n, width))
    tokens = [*NAMES, *(f"t{i}" for i in range(n - len(NAMES)))]
    histories = History(np.array([0, 3, 4]), np.array([0, 4, 8, 1], np.int32))
    return embedkit.Embeddings(
        tokens,
        vectors.astype(np.float32),
        counts=np.arange(n, 0, -1),
        labels=["", "", "", "", "", "", "", *(f"Thing {i}" for i in range(n - len(NAMES)))],
        keys=["user1", HOSTILE],
        histories=histories,
    )


def small_map(model=None, keys=("user1", HOSTILE), n_clusters=4, **options):
    model = model or embeddings()
    selection = select(model, keys=keys, topn=3)
    groups = clusters(model.vectors[selection.ids], labels_of(model, selection.ids), n_clusters) if n_clusters else None
    return make_map(model, selection, groups, **options)
