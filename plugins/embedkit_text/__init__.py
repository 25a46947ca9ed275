"""The source `text`: sentences of words from files, folders, globs, standard input and open files."""

from collections.abc import Callable

import embedkit
from embedkit_text.source import Text as Text


@embedkit.hookimpl
def register_sources(register: Callable[[type[embedkit.Source]], None]) -> None:
    """Register the text source."""
    register(Text)
