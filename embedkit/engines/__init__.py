"""Map, reduce and broadcast over the partitions of a corpus: in this process, or in workers of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from embedkit.errors import OptionError, UnknownNameError, did_you_mean, missing_extra

if TYPE_CHECKING:
    from embedkit.engines.engine import Engine

ENGINES = ("local", "dask")


def make_engine(
    name: Literal["local", "dask"] | str, *, scheduler: str | None = None, partitions: int | None = None
) -> Engine:
    """Return an engine, to be used as a context, that divides the training of `embedkit.train(..., engine=...)`.

    Parameters
    ----------
    name
        `local`: this process, a thread a partition. `dask`: a Dask cluster (the extra `dask`).
    scheduler
        The address of Dask's scheduler (`tcp://host:8786`). Where None, `DASK_SCHEDULER_ADDRESS`; where that is not
        set either, a cluster of this machine's cores.
    partitions
        Into how many the input is divided; as many as there are workers where None. With as many partitions all
        engines give the same result, however many workers they have.

    Raises
    ------
    EmbedkitError
        If there is no such engine, Dask is not installed, or its scheduler or workers cannot be used.

    Examples
    --------
    >>> with embedkit.make_engine("dask", scheduler="tcp://10.0.0.1:8786") as engine:
    ...     emb = embedkit.train("text", input="wiki.txt", engine=engine)
    """
    if name not in ENGINES:
        raise UnknownNameError(
            f"there is no engine {name!r}.{did_you_mean(name, ENGINES) or ' There are: local, dask.'}"
        )
    if partitions is not None and partitions < 1:
        raise OptionError("partitions", f"must be at least 1, not {partitions}.")
    if name == "local":
        from embedkit.engines.local import LocalEngine

        if scheduler is not None:
            raise OptionError("scheduler", "goes with the engine 'dask'; the local one has none.")
        return LocalEngine(partitions=partitions)
    try:
        import distributed  # noqa: F401 - to tell what is missing before anything else is
    except ImportError as error:
        raise missing_extra("distributed", "dask", "--engine dask") from error
    from embedkit.engines.dask import DaskEngine

    return DaskEngine(scheduler, partitions=partitions)
