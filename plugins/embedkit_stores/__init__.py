"""Exporters to vector stores: LanceDB, PostgreSQL with pgvector, Qdrant."""

from collections.abc import Callable

import embedkit
from embedkit_stores.lance import LanceDB as LanceDB
from embedkit_stores.postgres import PgVector as PgVector
from embedkit_stores.qdrant import Qdrant as Qdrant


@embedkit.hookimpl
def register_exporters(register: Callable[[type[embedkit.Exporter]], None]) -> None:
    """Register the stores."""
    for exporter in (LanceDB, PgVector, Qdrant):
        register(exporter)
