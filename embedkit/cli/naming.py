"""Names that people type and names that they are shown."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from embedkit.errors import did_you_mean

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings


class NamesCommand(click.Command):
    """A command whose arguments may begin with a hyphen; its refusal of one says how."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and explain what to do with a name that looks like a flag."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flag = next((arg for arg in given if arg.startswith(error.option_name)), error.option_name)
            known = [name for param in self.get_params(ctx) for name in param.opts if name.startswith("-")]
            near = did_you_mean(flag, known)
            how = f" A name that begins with a hyphen goes behind --: {ctx.command_path} -- {shlex.quote(flag)}"
            raise click.UsageError(f"there is no flag {flag}.{near}{how}", ctx) from error


def unzip(pairs: Sequence[tuple[str, float]]) -> tuple[list[str], list[float]]:
    """Return the names and the scores of a list of both."""
    return [name for name, _ in pairs], [score for _, score in pairs]


def labels_for(embeddings: Embeddings, tokens: Sequence[str]) -> list[str] | None:
    """Return the name to show for each token, empty where it has none; None where the model knows no names."""
    if embeddings.labels is None:
        return None
    return embeddings.labels[embeddings.tokens.find_all(tokens)]


def namer(embeddings: Embeddings) -> Callable[[str], str]:
    """Return a function from a token to the name to show for it, empty where it has none."""
    labels, tokens = embeddings.labels, embeddings.tokens
    return lambda token: "" if labels is None else labels[tokens.find(token)]
