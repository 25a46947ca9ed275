"""Source `sql`: interactions of users with items, from any database that SQLAlchemy knows."""

from collections.abc import Callable

import embedkit
from embedkit_sql.source import Options as Options
from embedkit_sql.source import Sql as Sql


@embedkit.hookimpl
def register_sources(register: Callable[[type[embedkit.Source]], None]) -> None:
    """Register the source `sql`."""
    register(Sql)
