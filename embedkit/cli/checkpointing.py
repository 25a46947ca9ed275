"""The flags of `train` that keep states of it on the disk, to go on from after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.stopping import SectionFlag

if TYPE_CHECKING:
    from embedkit.checkpoints import Checkpoint

_SECTION = "Going on after an interruption"


def checkpoint_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags of checkpoints."""
    command = click.option(
        "--resume", is_flag=True, cls=SectionFlag, section=_SECTION,
        help="Go on from the state in --checkpoint DIR, if there is one.",
    )(command)  # fmt: skip
    command = click.option(
        "--every", metavar="TIME|EPOCHS", cls=SectionFlag, section=_SECTION,
        help="How often: 30s, 10min, 2h, 1epoch, 5epochs.  [default: 10min]",
    )(command)  # fmt: skip
    return click.option(
        "--checkpoint", metavar="DIR", cls=SectionFlag, section=_SECTION,
        help="Keep a state of the training in this folder, until the model is written.",
    )(command)  # fmt: skip


def checkpoint_of(params: Mapping[str, Any]) -> Checkpoint | None:
    """Make a checkpoint of the parsed flags, or None where it is not asked for."""
    if params["checkpoint"] is None:
        for name in ("every", "resume"):
            if params[name]:
                raise click.UsageError(f"--{name} goes with --checkpoint DIR.")
        return None
    from embedkit.checkpoints import Checkpoint

    every = {} if params["every"] is None else {"every": params["every"]}
    return Checkpoint(params["checkpoint"], resume=params["resume"], **every)
