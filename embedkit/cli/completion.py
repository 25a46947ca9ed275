"""`embedkit completion`: the script that completes commands and flags in a shell."""

from __future__ import annotations

import click

_HOW = {
    "bash": 'add to ~/.bashrc:  eval "$(embedkit completion bash)"',
    "zsh": 'add to ~/.zshrc, below compinit:  eval "$(embedkit completion zsh)"',
    "fish": "run once:  embedkit completion fish > ~/.config/fish/completions/embedkit.fish",
}


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
