"""From a graph to walks in columns: batch after batch, the same walks whatever the batches and the workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from embedkit import SentenceBatch
from embedkit_graph import kernels
from embedkit_graph.graph import Graph

BATCH_TOKENS = 1 << 20


@dataclass(frozen=True)
class Walking:
    """How to walk: how often from each node, how far, with node2vec's p and q."""

    walks_per_node: int = 10
    walk_length: int = 80
    p: float = 1.0
    q: float = 1.0
    seed: int = 1
    workers: int | None = None


class Walker:
    """Takes walks over one graph.

    Besides the graph it holds, where edges have weights, eight bytes an edge for draws by weight.
    """

    def __init__(self, graph: Graph, walking: Walking) -> None:
        self.graph, self.walking = graph, walking
        n, m = len(graph.indptr) - 1, len(graph.indices)
        self._weights = np.empty(0, np.float32) if graph.weights is None else graph.weights
        m, n = (0, 0) if graph.weights is None else (m, n)
        self._accept, self._alias, self._totals = np.empty(m, np.float32), np.empty(m, np.int32), np.empty(n)
        if m:
            kernels.alias_rows(graph.indptr, self._weights, self._accept, self._alias, self._totals)

    def walks(self, starts: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the nodes of walks from `starts` (int32) end to end, and how many each has (int64).

        Parameters
        ----------
        first
            The number of the first of these walks among all.
        """
        ids = np.empty((len(starts), self.walking.walk_length), np.int32)
        lengths = np.empty(len(starts), np.int64)
        workers = self.walking.workers or os.cpu_count() or 1
        cuts = np.linspace(0, len(starts), min(workers, len(starts)) + 1).astype(np.int64)

        def walk(part: int) -> None:
            begin, end = cuts[part], cuts[part + 1]
            self._walk(starts[begin:end], first + int(begin), ids[begin:end], lengths[begin:end])

        with ThreadPoolExecutor(len(cuts) - 1, "embedkit-graph") as pool:
            list(pool.map(walk, range(len(cuts) - 1)))
        if (lengths == self.walking.walk_length).all():
            return ids.reshape(-1), lengths
        return ids[np.arange(self.walking.walk_length) < lengths[:, None]], lengths

    def _walk(self, starts: np.ndarray, first: int, ids: np.ndarray, lengths: np.ndarray) -> None:
        graph, walking = self.graph, self.walking
        tables = (self._weights, self._accept, self._alias, self._totals)
        seed = np.uint64(walking.seed % 2**64)
        p, q = float(walking.p), float(walking.q)
        kernels.walk(
            graph.indptr, graph.indices, *tables, starts, np.uint64(first), seed, p, q, graph.symmetric, ids, lengths
        )

    def batches(self) -> Iterator[SentenceBatch]:
        """Yield all walks: from every node once, in an order that is drawn, then from every node again."""
        starts = self.graph.starts()
        # Each batch is numbered anew by whoever takes it: few batches where there are many nodes.
        tokens = max(BATCH_TOKENS, 4 * len(self.graph.names))
        size = max(1, tokens // self.walking.walk_length)
        for turn in range(self.walking.walks_per_node):
            order = np.random.default_rng((self.walking.seed, turn)).permutation(starts)
            for begin in range(0, len(order), size):
                ids, lengths = self.walks(order[begin : begin + size], turn * len(starts) + begin)
                offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
                # From the buffer, since `pa.array` of a NumPy array would import pandas.
                codes = pa.Array.from_buffers(pa.int32(), len(ids), [None, pa.py_buffer(ids)])
                yield SentenceBatch(pa.DictionaryArray.from_arrays(codes, self.graph.names), offsets)
