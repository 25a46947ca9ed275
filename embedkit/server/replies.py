"""JSON over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from starlette.responses import Response

from embedkit.server.large import Written, dumped, written


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response; a number that is not finite is a bug and raises ValueError."""
    text = body.text if isinstance(body, Written) else dumped(body)
    return Response(text, status, None if headers is None else dict(headers), "application/json")


async def large_reply(body: Mapping[str, Any], executor: Executor) -> Response:
    """Return a JSON response that is written in a thread, part by part, so that others are answered meanwhile."""
    return reply(await asyncio.get_running_loop().run_in_executor(executor, written, body))
