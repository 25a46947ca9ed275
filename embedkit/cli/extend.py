"""`embedkit extend`: vectors for items without interactions, from what they are about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from embedkit.cli.failures import say
from embedkit.cli.importing import vectors_options
from embedkit.cli.model import FILE, model_option, open_model, refuse_to_replace_other
from embedkit.errors import ModelError

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings


@click.command()
@click.option(
    "--content", required=True, metavar="FILE", type=FILE,
    help="A vector for each item, old and new: a model, or whatever import reads.",
)  # fmt: skip
@vectors_options
@click.option(
    "--length", type=click.Choice(["auto", "typical", "predicted"]), default="auto", show_default=True,
    help="How long new vectors are: as learned ones, as the regression has them, or what serves the model's own "
    "histories best.",
)  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, metavar="INT", help="For what is drawn.")
@click.option(
    "--output", metavar="FILE", type=FILE, help="The model file to write.  [default: the model's name and -extended]"
)
@model_option
def extend(
    content: Path, length: Literal["auto", "typical", "predicted"], seed: int, output: Path | None, model: Path,
    **request: Any,
) -> None:  # fmt: skip
    """Give vectors to items without interactions, so that they are recommended too.

    A ridge regression, cross-validated, from the content of the items that the model has to their learned vectors
    predicts vectors for the items that it has not.
    """
    from embedkit.cli.report import Timer, size
    from embedkit.embeddings import check_writable, verify
    from embedkit.embeddings.importing import import_vectors
    from embedkit.extending import extend as extend_model

    timer = Timer()
    output = output or model.with_name(f"{model.stem}-extended.safetensors")
    check_writable(output)
    refuse_to_replace_other(output)
    for read in (model, content, request["keys"]):
        if read is not None and read.exists() and output.exists() and read.samefile(output):
            raise ModelError(f"{output} is what is read; name another --output.")
    embeddings = open_model(model)
    verify(model)  # what is made of it gets a checksum of its own
    extended = extend_model(embeddings, import_vectors(content, say=say, **request), length=length, seed=seed)
    extended.save(output)
    _tell(extended)
    say(f"Wrote {output} ({size(output.stat().st_size)}): {len(extended):,} tokens, {_took(timer)}.")
    first = extended.config["extended"]["first"]
    say(f"New are {extended.tokens[first]!r} and those behind it; their counts are 0.")


def _took(timer: Any) -> str:
    from embedkit.cli.report import duration

    return duration(timer.lap())


def _tell(extended: Embeddings) -> None:
    """Say what the map is worth."""
    note = extended.config["extended"]
    say(
        f"Learned from {note['learned_from']:,} tokens; of what sets their vectors apart, their content tells "
        f"{max(note['explained'], 0):.1%} (each left out in turn)."
    )
    if note["explained"] <= 0:
        say("the content tells nothing of the learned vectors: new tokens are recommended at random.")
