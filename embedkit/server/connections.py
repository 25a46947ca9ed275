"""Connections that neither wait nor grow for ever: heads, pipelines, unread answers and crowds have their measure."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

_LONGEST_HEAD = 1 << 16
_MOST_HEADERS = 100
_MOST_AHEAD = 32  # requests of one connection that wait for their turn
_LONGEST_LEFTOVER = 1 << 26  # bytes of a refused body that are read and thrown away, so that the refusal is seen
_LEAST_TAKEN = 1 << 16  # bytes of an answer that a client must take while it is waited for
_GRACE = 1.0  # seconds in which a stopping server still takes requests over the connections it has


@dataclass
class Crowd:
    """What all connections of a server may take together.

    Attributes
    ----------
    patience
        Seconds in which a head must be there, and in which a part of an answer must be taken.
    most, most_each
        How many connections may be open, and how many from one address.
    exempt
        Addresses, those of proxies, from which as many may come as there are.
    most_unsent
        Bytes of answers that may wait to be taken, in all.
    count
        Takes why a connection was hung up on.
    by_address
        How many connections are open.
    """

    patience: float = 10.0
    most: int = 1000
    most_each: int = 256
    exempt: frozenset[str] = frozenset()
    most_unsent: int = 1 << 28
    count: Callable[[str], None] = lambda why: None
    by_address: Counter[str] = field(default_factory=Counter)


class PatientProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with a clock and a measure for all that a client may keep the server waiting with."""

    crowd: ClassVar[Crowd] = Crowd()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._clock: asyncio.TimerHandle | None = None
        self._at_work: tuple[RequestResponseCycle, asyncio.Task[None]] | None = None
        self._address = ""
        self._head = self._n_headers = self._header_bytes = 0
        self._amid_head = self._discarding = self._last = False
        self._unsent, self._taken_at = 0, 0.0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head, unless there are too many connections."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._taken_at = self.loop.time()
        self._address = self.client[0] if self.client else ""
        crowd = self.crowd
        crowd.by_address[self._address] += 1
        if len(self.connections) > crowd.most:
            self._refuse(503, "too many connections; ask again later.", "crowded")
        elif crowd.by_address[self._address] > crowd.most_each and self._address not in crowd.exempt:
            self._refuse(429, f"more than {crowd.most_each} connections from one address; close some.", "crowded")
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting, and stop working for who has left."""
        self._stop_waiting()
        self.crowd.by_address[self._address] -= 1
        if not self.crowd.by_address[self._address]:
            del self.crowd.by_address[self._address]
        self.pipeline.clear()
        super().connection_lost(exc)
        if self._at_work is not None:
            cycle, task = self._at_work
            cycle.disconnected = True
            task.cancel()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin to answer, in a task that ends when the client leaves."""
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._at_work = cycle, task

    def data_received(self, data: bytes) -> None:
        """Measure the head for as long as it is not whole."""
        if self.transport.is_closing():
            return
        if self._discarding:
            self._head += len(data)
            if self._head > _LONGEST_LEFTOVER:
                self._drop("too much")
                return
        super().data_received(data)
        if self._amid_head:
            self._head += len(data)
            self._check_head()

    def on_message_begin(self) -> None:
        """Begin to wait for the head."""
        if self._last and self.cycle is not None and not self.cycle.keep_alive:
            raise _EnoughError
        super().on_message_begin()
        self._amid_head, self._head, self._n_headers, self._header_bytes = True, 0, 0, 0
        self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the headers, and their bytes: they may come all at once."""
        self._n_headers += 1
        self._header_bytes += len(name) + len(value)
        if self._n_headers > _MOST_HEADERS or self._header_bytes > _LONGEST_HEAD:
            most = f"{_MOST_HEADERS} headers, or {_LONGEST_HEAD:,} bytes of them"
            self._refuse(431, f"the request has more than {most}; send fewer.", "too much")
            raise _EnoughError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop waiting for the head; let no more requests wait than may."""
        self._stop_waiting()
        self._amid_head = False
        if len(self.pipeline) >= _MOST_AHEAD or self.parser.should_upgrade():
            self._last = True
        super().on_headers_complete()
        if self._last:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Stop waiting for a body that nobody reads."""
        self._stop_waiting()
        self._discarding = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin to wait for the end of a body that was not read."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.response_complete and self.cycle.more_body:
            # Refused before its body was there: what still comes is thrown away, but not for ever.
            self._wait()
            self._discarding, self._head = True, 0
        elif self._amid_head:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong as all errors are said; after the last request of a connection, nothing."""
        if self._last and not self._is_idle():
            self.flow.pause_reading()
            return
        self._refuse(400, "this is no HTTP request that can be understood.", "strange")

    def pause_writing(self) -> None:
        """Hang up on who takes least, where all unread answers together take too much memory."""
        super().pause_writing()
        unsent: dict[Any, int] = {one: one.transport.get_write_buffer_size() for one in self.connections}
        if sum(unsent.values()) > self.crowd.most_unsent:
            max(unsent, key=lambda one: unsent[one])._drop("unread")

    def resume_writing(self) -> None:
        """Take down that the client has taken a part."""
        self._taken_at = self.loop.time()
        super().resume_writing()

    def look(self, now: float) -> None:
        """Hang up on a client that takes nothing of what it was sent."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent <= self._unsent - _LEAST_TAKEN:
            self._taken_at, self._unsent = now, unsent
        self._unsent = max(self._unsent, unsent)
        if now - self._taken_at > self.crowd.patience and unsent:
            self._drop("unread")

    def shutdown(self) -> None:
        """Answer what is asked, and what may be on its way; then hang up."""
        self._last = True
        if not self._is_idle():
            self.cycle.keep_alive = False
        self.loop.call_later(_GRACE, self._hang_up)

    def _hang_up(self) -> None:
        if self._is_idle() and not self._amid_head:
            self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _check_head(self) -> None:
        if self._head > _LONGEST_HEAD:
            self._refuse(
                431, f"the head of the request is longer than {_LONGEST_HEAD:,} bytes; send a body.", "too much"
            )

    def _wait(self) -> None:
        if self._clock is None:
            self._head = 0
            self._clock = self.loop.call_later(self.crowd.patience, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        self._clock = None
        if self._discarding:
            self._drop("slow")
        elif self._is_idle():
            seconds = f"{self.crowd.patience:g} seconds"
            self._refuse(408, f"the request was not there within {seconds}; send it again.", "slow")

    def _drop(self, why: str) -> None:
        """Hang up without an answer, and let go of what was not taken."""
        self.crowd.count(why)
        # Without this the system would go on keeping what it has taken over, for as long as the client is there.
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _refuse(self, status: int, message: str, why: str) -> None:
        """Answer without the application, and hang up."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        self.crowd.count(why)
        body = json.dumps({"error": message}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        later = b"retry-after: 1\r\n" if status in (429, 503) else b""
        self.transport.write(STATUS_LINE[status] + later + head + body)
        self.transport.close()


def look_after(connections: Iterable[PatientProtocol], now: float) -> None:
    """Hang up on all who keep the server waiting to be read."""
    for connection in list(connections):
        connection.look(now)


class _Flow(FlowControl):
    """Uvicorn's flow control, to which a connection that is being closed is no fault."""

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            super().pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            super().resume_reading()


class _EnoughError(Exception):
    """Nothing more is read from this connection; the parser, in whose callback it is raised, stops."""
