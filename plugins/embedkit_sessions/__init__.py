"""Source `sessions`: interactions of users with items, from tables and from lines."""

from collections.abc import Callable

import embedkit
from embedkit_sessions.source import Options as Options
from embedkit_sessions.source import Sessions as Sessions


@embedkit.hookimpl
def register_sources(register: Callable[[type[embedkit.Source]], None]) -> None:
    """Register the source `sessions`."""
    register(Sessions)
