"""The command `embedkit` itself: its global flags, and its subcommands, each imported when it is called."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from keyword import iskeyword
from typing import Any, NoReturn

import click

from embedkit.cli.failures import ClosedPipe, Interrupted, told
from embedkit.cli.registry import Registry
from embedkit.errors import did_you_mean

_COMMANDS = {
    "train": ("train", "Learn vectors from a source of sentences."),
    "recommend": ("recommend", "Recommend tokens to keys, or to anyone with a history."),
    "similar": ("similar", "Show the tokens, or the keys, most similar to some."),
    "similarity": ("similar", "Say how similar two tokens are."),
    "analogy": ("similar", "Answer: A is to B as C is to what?"),
    "update": ("update", "Let a trained model go on with new sentences."),
    "evaluate": ("evaluate", "Measure recommendations, or answer tests of words."),
    "tune": ("tune", "Search for the trainer and the options that serve a source best."),
    "import": ("importing", "Make a model of vectors that were made elsewhere."),
    "export": ("export", "Write vectors in other programs' formats, or to a vector store."),
    "extend": ("extend", "Give vectors to items without interactions, by what they are about."),
    "serve": ("serve", "Serve a model over HTTP: an API for programs, a page for people."),
    "map": ("map", "Draw tokens on a map: a picture for a paper, or a page to walk about in."),
    "plot": ("plot", "Draw the loss of a training, or what evaluate found."),
    "index": ("index", "Make an index, so that large catalogues answer many times as quickly."),
    "info": ("info", "Show what a model is and how it was made."),
    "sources": ("sources", "List the sources of sentences, or preview one."),
    "trainers": ("catalog", "List the ways of learning vectors."),
    "plugins": ("catalog", "List the plugins and what is wrong with them."),
    "completion": ("completion", "Print the script that completes embedkit in a shell."),
}


class App(click.Group):
    """The group of all commands: imports them lazily and turns every failure into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order in which people meet them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"embedkit.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command that is called, or refuse it with the nearest name."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = did_you_mean(args[0], _COMMANDS) or f" The commands are: {', '.join(_COMMANDS)}."
            raise click.UsageError(f"there is no command {args[0]!r}.{near}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the global flags, and show help or version where they ask for it."""
        with _errors_of_our_own():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _errors_of_our_own():
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run the command line and exit: 0 done, 1 could not do it, 2 wrong call, 130 interrupted."""
        extra |= {"prog_name": "embedkit", "standalone_mode": False}
        _let_any_character_through()
        code: Any = 0
        try:
            code = super().main(_global_flags_first(sys.argv[1:] if args is None else list(args)), **extra)
        except Exception as error:
            code = told(error)
        sys.exit(code if isinstance(code, int) else 0)


@contextlib.contextmanager
def _errors_of_our_own() -> Iterator[None]:
    """Turn a closed pipe and Ctrl-C into errors that click does not handle in its own way."""
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedPipe from error
    except KeyboardInterrupt as error:
        raise Interrupted from error


def _global_flags_first(args: list[str]) -> list[str]:
    """Let `--strict-plugins` stand behind the command too."""
    flag = "--strict-plugins"
    if flag not in args or "--" in args[: args.index(flag)]:
        return args
    return [flag, *(arg for arg in args if arg != flag)]


def _let_any_character_through() -> None:
    """Write UTF-8 where a program reads it, and escape what a terminal cannot show; a closed stream swallows all."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open to the end
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import embedkit

        click.echo(f"embedkit {embedkit.__version__}")
        ctx.exit()


_HELP = """Dense vectors from co-occurrence: words, items, users; recommendations and similarities from them.

\b
Begin with:
  embedkit train --source sessions
  embedkit recommend user42
"""


@click.command(
    cls=App, help=_HELP, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.option(
    "--strict-plugins", is_flag=True, help="Stop if any plugin has a problem, instead of going on without it."
)
@click.pass_context
def app(ctx: click.Context, strict_plugins: bool) -> None:
    """Take the global flags; without a command, show the help."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit()
    ctx.obj = Registry(strict=strict_plugins)
    if strict_plugins and not ctx.resilient_parsing:
        ctx.obj.plugins()
