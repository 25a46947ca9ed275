"""From what `input` holds to edges: files of every kind, and what Python has in memory."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from embedkit import SourceError
from embedkit_graph.columns import Asked
from embedkit_graph.edges import EdgeCollector, checked_weights
from embedkit_graph.files import File, find_files
from embedkit_graph.graph import Edges, Findings
from embedkit_graph.matrices import matrix_edges, read_mat, read_mtx
from embedkit_graph.tables import is_table, read_parquet, read_table
from embedkit_graph.text import read_text


@dataclass(frozen=True)
class Settings:
    """The options that say how input is read."""

    directed: bool | None = None
    weighted: bool | None = None
    source_column: int | str | None = None
    target_column: int | str | None = None
    edge_weight_column: int | str | None = None
    delimiter: str | None = None
    header: bool | None = None
    encoding: str | None = None
    variable: str | None = None

    def asked(self) -> Asked:
        """Return what concerns columns."""
        return Asked(self.source_column, self.target_column, self.edge_weight_column, self.weighted)


def read_edges(given: Any, settings: Settings, findings: Findings, work_dir: Path | None = None) -> tuple[Edges, bool]:
    """Return the edges that `given` holds, and whether they lead one way only.

    Raises
    ------
    SourceError
        If it is missing, damaged, or nothing that a graph can be read from.
    """
    if given is None or (isinstance(given, tuple | list) and not given):
        raise SourceError("there is nothing to read: name a list of edges with --input.")
    directed = bool(settings.directed)
    if isinstance(given, str | os.PathLike):
        given = (given,)
    if isinstance(given, tuple | list):
        if all(isinstance(path, str | os.PathLike) for path in given):
            with tempfile.TemporaryDirectory(prefix="graph-", dir=work_dir) as made:
                folder = Path(made)
                return _from_files(find_files(given, folder), settings, findings, directed, folder), directed
        if len(given) == 1:
            return read_edges(given[0], settings, findings, work_dir)
        raise SourceError(f"input takes paths or one graph; got {type(given[0]).__name__} among several.")
    if hasattr(given, "is_directed") and hasattr(given, "edges"):
        edges = network_edges(given, findings, settings.weighted)
        return edges, given.is_directed() if settings.directed is None else directed
    return _from_memory(given, settings, findings), directed


def _from_files(files: list[File], settings: Settings, findings: Findings, directed: bool, folder: Path) -> Edges:
    if any(file.kind in ("mat", "mtx") for file in files) and len(files) > 1:
        raise SourceError("a matrix is read alone: name one .mtx or .mat, or lists of edges.")
    if files[0].kind == "mat":
        return read_mat(files[0], settings.variable, settings.weighted, findings.notes, folder)
    collector = EdgeCollector(findings.dropped)
    announced = 0
    for file in files:
        if file.kind == "mtx":
            announced = read_mtx(file, collector, findings.notes, weighted=settings.weighted, directed=directed)
        elif file.kind == "parquet":
            read_parquet(file.path, file.name, settings.asked(), collector, findings.notes)
        else:
            read_text(
                file, settings.asked(), collector, findings.notes,
                delimiter=settings.delimiter, header=settings.header, encoding=settings.encoding,
            )  # fmt: skip
    edges = collector.finish()
    if announced > len(edges.names):
        findings.dropped["rows of the matrix without an entry"] += announced - len(edges.names)
    return edges


def _from_memory(given: Any, settings: Settings, findings: Findings) -> Edges:
    """Return the edges of a matrix, an array of pairs, or a table."""
    shape: tuple[int, ...] = tuple(getattr(given, "shape", ()))
    if isinstance(given, np.ndarray) and len(shape) == 2 and shape[1] in (2, 3) and shape[0] != shape[1]:
        given = pa.table([pa.array(column) for column in given.T], names=["source", "target", "weight"][: shape[1]])
    if is_table(given):
        collector = EdgeCollector(findings.dropped)
        read_table(given, settings.asked(), collector, findings.notes)
        return collector.finish()
    if len(shape) == 2 and hasattr(given, "dtype"):
        findings.notes.append("nodes are row numbers from 0")
        return matrix_edges(given, "the matrix", settings.weighted)
    raise SourceError(
        f"input must be paths, a networkx graph, a matrix, an array, a DataFrame or an Arrow table; got "
        f"{type(given).__name__}."
    )


def network_edges(network: Any, findings: Findings, weighted: bool | None = None) -> Edges:
    """Return the edges of a networkx graph, nodes called by their text; an edge without a weight weighs 1.

    Raises
    ------
    SourceError
        If two nodes have the same text, or a weight is negative or no number.
    """
    nodes = list(network.nodes)
    names = [str(node) for node in nodes]
    if len(set(names)) < len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise SourceError(f"two nodes of the graph are called {twice!r} as text; relabel one.")
    number = {node: i for i, node in enumerate(nodes)}
    listed = list(network.edges(data="weight"))
    sources = np.fromiter((number[u] for u, _, _ in listed), np.int32, len(listed))
    targets = np.fromiter((number[v] for _, v, _ in listed), np.int32, len(listed))
    has_weights = any(w is not None for _, _, w in listed)
    weights = None
    if has_weights and weighted is not False:
        try:
            values = np.array([1.0 if w is None else float(w) for _, _, w in listed])
        except (TypeError, ValueError) as error:
            raise SourceError(f"an edge's weight is no number ({error}); mend it, or set weighted=False.") from error
        weights = checked_weights("the graph", pa.array(values))
        kept = weights > 0
        if not kept.all():
            findings.dropped["edges of weight zero"] += int(np.count_nonzero(~kept))
        sources, targets, weights = sources[kept], targets[kept], weights[kept]
    return Edges(pa.array(names, pa.large_string()), sources, targets, weights)
