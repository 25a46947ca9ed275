"""What embedkit itself registers, through the same hooks as everybody."""

from collections.abc import Callable
from typing import Any

from embedkit.contracts import Exporter, QueryBuilder, Trainer
from embedkit.hookspecs import hookimpl


@hookimpl
def register_trainers(register: Callable[[type[Trainer]], None]) -> None:
    """Register the built-in trainers."""
    from embedkit import trainers

    for trainer in trainers.BUILT_IN:
        register(trainer)


@hookimpl
def register_exporters(register: Callable[[type[Exporter]], None]) -> None:
    """Register the built-in formats."""
    from embedkit import exporters

    for exporter in exporters.BUILT_IN:
        register(exporter)


@hookimpl
def register_query_builders(register: Callable[[str, QueryBuilder], None]) -> None:
    """Register the built-in query builders; each is imported, and numpy with it, when it is first called."""
    for name in ("contrastive", "infer", "mean", "ridge", "spectral"):
        register(name, _lazy(name))


def _lazy(name: str) -> QueryBuilder:
    def build(*args: Any) -> Any:
        from embedkit import queries

        return getattr(queries, name)(*args)

    return build
