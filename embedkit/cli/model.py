"""Which model a command works on: `--model`, else `$EMBEDKIT_MODEL`, else the file that `train` writes by default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.errors import ModelError

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings

DEFAULT_MODEL = "embedkit.safetensors"
ENVIRONMENT = "EMBEDKIT_MODEL"


def model_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flag `--model`."""
    return click.option(
        "--model",
        metavar="FILE",
        type=Path,
        envvar=ENVIRONMENT,
        default=DEFAULT_MODEL,
        help=f"The model file; ${ENVIRONMENT} or ./{DEFAULT_MODEL} where not given.",
    )(command)


def open_model(path: Path) -> Embeddings:
    """Open a model file.

    Raises
    ------
    ModelError
        If there is no such file, or it is no model; the message says how to make one.
    """
    if not path.exists():
        train = "embedkit train --source NAME" + (f" --output {path}" if path != Path(DEFAULT_MODEL) else "")
        raise ModelError(f"there is no model {path}; make one with {train}, or name another with --model.")
    from embedkit.embeddings import load

    return load(path)
