"""The source and its options. Importing this module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import embedkit


@dataclass(frozen=True)
class Options:
    """Which graph, and how to walk over it."""

    input: object = embedkit.option(
        None,
        "Edge lists (CSV, TSV, columns parted by white space; .gz, .bz2, .xz, .zst too; - is standard input), Parquet, "
        "MatrixMarket (.mtx) or MATLAB (.mat) adjacency; from Python also networkx graphs, SciPy matrices, arrays, "
        "DataFrames and Arrow tables.",
        metavar="PATH",
    )
    walks_per_node: int = embedkit.option(10, "Walks from each node.", minimum=1, maximum=1_000_000)
    walk_length: int = embedkit.option(80, "Nodes in a walk.", minimum=2, maximum=100_000)
    p: float = embedkit.option(
        1.0, "node2vec's return parameter: below 1, walks turn back more often.", minimum=1e-6, maximum=1e6
    )
    q: float = embedkit.option(
        1.0, "node2vec's in-out parameter: below 1, walks go far; above 1, they stay near. With p and q 1: DeepWalk.",
        minimum=1e-6, maximum=1e6,
    )  # fmt: skip
    directed: bool | None = embedkit.option(
        None, "Whether edges lead one way only. No, but for directed graphs of networkx."
    )
    weighted: bool | None = embedkit.option(
        None,
        "Whether edges have weights. Found: a column or attribute 'weight', a matrix of unlike values; "
        "--weighted alone takes the third column.",
    )
    source_column: int | str | None = embedkit.option(
        None, "Column that edges come from: a name, or a number from 1. Known names (source, from, ...) are found.",
        metavar="COLUMN",
    )  # fmt: skip
    target_column: int | str | None = embedkit.option(
        None, "Column that edges lead to. Known names (target, to, ...) are found.", metavar="COLUMN"
    )
    edge_weight_column: int | str | None = embedkit.option(None, "Column of weights above zero.", metavar="COLUMN")
    delimiter: str | None = embedkit.option(
        None, "What parts the columns, or its name: comma, tab, semicolon, pipe, space. Found in the first lines.",
        metavar="TEXT",
    )  # fmt: skip
    header: bool | None = embedkit.option(None, "Whether the first line names the columns. Found in the first lines.")
    encoding: str | None = embedkit.option(None, "Encoding of the text; UTF-8 where not given.", metavar="NAME")
    variable: str | None = embedkit.option(
        None, "Which variable of a .mat file; its only square matrix where not given.", metavar="NAME"
    )
    self_loops: bool = embedkit.option(False, "Keep edges from a node to itself.")
    count_duplicates: bool = embedkit.option(False, "An edge listed twice weighs twice; else it is taken once.")
    workers: int | None = embedkit.option(
        None, "Threads. The walks are the same whatever their number.", minimum=1, maximum=1024
    )
    seed: int = embedkit.option(1, "Seed of the walks.", minimum=0)


class GraphWalks(embedkit.Source):
    """Random walks over a graph (DeepWalk; node2vec with p and q), from edge lists and adjacency matrices.

    Tokens are the nodes' names as they stand in the file (in `.mat` and matrices: row numbers from 0). The memory taken
    is that of the graph, eight bytes an edge more where edges have weights, and one batch of walks.
    """

    name = "graph"
    Options = Options
    # Vector size, window, walks and length as in both papers; no node is a stop word. The rest was chosen on validation
    # parts of BlogCatalog's and Cora's training halves, see docs/graphs.md: more noise keeps small graphs from being
    # learned by heart.
    defaults: ClassVar[dict[str, Any]] = {
        "trainer": "skipgram",
        "min_count": 1,
        "vector_size": 128,
        "window": 10,
        "sample": 0.0,
        "skipgram.epochs": 3,
        "skipgram.alpha": 0.05,
        "skipgram.negative": 15,
        "spectral.matrix": "token-token",
        "spectral.distance_weighting": "flat",
        "spectral.context_smoothing": 1.0,
    }

    def batches(self) -> Iterator[embedkit.SentenceBatch]:
        """Yield the walks, a sentence each.

        Raises
        ------
        embedkit.SourceError
            If the input is missing, damaged, or no graph with edges.
        embedkit.OptionError
            If options contradict each other or the input.
        """
        from embedkit_graph.walks import Walker, Walking

        options = self.options
        names = ("walks_per_node", "walk_length", "p", "q", "seed", "workers")
        walking = Walking(**{name: getattr(options, name) for name in names})
        yield from Walker(self._graph(), walking).batches()

    def _graph(self) -> Any:
        from embedkit_graph.graph import Findings, make_graph
        from embedkit_graph.inputs import Settings, read_edges

        self.dropped.clear()
        self.notes.clear()
        findings = Findings(self.dropped, self.notes)
        options = self.options
        settings = Settings(**{name: getattr(options, name) for name in Settings.__dataclass_fields__})
        edges, directed = read_edges(options.input, settings, findings, self.work_dir)
        return make_graph(
            edges, findings, directed=directed, self_loops=options.self_loops,
            count_duplicates=options.count_duplicates,
        )  # fmt: skip

    @classmethod
    def sample(cls) -> Any:
        """Return an Arrow table of the friendships in an invented school, whose clubs are its communities."""
        from embedkit_graph.sample import friendships

        return friendships()
