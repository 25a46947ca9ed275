"""Plugins that break the contract in one way each."""

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import embedkit


class Shouting(embedkit.Source):
    """Its name is none."""

    name = "SHOUTING!"

    def sentences(self):
        return []


class Silent(embedkit.Source):
    """It gives no sentences."""

    name = "silent"


class Complex(embedkit.Source):
    """Its option is of a type that no flag has."""

    name = "complex"

    @dataclass(frozen=True)
    class Options:
        angle: complex = 1j

    def sentences(self):
        return []


def _plugin(hook, *things):
    def implementation(register):
        register(*things)

    return SimpleNamespace(**{hook: embedkit.hookimpl(implementation, specname=hook)})


def _exit(register):
    sys.exit("goodbye")


no_hooks = SimpleNamespace()
no_source = _plugin("register_sources", 42)
bad_name = _plugin("register_sources", Shouting)
no_sentences = _plugin("register_sources", Silent)
bad_options = _plugin("register_sources", Complex)
bad_builder = _plugin("register_query_builders", "builder", "no function")
exits = SimpleNamespace(register_sources=embedkit.hookimpl(_exit, specname="register_sources"))
