"""Connections that do not wait for ever: a request's head must come in time, and be no longer than a head is."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

_LONGEST_HEAD = 1 << 16


class PatientProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with a clock and a measure for the head of each request.

    Attributes
    ----------
    patience
        Seconds in which a head must be there.
    most
        How many connections may be open.
    """

    patience: ClassVar[float] = 10.0
    most: ClassVar[int] = 1000

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._clock: asyncio.TimerHandle | None = None
        self._head = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(503, "too many connections; ask again later.")
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Measure the head for as long as it is not whole."""
        super().data_received(data)
        if self._clock is not None:
            self._head += len(data)
            if self._head > _LONGEST_HEAD:
                self._refuse(431, f"the head of the request is longer than {_LONGEST_HEAD:,} bytes; send a body.")

    def on_message_begin(self) -> None:
        """Begin to wait for the head."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Stop waiting for the head."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop waiting for a body that nobody reads."""
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin to wait for the end of a body that was not read."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.more_body:
            # Refused before its body was there: what still comes is thrown away, but not for ever.
            self._wait()
            self._head = 0

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong as all errors are said."""
        self._refuse(400, "this is no HTTP request that can be understood.")

    def _wait(self) -> None:
        if self._clock is None:
            self._head = 0
            self._clock = self.loop.call_later(self.patience, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        self._clock = None
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(408, f"the request was not there within {self.patience:g} seconds; send it again.")

    def _refuse(self, status: int, message: str) -> None:
        """Answer without the application, and hang up."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        body = json.dumps({"error": message}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()
