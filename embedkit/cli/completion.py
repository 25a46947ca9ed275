"""`embedkit completion`: the script that completes commands, flags and their values in a shell; and those values."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from embedkit.cli.model import DEFAULT_MODEL, ENVIRONMENT, open_model
from embedkit.cli.registry import registry
from embedkit.errors import EmbedkitError

Completer = Callable[[click.Context, click.Parameter, str], list[str]]

_SHOWN = 50

_HOW = {
    "bash": 'add to ~/.bashrc:  eval "$(embedkit completion bash)"',
    "zsh": 'add to ~/.zshrc, below compinit:  eval "$(embedkit completion zsh)"',
    "fish": "run once:  embedkit completion fish > ~/.config/fish/completions/embedkit.fish",
}


def sources(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of sources that begin so."""
    return [name for name in sorted(registry(ctx).plugins().sources) if name.startswith(incomplete)]


def trainers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of trainers that begin so."""
    return [name for name in sorted(registry(ctx).plugins().trainers) if name.startswith(incomplete)]


def exporters(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of export formats that begin so."""
    return [name for name in sorted(registry(ctx).plugins().exporters) if name.startswith(incomplete)]


def names_of(kind: Literal["tokens", "keys"]) -> Completer:
    """Return a completer for names that the model holds; for keys where the command has `--keys` and it is given."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        path = ctx.params.get("model") or os.environ.get(ENVIRONMENT) or DEFAULT_MODEL
        try:
            embeddings = open_model(Path(path))
        except EmbedkitError:
            return []
        keys = kind == "keys" or ctx.params.get("keys") is True
        names = embeddings.keys if keys else embeddings.tokens
        return [] if names is None else names.starting_with(incomplete, _SHOWN)

    return complete


@click.command(epilog="To install: for bash and zsh, " + _HOW["bash"] + " (zsh: ~/.zshrc); for fish, " + _HOW["fish"])
@click.argument("shell", type=click.Choice(list(_HOW)))
def completion(shell: str) -> None:
    """Print the script that completes embedkit in a SHELL: bash, zsh or fish."""
    from click.shell_completion import get_completion_class

    from embedkit.cli.app import app

    script_of = get_completion_class(shell)
    assert script_of is not None
    script = script_of(app, {}, "embedkit", "_EMBEDKIT_COMPLETE")
    click.echo(f"# To use it, {_HOW[shell]}")
    click.echo(script.source_template % script.source_vars())
