"""The flags that say what is held out to watch training by: those of `train --early-stopping`, and of `tune`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from embedkit.evaluation import EarlyStopping, Validation

SPLITS = ("random", "leave-one-out", "by-time", "next-item")
_LAYOUTS = ("lines", "prefix-target")

Command = Callable[..., Any]


class SectionFlag(click.Option):
    """A flag that the help shows under a heading of its own."""

    def __init__(self, *args: Any, section: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.section = section


def validation_flags(section: str) -> Callable[[Command], Command]:
    """Give a command the flags of a validation, shown in that section of its help."""

    def decorate(command: Command) -> Command:
        flags: list[tuple[str, dict[str, Any]]] = [
            (
                "--validation",
                {
                    "metavar": f"{'|'.join(SPLITS)}|FILE",
                    "help": "What is held out of the input: a split, or a file of its own. Where not given: each "
                    "user's last interaction, without times a tenth of each user's.",
                },
            ),
            ("--validation-share", {"type": float, "metavar": "NUMBER", "help": "How much of it.  [default: 0.1]"}),
            (
                "--validation-layout",
                {
                    "type": click.Choice(_LAYOUTS),
                    "help": "Lines of a validation FILE: user item item ... (the default), or item item ...<TAB>item.",
                },
            ),
            ("--include-seen", {"is_flag": True, "help": "Recommend items of the user's history (or prefix) too."}),
        ]
        for name, settings in reversed(flags):
            command = click.option(name, cls=SectionFlag, section=section, **settings)(command)
        return command

    return decorate


def stopping_flags(command: Command) -> Command:
    """Give a command the flags of early stopping."""
    section = "Early stopping"
    command = click.option(
        "--retrain", is_flag=True, cls=SectionFlag, section=section,
        help="Then learn again from everything, for the best number of epochs.",
    )(command)  # fmt: skip
    command = validation_flags(section)(command)
    command = click.option(
        "--patience", type=int, metavar="INT", cls=SectionFlag, section=section,
        help="Stop after so many epochs without a gain.  [default: 5]",
    )(command)  # fmt: skip
    return click.option(
        "--early-stopping", metavar="METRIC@K|loss|words", cls=SectionFlag, section=section,
        help="Look after each epoch how well what is held out is recommended, such as ndcg@20, and keep the best "
        "epoch's vectors. words: a word test, with --validation FILE.",
    )(command)  # fmt: skip


def validation_of(params: Mapping[str, Any], seed: int | None) -> Validation:
    """Make a validation of the parsed flags."""
    from embedkit.evaluation import Validation

    if params["validation_layout"] and (params["validation"] is None or params["validation"] in SPLITS):
        raise click.UsageError("--validation-layout says how the lines of a --validation FILE read.")
    return Validation(
        part=params["validation"],
        share=params["validation_share"],
        layout=params["validation_layout"] or "lines",
        include_seen=params["include_seen"],
        seed=1 if seed is None else seed,
    )


def stopping_of(params: Mapping[str, Any], seed: Any) -> EarlyStopping | None:
    """Make early stopping of the parsed flags, or None where it is not asked for."""
    names = ("patience", "validation", "validation_share", "validation_layout", "include_seen", "retrain")
    if params["early_stopping"] is None:
        for name in names:
            if params[name] is not None and params[name] is not False:
                raise click.UsageError(f"--{name.replace('_', '-')} goes with --early-stopping METRIC@K.")
        return None
    from embedkit.evaluation import EarlyStopping

    validation = validation_of(params, seed if isinstance(seed, int) else None)
    patience = {} if params["patience"] is None else {"patience": params["patience"]}
    return EarlyStopping(params["early_stopping"], validation=validation, retrain=params["retrain"], **patience)
