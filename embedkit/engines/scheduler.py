"""What is known of a Dask scheduler before a client is made of it.

A client waits without an end for something else that listens there (its dashboard at the port beside), takes its
bytes for lengths, and complains long afterwards of an address that it could not use.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from distributed import Security
from distributed.client import AllExit
from distributed.comm import CommClosedError, get_address_host_port, parse_address
from distributed.comm.registry import get_backend
from distributed.core import rpc
from distributed.utils import LoopRunner

from embedkit.errors import EmbedkitError

_WITH_PORTS = ("tcp", "tls", "ws", "wss")


def check_scheduler(address: str, limit: float) -> None:
    """See that a Dask scheduler answers at an address within `limit` seconds.

    Raises
    ------
    EmbedkitError
        If it is no address, nothing answers there, or something else does.
    """
    try:
        scheme, _ = parse_address(address)
        get_backend(scheme)
        if scheme in _WITH_PORTS:
            get_address_host_port(address)
        kind = LoopRunner().run_sync(_kind, address, limit)
    except (OSError, TimeoutError) as error:
        if isinstance(error, CommClosedError):
            raise _stranger(address) from error
        raise EmbedkitError(
            f"no Dask scheduler answers at {address} within {limit:.0f} s; check the address and its port (8786 as a "
            "rule; 8787 is the dashboard's), and that `dask scheduler` runs there."
        ) from error
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        raise EmbedkitError(f"{address} is no address of a scheduler ({error}); tcp://host:8786 is.") from None
    if kind != "Scheduler":
        raise _stranger(address)


async def _kind(address: str, limit: float) -> str | None:
    """Return what Dask's server at an address says that it is, or None where what answers is not Dask's."""
    arguments = Security().get_connection_args("client")
    async with rpc(address, timeout=limit, connection_args=arguments) as remote:
        try:
            found: dict[str, Any] = await asyncio.wait_for(remote.identity(), limit)
            return str(found["type"])
        except (OSError, TimeoutError, TypeError, ImportError, RuntimeError):
            raise
        except Exception:  # whatever comes of bytes that are not Dask's
            return None


def _stranger(address: str) -> EmbedkitError:
    return EmbedkitError(
        f"what answers at {address} is no Dask scheduler; check the address, its port (8786 as a rule; 8787 is the "
        "dashboard's) and whether it wants tls://."
    )


def silence() -> None:
    """Let Dask log nothing here: what fails is told once, by us."""
    for name in ("distributed", *(n for n in logging.root.manager.loggerDict if n.startswith("distributed."))):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in ("tornado.application", "asyncio"):
        logging.getLogger(name).addFilter(_is_no_debris)


def _is_no_debris(record: logging.LogRecord) -> bool:
    """Drop what Ctrl-C leaves of a call to Dask: a NameError where it had not begun, an AllExit that nobody awaits."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is not AllExit and "sync.<locals>.cancel" not in record.getMessage()
