"""The flags that keep tokens out of the answers, or let nothing else in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import IO, Any, TypedDict

import click

from embedkit.cli.completion import names_of
from embedkit.errors import EmbedkitError


class Filters(TypedDict):
    """Arguments of the methods of `Embeddings` that answer with tokens."""

    exclude: list[str]
    only: list[str] | None


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags `--exclude` and `--only`, and those that take them from files."""
    tokens = names_of("tokens")
    for name, help_text in (
        ("only", "Answer with nothing but this token"),
        ("exclude", "Never answer with this token"),
    ):
        from_file = click.option(
            f"--{name}-from", type=click.File("rb"), metavar="FILE", help="The same, from a file: one a line."
        )
        one = click.option(
            f"--{name}", multiple=True, metavar="TOKEN", shell_complete=tokens, help=f"{help_text}; may be repeated."
        )
        command = one(from_file(command))
    return command


def filters(
    exclude: tuple[str, ...], exclude_from: IO[bytes] | None, only: tuple[str, ...], only_from: IO[bytes] | None
) -> Filters:
    """Return what the flags of `filter_options` ask for."""
    chosen = [*only, *names_in(only_from)] if only or only_from else None
    return {"exclude": [*exclude, *names_in(exclude_from)], "only": chosen}


def names_in(file: IO[bytes] | None) -> list[str]:
    """Return the lines of a file without their ends, empty ones left out.

    Raises
    ------
    EmbedkitError
        If the file is no UTF-8.
    """
    if file is None:
        return []
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = "standard input" if file is sys.stdin.buffer else file.name
        raise EmbedkitError(f"{where} is not UTF-8 text: {error.reason} at byte {error.start + 1}.") from error
    return [name for line in text.split("\n") if (name := line.rstrip("\r"))]
