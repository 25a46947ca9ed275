"""`embedkit index`: what lets a large catalogue answer without looking at all of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedkit.cli.model import model_option, open_model
from embedkit.cli.terminal import TerminalRun
from embedkit.errors import ModelError

if TYPE_CHECKING:
    from embedkit.scoring import Measure

_MEASURES: dict[str, tuple[Measure, ...]] = {"recommend": ("dot",), "similar": ("cosine",), "both": ("dot", "cosine")}


@click.command()
@click.option(
    "--for",
    "purpose",
    type=click.Choice(list(_MEASURES)),
    default="both",
    show_default=True,
    help="The commands it is for; for one of them it is made in half of the time and takes half of the room.",
)
@model_option
def index(purpose: str, model: Path) -> None:
    """Make an index and write it beside the model.

    recommend and similar answer through it many times as quickly; one answer in twenty or fewer is missed. They do so
    on their own from 200,000 tokens on, else with --index.
    """
    from embedkit.embeddings import index as indexing
    from embedkit.embeddings.replacing import check_writable

    embeddings = open_model(model)
    path = indexing.path_of(model)
    _refuse_to_replace_other(path)
    check_writable(path)
    start = time.monotonic()
    with TerminalRun(phase="indexing") as run:

        def tell(what: str, done: int, total: int) -> None:
            run.phase = what
            run.progress(done, total, unit="vectors")

        made = indexing.build(embeddings, _MEASURES[purpose], tell)
    indexing.save(made, model)
    size = path.stat().st_size / 1e6
    took = time.monotonic() - start
    run.say(f"Wrote {path} ({size:.3g} MB): {len(embeddings):,} tokens, for {purpose_of(made.measures)}, {took:.1f} s.")


def purpose_of(measures: tuple[Measure, ...]) -> str:
    """Return the commands that an index serves."""
    return " and ".join(name for name, (measure, *more) in _MEASURES.items() if not more and measure in measures)


def _refuse_to_replace_other(path: Path) -> None:
    from embedkit.embeddings.index import may_be_index

    if path.is_file() and path.stat().st_size and not may_be_index(path):
        raise ModelError(f"{path} is there already and is no index; move it away first.")
