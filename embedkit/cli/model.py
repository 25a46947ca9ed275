"""Which model a command works on: `--model`, else `$EMBEDKIT_MODEL`, else the file that `train` writes by default."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.failures import say
from embedkit.errors import ModelError

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings
    from embedkit.scoring import Measure

DEFAULT_MODEL = "embedkit.safetensors"
ENVIRONMENT = "EMBEDKIT_MODEL"
FILE = click.Path(path_type=Path, readable=False)
"""The type of a flag that names a file: a shell completes it; what is wrong with the file is told where it is used."""


def model_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flag `--model`."""
    return click.option(
        "--model",
        metavar="FILE",
        type=FILE,
        envvar=ENVIRONMENT,
        default=DEFAULT_MODEL,
        help=f"The model file; ${ENVIRONMENT} or ./{DEFAULT_MODEL} where not given.",
    )(command)


def refuse_to_replace_other(output: Path, flag: str = "--output") -> None:
    """Refuse to write a model over something else, such as the input that was named by mistake.

    Parameters
    ----------
    flag
        What names the file.

    Raises
    ------
    ModelError
        If there is a file of that name which neither is a model nor is called like one.
    """
    from embedkit.embeddings.safetensors import begins_like_model

    if output.suffix == Path(DEFAULT_MODEL).suffix or not output.is_file() or not output.stat().st_size:
        return
    if not begins_like_model(output):
        raise ModelError(f"{output} is there already and is no model; name another {flag}, or remove it first.")


def refuse_to_replace_model(output: Path, endings: Sequence[str] = (), flag: str = "--output") -> None:
    """Refuse to write what is no model over a model, or over a file whose name says that it is something else.

    Parameters
    ----------
    endings
        What the names of such files end in; () for anything.
    flag
        What names the file.

    Raises
    ------
    ModelError
        If the file is a model, or there is one that ends otherwise.
    """
    from embedkit.embeddings.safetensors import begins_like_model

    if not output.is_file():
        return
    if begins_like_model(output):
        raise ModelError(f"{output} is a model; name another {flag} for the results.")
    if endings and output.suffix.lower() not in endings and output.stat().st_size:
        raise ModelError(
            f"{output} is there already, and its name does not end in {' or '.join(endings)}, so it may be something "
            f"else; name another {flag}, or remove it first."
        )


def index_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags `--index` and `--exact`, whose value is True, False, or None where neither is given."""
    return click.option(
        "--index/--exact",
        "index",
        default=None,
        help="Answer through the index that `embedkit index` made, many times as quickly; or look at all tokens, as "
        "is done without an index, or with fewer than 200,000 tokens.",
    )(command)


def open_model(path: Path, index: bool | None = False, measure: Measure = "dot") -> Embeddings:
    """Open a model file.

    Parameters
    ----------
    index
        As for `load`; what it warns of is told to the user.
    measure
        What the index is to be for.

    Raises
    ------
    ModelError
        If there is no such file, or it is no model; the message says how to make one. Or if an index is asked for
        and there is none that fits.
    """
    if not path.exists():
        train = "embedkit train --source NAME" + (f" --output {path}" if path != Path(DEFAULT_MODEL) else "")
        raise ModelError(f"there is no model {path}; make one with {train}, or name another with --model.")
    from embedkit.embeddings import load

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        embeddings = load(path, index=index)
    for warning in told:
        say(str(warning.message))
    if index and embeddings.index is not None and measure not in embeddings.index.measures:
        made_for = "recommend" if measure == "dot" else "similar"
        raise ModelError(f"the index of {path} is not for `{made_for}`; make it again with embedkit index.")
    return embeddings
