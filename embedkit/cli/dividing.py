"""The flags of `train` that divide the work among threads or machines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.stopping import SectionFlag

if TYPE_CHECKING:
    from embedkit.engines.engine import Engine

_SECTION = "Dividing the work"


def engine_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags of engines."""
    command = click.option(
        "--partitions", type=int, metavar="INT", cls=SectionFlag, section=_SECTION,
        help="Into how many parts the input is divided; one a worker where not given. With as many, all engines and "
        "numbers of workers give the same result.",
    )(command)  # fmt: skip
    command = click.option(
        "--scheduler", metavar="ADDRESS", cls=SectionFlag, section=_SECTION,
        help="Address of Dask's scheduler, such as tcp://10.0.0.1:8786; else $DASK_SCHEDULER_ADDRESS, else a cluster "
        "of this machine's cores.",
    )(command)  # fmt: skip
    return click.option(
        "--engine", type=click.Choice(["local", "dask"]), cls=SectionFlag, section=_SECTION,
        help="Read and learn in partitions: in threads of this process, or on a Dask cluster (extra dask), whose "
        "workers read the input themselves.",
    )(command)  # fmt: skip


@contextlib.contextmanager
def engine_of(params: Mapping[str, Any]) -> Iterator[Engine | None]:
    """Make the engine of the parsed flags, or none where it is not asked for, and end it."""
    if params["engine"] is None:
        for name in ("scheduler", "partitions"):
            if params[name] is not None:
                raise click.UsageError(f"--{name} goes with --engine.")
        yield None
        return
    from embedkit.engines import make_engine

    with make_engine(params["engine"], scheduler=params["scheduler"], partitions=params["partitions"]) as engine:
        yield engine
