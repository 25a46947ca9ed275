"""The plugins as a command sees them: loaded when first asked for, their problems told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from embedkit.cli.failures import say

if TYPE_CHECKING:
    from embedkit.plugins import Plugins


class Registry:
    """Loads the plugins when a command first needs them.

    Parameters
    ----------
    strict
        Whether a plugin's problem ends the command (`--strict-plugins`).
    quiet
        Whether problems are kept to itself, as while a shell completes a command.
    """

    def __init__(self, strict: bool = False, quiet: bool = False) -> None:
        self._strict = strict
        self._told = quiet

    def plugins(self, quiet: bool = False) -> Plugins:
        """Return the plugins, after one line on standard error for each problem, if not `quiet`.

        Raises
        ------
        PluginError
            If there is a problem and `--strict-plugins` was given.
        """
        from embedkit.plugins import load_plugins

        plugins = load_plugins()
        if self._strict:
            plugins.check()
        if not (quiet or self._told):
            self._told = True
            for problem in plugins.problems:
                say(str(problem))
        return plugins


def registry(ctx: click.Context) -> Registry:
    """Return the registry of the running command; one of its own where a command is called by itself."""
    if ctx.resilient_parsing:
        return Registry(quiet=True)
    return ctx.ensure_object(Registry)
