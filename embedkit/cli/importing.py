"""`embedkit import`: vectors made elsewhere become a model like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from embedkit.cli.failures import say
from embedkit.cli.model import DEFAULT_MODEL, FILE, refuse_to_replace_other

_FORMATS = ("npy", "npz", "parquet", "csv", "safetensors", "vec", "word2vec-binary", "fasttext-bin")


def vectors_options(command: Any) -> Any:
    """Give a command the flags that tell where vectors and their tokens are in a file."""
    flags = (
        click.option("--from", "form", type=click.Choice(_FORMATS), help="The format, where the ending tells none."),
        click.option(
            "--keys",
            type=FILE,
            metavar="FILE",
            help="The rows' tokens: a line each, JSON, or a column of a table.",
        ),
        click.option("--token-column", metavar="NAME", help="The column (of .npz the array) that holds the tokens."),
        click.option(
            "--vector-column",
            "vector_columns",
            multiple=True,
            metavar="NAME",
            help="The column of lists (array, tensor) that holds the vectors; repeat it for many columns of numbers.",
        ),
    )
    for flag in reversed(flags):
        command = flag(command)
    return command


@click.command("import")
@click.argument("file", type=FILE)
@vectors_options
@click.option("--unit", is_flag=True, help="Scale each vector to length 1, so that scores are cosines.")
@click.option(
    "--output", metavar="FILE", default=DEFAULT_MODEL, show_default=True, help="The model file to write.", type=FILE
)
def import_(file: Path, output: Path, **request: Any) -> None:
    """Read the vectors in FILE, made elsewhere, and write a model.

    FILE is .npy (with --keys), .npz, Parquet, CSV, safetensors, .vec (word2vec's text), or .bin of word2vec or
    fastText. Nothing in it is ever run: pickles are refused.
    """
    from embedkit.cli.report import Timer, tell_result
    from embedkit.embeddings import check_writable
    from embedkit.embeddings.importing import import_vectors
    from embedkit.errors import ModelError

    timer = Timer()
    check_writable(output)
    refuse_to_replace_other(output)
    for given in (file, request["keys"]):
        if given is not None and given.exists() and output.exists() and given.samefile(output):
            raise ModelError(f"{output} is what is read; name another --output.")
    embeddings = import_vectors(file, say=say, **request)
    embeddings.save(output)
    tell_result(say, embeddings, output, timer.lap())
