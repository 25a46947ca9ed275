"""The graph in memory: compressed rows of neighbours, made of edges as they were listed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from embedkit import SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_array


@dataclass
class Findings:
    """What was left out while reading, by reason, and what was found out, a line each."""

    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


@dataclass
class Edges:
    """Edges as they were listed.

    Attributes
    ----------
    names
        Arrow large strings: what the nodes are called.
    sources, targets
        int32 numbers of nodes, one an edge.
    weights
        float32, above 0, one an edge; None where all weigh the same.
    """

    names: pa.Array
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Graph:
    """Rows of neighbours.

    Attributes
    ----------
    names
        Arrow large strings: what the nodes are called.
    indptr, indices
        int64, int32: edges lead from node v to `indices[indptr[v]:indptr[v + 1]]`, in order, each there once.
    weights
        float32, above 0, one for each of `indices`; None where all weigh the same.
    symmetric
        Whether every edge leads both ways.
    """

    names: pa.Array
    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray | None
    symmetric: bool

    def starts(self) -> np.ndarray:
        """Return the nodes that any edge touches, int32, in their order."""
        touched = np.diff(self.indptr) > 0
        if not self.symmetric:
            touched[self.indices] = True
        return np.flatnonzero(touched).astype(np.int32)


def make_graph(
    edges: Edges, findings: Findings, *, directed: bool, self_loops: bool = False, count_duplicates: bool = False
) -> Graph:
    """Return the graph of these edges; what was dropped or merged is counted and said.

    Parameters
    ----------
    self_loops
        Whether to keep edges from a node to itself.
    count_duplicates
        Whether an edge without weights weighs as often as it is listed. Weights of repeated edges are added anyway.

    Raises
    ------
    SourceError
        If no edge is left.
    """
    sources, targets, weights = _without_loops(edges, findings) if not self_loops else _columns(edges)
    if not len(sources):
        left_out = ", ".join(f"{reason}: {n:,}" for reason, n in findings.dropped.items()) or "it lists none"
        raise SourceError(f"the graph has no edge to walk along; {left_out}.")
    weighted = weights is not None or count_duplicates
    rows = _rows(sources, targets, weights, len(edges.names))
    repeated = len(sources) - rows.nnz
    if not directed:
        rows, both = _both_ways(rows, findings)
        repeated += both
    if repeated:
        what = "their weights added" if weighted else "merged (--count-duplicates makes their number the weight)"
        findings.notes.append(f"{repeated:,} repeated edges, {what}")
    indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False)
    graph = Graph(edges.names, indptr, indices, _unlike(rows.data) if weighted else None, symmetric=not directed)
    _describe(graph, rows, findings)
    return graph


def _columns(edges: Edges) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    return edges.sources, edges.targets, edges.weights


def _without_loops(edges: Edges, findings: Findings) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    sources, targets, weights = _columns(edges)
    kept = sources != targets
    if n_loops := len(kept) - int(np.count_nonzero(kept)):
        findings.dropped["edges from a node to itself (--self-loops keeps them)"] += n_loops
        sources, targets = sources[kept], targets[kept]
        weights = None if weights is None else weights[kept]
    return sources, targets, weights


def _unlike(weights: np.ndarray) -> np.ndarray | None:
    """Return the weights, None where all are alike."""
    if not np.isfinite(weights).all():
        raise SourceError("the weights of repeated edges add up to more than a float32 holds; scale the weights down.")
    return weights if (weights != weights[0]).any() else None


def _rows(sources: np.ndarray, targets: np.ndarray, weights: np.ndarray | None, n: int) -> csr_array:
    from scipy.sparse import coo_array

    data = np.ones(len(sources), np.float32) if weights is None else weights
    rows = coo_array((data, (sources, targets)), (n, n)).tocsr()
    rows.sum_duplicates()
    return rows


def _both_ways(rows: csr_array, findings: Findings) -> tuple[csr_array, int]:
    """Return the rows with every edge in both directions, and how many edges were listed in both by chance."""
    back = rows.T.tocsr()
    back.sort_indices()
    same = np.array_equal(rows.indptr, back.indptr) and np.array_equal(rows.indices, back.indices)
    if same and np.array_equal(rows.data, back.data):
        findings.notes.append("every edge is listed in both directions")
        return rows, 0
    loops = int(np.count_nonzero(rows.diagonal()))
    merged = rows + back
    merged.sort_indices()
    if loops:
        own = np.repeat(np.arange(merged.shape[0]), np.diff(merged.indptr)) == merged.indices
        merged.data[own] /= 2
    return merged, (2 * rows.nnz - merged.nnz - loops) // 2


def _describe(graph: Graph, rows: csr_array, findings: Findings) -> None:
    from embedkit_graph import kernels

    starts = graph.starts()
    if isolated := len(graph.names) - len(starts):
        findings.dropped["nodes without an edge"] += isolated
    loops = int(np.count_nonzero(rows.diagonal()))
    n_edges = (rows.nnz + loops) // 2 if graph.symmetric else rows.nnz
    kind = "undirected" if graph.symmetric else "directed"
    weights = "equal weights" if graph.weights is None else "weights"
    findings.notes.append(f"{len(starts):,} nodes, {n_edges:,} edges, {kind}, {weights}")
    if sinks := int(np.count_nonzero(np.diff(graph.indptr)[starts] == 0)):
        findings.notes.append(f"no edge leads on from {sinks:,} nodes: walks end there")
    part = np.empty(len(graph.names), np.int32)
    kernels.parts(graph.indptr, graph.indices, part)
    sizes = np.bincount(part[starts])
    if (parts := int(np.count_nonzero(sizes))) > 1:
        findings.notes.append(
            f"the graph falls into {parts:,} parts without an edge between them (the largest: {sizes.max():,} nodes);"
            " how near nodes of two parts lie says nothing"
        )
