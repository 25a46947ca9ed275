"""From an Options dataclass to checked values and to a plain description of its flags.

A field is an option: its name, annotation and default are the flag's. `option()` adds help and bounds:

    @dataclass(frozen=True)
    class Options:
        vector_size: int = option(100, "Numbers in a vector.", minimum=1)
        window: int | Literal["sentence"] = option(5, "Contexts on each side.", minimum=1)
"""

import math
import operator
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, Literal

from embedkit.errors import OptionError, did_you_mean

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_KINDS: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Between:
    """A range in which `embedkit tune` looks for an option's best value, both ends included.

    Attributes
    ----------
    low, high
        The ends; of an option that takes whole numbers alone, whole numbers are tried.
    log
        Whether magnitudes are tried evenly instead of numbers, as suits learning rates and sizes; low is above 0 then.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise TypeError(f"a search range needs low < high; got {self.low!r} and {self.high!r}")
        if self.log and self.low <= 0:
            raise TypeError(f"a search range by magnitude begins above 0; got {self.low!r}")


Search = Between | tuple[Any, ...]
"""Where to look for an option's best value: in a range, or among choices."""


def option(
    default: Any = MISSING,
    help: str = "",  # noqa: A002 - the word click and argparse use
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    metavar: str | None = None,
    search: Search | None = None,
    secret: bool = False,
) -> Any:
    """Return a dataclass field that is an option with help and bounds (`above`, `below` are exclusive).

    `search` is where `embedkit tune` looks for its best value: `Between(16, 512, log=True)`, or a tuple of choices;
    without it the option is left at its default. The value of a `secret` option, such as a URL with a password, is
    shown nowhere: not in messages, in printed commands, or in what Python prints of the options.
    """
    meta = {"help": help, "minimum": minimum, "maximum": maximum, "above": above, "below": below, "metavar": metavar}
    return field(default=default, repr=not secret, metadata={**meta, "search": search, "secret": secret})


@dataclass(frozen=True)
class OptionSpec:
    """One option, described without any reference to the command line.

    Attributes
    ----------
    kinds
        The types a value may have: some of int, float, bool, str; `object` takes anything.
    choices
        Words that are values too, or (without kinds) the only values.
    multiple
        Whether it takes a tuple of values.
    optional
        Whether None is a value.
    default
        `dataclasses.MISSING` where a value is required.
    search
        Where to look for its best value, or None.
    secret
        Whether its value is shown nowhere.
    """

    name: str
    kinds: tuple[type, ...]
    choices: tuple[str, ...]
    multiple: bool
    optional: bool
    default: Any
    help: str
    metavar: str | None
    minimum: float | None
    maximum: float | None
    above: float | None
    below: float | None
    search: Search | None = None
    secret: bool = False

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is MISSING

    @property
    def flag(self) -> str:
        """The option's name on a command line."""
        return "--" + self.name.replace("_", "-")

    def expects(self) -> str:
        """Return what a value must be, in words: `a whole number of at least 1, or 'sentence'`."""
        kinds = [_KINDS[k] for k in self.kinds if k in _KINDS]
        text = " or ".join(kinds)
        bounds = [
            f"{words} {limit:,}"
            for words, limit in (
                ("of at least", self.minimum),
                ("above", self.above),
                ("of at most", self.maximum),
                ("below", self.below),
            )
            if limit is not None
        ]
        if bounds:
            text += " " + " and ".join(bounds)
        words = ", ".join(repr(c) for c in self.choices)
        if not words:
            return text
        return f"{text}, or {words}" if text else f"one of {words}"

    def check(self, value: Any) -> Any:
        """Return `value` as the option's type.

        Raises
        ------
        OptionError
            If the value is of another type, out of bounds or not a number (NaN).
        """
        if value is None and self.optional:
            return None
        if self.kinds == (object,):
            return value
        if self.multiple:
            values = (value,) if isinstance(value, str | os.PathLike) or not hasattr(value, "__iter__") else value
            return tuple(self._check_one(v) for v in values)
        return self._check_one(value)

    def _check_one(self, value: Any) -> Any:
        if isinstance(value, str) and value in self.choices:
            return value
        for kind in self.kinds:
            converted = _convert(kind, value)
            if converted is not None and self._within(converted):
                return converted
        near = did_you_mean(value, self.choices) if isinstance(value, str) else ""
        got = f"something else ({type(value).__name__})" if self.secret else repr(value)
        raise OptionError(self.name, f"must be {self.expects()}; got {got}.{near}")

    def _within(self, value: Any) -> bool:
        if isinstance(value, bool | str):
            return True
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )


def _convert(kind: type, value: Any) -> Any:
    """Return `value` as a `kind`, or None where it is none."""
    try:
        if kind is bool:
            if isinstance(value, str):
                return True if value.lower() in _TRUE else False if value.lower() in _FALSE else None
            return bool(value) if type(value).__name__ in ("bool", "bool_") else None
        if kind is str:
            return os.fspath(value) if isinstance(value, str | os.PathLike) else None
        if isinstance(value, bool):
            return None
        if kind is int:
            return int(value) if isinstance(value, str) else operator.index(value)
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _annotation(annotation: Any) -> tuple[tuple[type, ...], tuple[str, ...], bool, bool]:
    """Take an annotation apart into kinds, choices, multiple and optional."""
    kinds: list[type] = []
    choices: list[str] = []
    multiple = optional = False
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    for part in typing.get_args(annotation) if union else (annotation,):
        origin = typing.get_origin(part)
        if part is type(None):
            optional = True
        elif origin is Literal:
            choices.extend(map(str, typing.get_args(part)))
        elif origin in (tuple, list):
            multiple = True
            inner, words, _, _ = _annotation(typing.get_args(part)[0])
            kinds.extend(inner)
            choices.extend(words)
        elif part in (object, Any):
            return (object,), (), False, True
        elif part in _KINDS:
            kinds.append(part)
        elif isinstance(part, type) and issubclass(part, os.PathLike):
            kinds.append(str)
        else:
            raise TypeError(f"{part!r} is no type of option; use int, float, bool, str, Literal or a tuple of them")
    return tuple(kinds), tuple(choices), multiple, optional


def describe(options: type) -> tuple[OptionSpec, ...]:
    """Describe the options of a dataclass, in the order in which they are declared.

    Raises
    ------
    TypeError
        If `options` is no dataclass, a field's annotation is no type of option, or a search range holds no values
        of its option.
    """
    if not (isinstance(options, type) and is_dataclass(options)):
        raise TypeError(f"{options!r} is no dataclass")
    hints = typing.get_type_hints(options)
    return tuple(_describe_field(f, hints[f.name]) for f in fields(options) if f.init)


def _describe_field(f: Field, hint: Any) -> OptionSpec:
    kinds, choices, multiple, optional = _annotation(hint)
    default = f.default
    if default is MISSING and f.default_factory is not MISSING:
        default = f.default_factory()
    meta: dict[str, Any] = {
        name: f.metadata.get(name) for name in ("metavar", "minimum", "maximum", "above", "below", "search")
    }
    meta |= {"help": f.metadata.get("help", ""), "secret": f.metadata.get("secret", False)}
    spec = OptionSpec(f.name, kinds, choices, multiple, optional, default, **meta)
    _check_search(spec)
    return spec


def _check_search(spec: OptionSpec) -> None:
    """Refuse a search range whose ends or choices are no values of the option."""
    search = spec.search
    if search is None:
        return
    if not isinstance(search, Between | tuple) or search == ():
        raise TypeError(f"{spec.name}: search is a Between(low, high) or a tuple of choices, not {search!r}")
    try:
        for value in (search.low, search.high) if isinstance(search, Between) else search:
            spec.check(value)
    except OptionError as error:
        raise TypeError(f"the search of {error}") from error


def build(options: type, values: Mapping[str, Any]) -> Any:
    """Make an instance of an Options dataclass from `values`, each checked.

    Raises
    ------
    OptionError
        For a name that is no option (with the nearest one), a missing value, or a value out of bounds.
    """
    specs = {spec.name: spec for spec in describe(options)}
    for name in values:
        if name not in specs:
            near = did_you_mean(name, specs) or f" It has: {', '.join(specs) or 'none'}."
            raise OptionError(name, f"is no option here.{near}")
    checked = {name: specs[name].check(value) for name, value in values.items()}
    for spec in specs.values():
        if spec.required and spec.name not in checked:
            raise OptionError(spec.name, f"is missing: give {spec.expects() or 'a value'}.")
    return options(**checked)
