"""From descriptions of options (`embedkit.options`) to flags of the command line, and from flags back to values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from embedkit.options import OptionSpec

_PATHS = ("PATH", "FILE", "FOLDER")
_METAVARS: dict[type, str] = {int: "INT", float: "NUMBER", str: "TEXT"}


class WholeNumber(click.IntRange):
    """A whole number within bounds, called so when it is refused."""

    name = "whole number"


class SpecFlag(click.Option):
    """A flag made of an option's description. It hands on text as it is: `embedkit.options` checks it."""

    def __init__(self, spec: OptionSpec) -> None:
        self.spec = spec
        settings: dict[str, Any] = {"default": None, "help": spec.help, "required": False}
        if _is_switch(spec):
            declaration = f"{spec.flag}/--no-{spec.flag[2:]}"
        else:
            declaration = spec.flag
            settings |= {"type": str, "metavar": metavar(spec), "multiple": takes_several(spec)}
        super().__init__([declaration, spec.name], **settings)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the flag with its type, and its help with the default in force."""
        text = " / ".join(filter(None, (", ".join(self.opts), ", ".join(self.secondary_opts))))
        if not self.is_flag:
            text += f" {self.metavar}"
        return text, " ".join(filter(None, (self.spec.help, _note(self.spec))))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the choices that begin so; of a flag that takes paths, let the shell complete files."""
        if self.spec.metavar in _PATHS:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(choice) for choice in self.spec.choices if choice.startswith(incomplete)]


def takes_several(spec: OptionSpec) -> bool:
    """Return whether a flag takes several values; `input` does where it takes anything at all."""
    return spec.multiple or (spec.name == "input" and spec.kinds == (object,))


def _is_switch(spec: OptionSpec) -> bool:
    return spec.kinds == (bool,) and not spec.choices and not spec.multiple


def metavar(spec: OptionSpec) -> str:
    """Return what the help puts for a value: `INT|sentence`, `[lines|table]`, `FILE...`."""
    words = [spec.metavar] if spec.metavar else [_METAVARS[k] for k in spec.kinds if k in _METAVARS]
    if bool in spec.kinds and not spec.metavar:
        words.append("true|false")
    only_choices = not words
    words.extend(spec.choices)
    text = "|".join(words) or "VALUE"
    if only_choices and spec.choices:
        text = f"[{text}]"
    return text + ("..." if takes_several(spec) else "")


def _note(spec: OptionSpec) -> str:
    notes = []
    if spec.required:
        notes.append("required")
    elif spec.default is not None and spec.default != ():
        notes.append(f"default: {_shown(spec)}")
    for words, limit in (
        ("at least", spec.minimum),
        ("above", spec.above),
        ("at most", spec.maximum),
        ("below", spec.below),
    ):
        if limit is not None:
            notes.append(f"{words} {limit}")
    return f"[{'; '.join(notes)}]" if notes else ""


def _shown(spec: OptionSpec) -> str:
    default = spec.default
    if isinstance(default, bool) and _is_switch(spec):
        return spec.flag[2:] if default else f"no-{spec.flag[2:]}"
    if isinstance(default, tuple | list):
        return " ".join(map(str, default))
    if isinstance(default, str) and (not default or default.isspace() or not default.isprintable()):
        return repr(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def given_values(flags: Iterable[SpecFlag], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that were given on the command line, by the names of their options."""
    values = {flag.spec.name: params.get(flag.spec.name) for flag in flags}
    return {name: value for name, value in values.items() if value is not None and value != ()}


def look_ahead(args: Sequence[str], flag: str) -> str | None:
    """Return the value that `flag` has in `args`, before they are parsed; the last one where it stands twice."""
    value = None
    for position, arg in enumerate(args):
        if arg == "--":
            break
        if arg == flag and position + 1 < len(args):
            value = args[position + 1]
        elif arg.startswith(flag + "="):
            value = arg.partition("=")[2]
    return value


def repeat_flags(args: Sequence[str], flags: Iterable[SpecFlag]) -> list[str]:
    """Write `--input a b c`, as a shell's glob makes it, as `--input a --input b --input c`.

    Only for a command without arguments of its own: whatever follows such a flag, up to the next, is its value.
    """
    several = {name for flag in flags if flag.multiple for name in flag.opts}
    result: list[str] = []
    current, first = None, False
    for arg in args:
        if arg.startswith("-") and arg != "-":
            name = arg.partition("=")[0]
            current, first = (name if name in several else None), arg == name
        elif current is not None:
            if not first:
                result.append(current)
            first = False
        result.append(arg)
    return result
