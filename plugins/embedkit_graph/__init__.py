"""Source `graph`: random walks over a graph, as DeepWalk and node2vec take them."""

from collections.abc import Callable

import embedkit
from embedkit_graph.source import GraphWalks as GraphWalks
from embedkit_graph.source import Options as Options


@embedkit.hookimpl
def register_sources(register: Callable[[type[embedkit.Source]], None]) -> None:
    """Register the source of walks."""
    register(GraphWalks)
