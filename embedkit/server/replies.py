"""JSON over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from starlette.responses import Response


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response; a number that is not finite is a bug and raises ValueError."""
    return _response(_dumped(body), status, headers)


async def large_reply(body: Mapping[str, Any], executor: Executor) -> Response:
    """Return a JSON response that is written in a thread, part by part, so that others are answered meanwhile.

    To write it in one go would hold the interpreter for as long as that takes, in whichever thread.
    """
    text = await asyncio.get_running_loop().run_in_executor(executor, _in_parts, body)
    return _response(text)


def _in_parts(body: Mapping[str, Any]) -> str:
    """Return an object as JSON, each element of its lists written on its own."""
    parts = [
        f"{_dumped(name)}:[{','.join(map(_dumped, value))}]"
        if isinstance(value, list)
        else f"{_dumped(name)}:{_dumped(value)}"
        for name, value in body.items()
    ]
    return f"{{{','.join(parts)}}}"


def _dumped(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        text.encode(errors="replace"), status, None if headers is None else dict(headers), "application/json"
    )
