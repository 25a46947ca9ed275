"""Every failure becomes one line for a person and an exit code; a traceback shows only when it is asked for."""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

from embedkit.cli.interrupts import was_heard
from embedkit.errors import EmbedkitError, OptionError

TRACEBACK = "EMBEDKIT_TRACEBACK"
CANNOT, WRONG_CALL, INTERRUPTED = 1, 2, 130


class ClosedPipe(Exception):  # noqa: N818 - no error: the reader has seen enough
    """Standard output was closed by who reads it."""


class Interrupted(Exception):  # noqa: N818 - no error: the user's wish
    """Ctrl-C, with what became of the work as its text."""


def say(message: str) -> None:
    """Tell the user one line on standard error; control characters from data are made visible."""
    from embedkit.cli.text import visible

    click.echo(f"embedkit: {visible(message)}", err=True)


def told(error: Exception) -> int:
    """Tell the user about `error`, let go what it holds on to, and return the exit code."""
    if isinstance(error, ClosedPipe):
        _discard_output()
        _let_go(error)
        return 0
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error, file=sys.stderr)
    message, code = explain(error)
    say(message)
    _let_go(error)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _discard_output()
    return code


def explain(error: Exception) -> tuple[str, int]:
    """Return what to say about `error`, in one line, and the exit code."""
    if isinstance(error, click.Abort) and isinstance(error.__cause__, EOFError):  # so click passes it on
        return "a file ended too early; is it empty or cut short?", CANNOT
    if isinstance(error, Interrupted | click.Abort):
        return str(error) or "interrupted.", INTERRUPTED
    if isinstance(error, click.ClickException):
        return _explain_call(error), error.exit_code
    if isinstance(error, OptionError):
        return f"--{error.option.replace('_', '-')} {error.problem}", WRONG_CALL
    if isinstance(error, EmbedkitError):
        return _one_line(error), CANNOT
    if _is_of_memory(error):
        what = f": {_one_line(error).rstrip('.')}" if str(error) else ""
        return (
            f"not enough memory{what}. Less input, a smaller --vector-size or a larger --min-count needs less.",
            CANNOT,
        )
    if isinstance(error, OSError):
        return _explain_system(error), CANNOT
    if was_heard():
        return "interrupted.", INTERRUPTED
    return (
        f"this is a bug in embedkit, please report it: {type(error).__name__}: {_one_line(error)}"
        f" (set {TRACEBACK}=1 to see where)",
        CANNOT,
    )


def _is_of_memory(error: Exception) -> bool:
    """Tell whether memory ran out, in whose words ever: Python's, NumPy's, Arrow's; DuckDB's, LLVM's, a thread's."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return type(error).__name__ == "OutOfMemoryException" or (
        isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _explain_call(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    if message.startswith("Got unexpected extra argument") and ".safetensors" in message:
        message += ". A model is named with --model"
    context = getattr(error, "ctx", None)
    if context is None or "--help" in message:
        return message
    return f"{message.rstrip('.')}. See {context.command_path} --help." if message[-1] != "?" else message


def _explain_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}the disk is full; free some space or choose another place with --output or --work-dir."
    return f"{where}{(error.strerror or _one_line(error) or type(error).__name__).rstrip('.')}."


def _let_go(error: BaseException | None) -> None:
    """Close what was left half-way: the interpreter waits for the threads of a reader that its end has not reached."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _discard_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush does not complain."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
