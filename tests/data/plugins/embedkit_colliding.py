"""Plugins that take what is taken: a name, an option of another, an option of the command line."""

from dataclasses import dataclass
from types import SimpleNamespace

import embedkit


class Text(embedkit.Source):
    """It calls itself like the source of text."""

    name = "text"

    def sentences(self):
        return []


class Alpha(embedkit.Source):
    """Its option is one of a trainer's."""

    name = "alpha"

    @dataclass(frozen=True)
    class Options:
        vector_size: int = 3
        seed: int = 1

    def sentences(self):
        return []


class Output(embedkit.Source):
    """Its option is the command line's."""

    name = "output"

    @dataclass(frozen=True)
    class Options:
        output: str = "x"

    def sentences(self):
        return []


def _plugin(source):
    @embedkit.hookimpl
    def register_sources(register):
        register(source)

    return SimpleNamespace(register_sources=register_sources)


names, options, reserved = _plugin(Text), _plugin(Alpha), _plugin(Output)
