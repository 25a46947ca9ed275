"""`embedkit trainers` and `embedkit plugins`: what is installed, who brought it, what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from embedkit.cli.registry import registry
from embedkit.cli.table import terminal_width, wrapped
from embedkit.cli.text import visible


@click.command()
@click.pass_context
def trainers(ctx: click.Context) -> None:
    """List the ways of learning vectors, and who provides them."""
    plugins = registry(ctx).plugins()
    echo_registered("trainer", plugins.trainers, plugins.providers)


def echo_registered(kind: str, registered: Mapping[str, type[Any]], providers: Mapping[tuple[str, str], str]) -> None:
    """Print name, provider and summary of what plugins registered."""
    rows = [(name, providers[kind, name], registered[name].summary) for name in sorted(registered)]
    echo_table(("name", "from", "summary"), rows, f"no {kind} is installed")


def echo_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], nothing: str) -> None:
    """Print rows under a header, or say on standard error that there are none."""
    if not rows:
        click.echo(f"embedkit: {nothing}.", err=True)
        return
    for line in wrapped([header, *rows], terminal_width()):
        click.echo(line)


@click.command()
@click.pass_context
def plugins(ctx: click.Context) -> None:
    """List the plugins: their distribution, version and hooks, and what is wrong with them."""
    found = registry(ctx).plugins(quiet=True)
    rows = []
    for plugin in found.found:
        broken = any((p.plugin, p.distribution) == (plugin.name, plugin.distribution) for p in found.problems)
        hooks = ", ".join(hook.removeprefix("register_") for hook in plugin.hooks) or "-"
        version = f"{plugin.distribution} {plugin.version}".rstrip()
        rows.append((plugin.name, "problem" if broken else "ok", version, hooks))
    echo_table(("name", "status", "from", "registers"), rows, "no plugin is installed")
    for problem in found.problems:
        click.echo(visible(str(problem)))
