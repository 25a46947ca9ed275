"""Pages of the command line's reference, made from the commands themselves: what `--help` writes, as Markdown."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import click

from embedkit.cli.app import app
from embedkit.plugins import load_plugins


class MarkdownFormatter(click.HelpFormatter):
    """Takes down as Markdown what a command writes into its help.

    Parameters
    ----------
    level
        The level of the headings of its sections.
    only
        The beginning of the sections to keep; empty keeps all, and the text around them.
    """

    def __init__(self, level: int = 2, only: str = "") -> None:
        super().__init__(width=10_000, max_width=10_000)
        self.level = level
        self.only = only
        self.keeps = not only

    def write(self, string: str) -> None:
        """Write Markdown, unless it stands in a section that is left out."""
        if self.keeps:
            super().write(string)

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how the command is called."""
        self.write(f"```\n{prog} {args}\n```\n\n")

    def write_heading(self, heading: str) -> None:
        """Write a section's heading."""
        title, _, note = heading.partition(" (")
        self.write(f"{'#' * self.level} {title}\n\n" + (f"`{note.rstrip(')')}`\n\n" if note else ""))

    @contextlib.contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Write what is written within under a heading."""
        self.keeps = name.startswith(self.only)
        self.write_heading(name)
        yield
        self.write("\n")
        self.keeps = not self.only

    def write_paragraph(self) -> None:
        """End a paragraph."""
        self.write("\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs; one that begins with a backspace, as click has it, keeps its lines."""
        for paragraph in text.split("\n\n"):
            kept, lines = paragraph.startswith("\b"), paragraph.lstrip("\b\n").splitlines()
            self.write("```\n" + "\n".join(lines) + "\n```\n\n" if kept else _escaped(" ".join(lines)) + "\n\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], *args: Any, **more: Any) -> None:
        """Write flags and what they mean, or names and what they are, as definitions."""
        for name, meaning in rows:
            self.write(f"`` {name} ``\n:   {_escaped(meaning)}\n\n")


def _escaped(text: str) -> str:
    """Return text so that Markdown shows it as it is."""
    escaped = re.sub(r"([\\`*_{}\[\]#])", r"\\\1", text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")


def pages() -> dict[str, str]:
    """Return the pages by their paths: an overview, then one for each command."""
    root = click.Context(app, info_name="embedkit", **app.context_settings)
    made = {"commands/index.md": _overview(root)}
    for name in app.list_commands(root):
        command = app.get_command(root, name)
        assert command is not None
        made[page_of(name)] = _page(root, name, command)
    return made


def page_of(name: str) -> str:
    """Return the path of a command's page."""
    return f"commands/embedkit-{name}.md"


def _overview(root: click.Context) -> str:
    lines = [
        "# Commands\n",
        "These pages are what the commands say of themselves, taken down when the site is built. "
        "`embedkit COMMAND --help` shows the same.\n",
        "| command | |\n|---|---|",
    ]
    for name in app.list_commands(root):
        command = app.get_command(root, name)
        assert command is not None
        lines.append(f"| [`{name}`](embedkit-{name}.md) | {_escaped(command.get_short_help_str(200))} |")
    return "\n".join(lines) + "\n"


def _page(root: click.Context, name: str, command: click.Command) -> str:
    text = f"# embedkit {name}\n\n" + _help(root, name, command, [])
    if isinstance(command, click.Group):
        context = click.Context(command, root, name)
        for inner in command.list_commands(context):
            subcommand = command.get_command(context, inner)
            assert subcommand is not None
            text += f"## {inner}\n\n" + _help(context, inner, subcommand, [], level=3)
    return text + "".join(_chosen(root, name, command))


def _help(
    parent: click.Context, name: str, command: click.Command, args: list[str], level: int = 2, only: str = ""
) -> str:
    """Return what a command's help says when it is called with `args`."""
    context = command.make_context(name, [*args], parent, resilient_parsing=True)
    formatter = MarkdownFormatter(level, only)
    command.format_help(context, formatter)
    return formatter.getvalue()


def _chosen(root: click.Context, name: str, command: click.Command) -> Iterator[str]:
    """Yield sections of the flags that come with a source, a trainer or a format, for a command that has such."""
    plugins = load_plugins()
    if name == "train":
        for source, made in sorted(plugins.sources.items()):
            yield _help(root, name, command, ["--source", source], only="Options of source")
            yield _favourites(made.defaults)
        for trainer in sorted(plugins.trainers):
            yield _help(root, name, command, ["--trainer", trainer], only="Options of trainer")
    if name == "export":
        for form in sorted(plugins.exporters):
            yield _help(root, name, command, ["--to", form], only="Options of")


def _favourites(defaults: Any) -> str:
    """Return a sentence on the training options that a source sets."""
    if not defaults:
        return ""
    told = ", ".join(f"`--{name.replace('_', '-')} {value}`" for name, value in defaults.items())
    return f"It asks for {told}, unless you say otherwise; `TRAINER.` stands before what is meant for that trainer.\n\n"
