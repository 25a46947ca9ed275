"""Clients of ill will. They come from another address of loopback, so that limits on an address tell them apart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections import Counter
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

_FROM = "127.0.0.2"
_LIMIT = 120.0  # seconds after which a connection that the server should have dropped counts as kept
_HEAD = b"%s %s HTTP/1.1\r\nHost: localhost\r\n"


class Abusers:
    """All of them, and how often each did what it does."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).hostname, urlsplit(url).port
        self.done: Counter[str] = Counter()

    def all(self) -> list[Coroutine[Any, Any, None]]:
        """Return what is to be run: several at a time of each kind."""
        kinds = [
            (self._silent, 20, 1.0), (self._slow_head, 10, 1.0), (self._slow_body, 10, 1.0), (self._rubbish, 2, 1.0),
            (self._too_much, 2, 2.0), (self._never_reads, 10, 2.0), (self._leaves, 4, 1.0), (self._floods, 1, 5.0),
            (self._smuggles, 1, 1.0), (self._half_closes, 1, 1.0), (self._crowds, 1, 60.0),
        ]  # fmt: skip
        return [self._again(kind, pause) for kind, n, pause in kinds for _ in range(n)]

    async def _again(self, kind: Any, pause: float) -> None:
        name = kind.__name__.strip("_").replace("_", " ")
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            streams = None
            try:
                streams = await self._open(4096 if kind == self._never_reads else None)
                await asyncio.wait_for(kind(*streams), _LIMIT)
                self.done[name] += 1
            except TimeoutError:
                self.done[f"{name}: still connected after {_LIMIT:g} s"] += 1
            except (OSError, asyncio.IncompleteReadError):
                self.done[f"{name}: hung up on"] += 1
            finally:
                if streams is not None:
                    streams[1].transport.abort()

    async def _open(self, buffer: int | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        made = socket.socket()
        made.setblocking(False)
        if buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.bind((_FROM, 0))
        await asyncio.get_running_loop().sock_connect(made, self._address)
        return await asyncio.open_connection(sock=made, limit=4096)

    async def _silent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def _slow_head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD % (b"GET", b"/health"))
        while not reader.at_eof():
            writer.write(b"X-Slow: y\r\n")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1000), 1)

    async def _slow_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD % (b"POST", b"/api/similar") + b"Content-Length: 100000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1000), 1)

    async def _rubbish(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = bytes.fromhex("16030100f4010000f00303") + random.randbytes(230)
        upgrade = (
            _HEAD % (b"GET", b"/") + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        chunks = _HEAD % (b"POST", b"/api/similar") + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + random.randbytes(99)
        two = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        writer.write(random.choice([hello, upgrade, chunks, two, random.randbytes(5000), b"\x00" * 5000]))
        await writer.drain()
        await reader.read(1000)

    async def _too_much(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind = random.randrange(4)
        if kind == 0:
            writer.write(_HEAD % (b"POST", b"/api/similar") + b"Content-Length: 50000000\r\n\r\n")
        elif kind == 1:
            writer.write(_HEAD % (b"POST", b"/api/similar") + b"Transfer-Encoding: chunked\r\n\r\n")
        else:
            writer.write(_HEAD % (b"GET", b"/api/similar"))
        part = [b" " * 65536, b"10000\r\n" + b" " * 65536 + b"\r\n", b"X-H: y\r\n" * 8192, b"X" * 65536][kind]
        for _ in range(300):
            writer.write(part)
            await writer.drain()

    async def _never_reads(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if random.random() < 0.5:
            body = json.dumps({"keys": [f"user{i}" for i in range(100)], "topn": 1000}).encode()
            head = _HEAD % (b"POST", b"/api/recommend") + b"Content-Length: %d\r\n\r\n" % len(body)
            writer.write(head + body)
        else:
            writer.write((_HEAD % (b"GET", b"/api/map?limit=5000") + b"\r\n") * 3)
        writer.transport.pause_reading()
        made = writer.get_extra_info("socket")
        while True:  # a peer that is gone shows in the state of the connection alone: nothing is read here
            await asyncio.sleep(1)
            state = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            if state != 1:  # established
                return

    async def _leaves(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"keys": [f"user{i}" for i in range(100)], "topn": 500}).encode()
        whole = _HEAD % (b"POST", b"/api/recommend") + b"Content-Length: %d\r\n\r\n" % len(body) + body
        writer.write(whole[: random.choice((10, len(whole) // 2, len(whole)))])
        await writer.drain()
        await asyncio.sleep(random.uniform(0, 0.1))

    async def _floods(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((_HEAD % (b"GET", b"/api/similar?token=item1") + b"\r\n") * 5000)
        for _ in range(50):
            if not await asyncio.wait_for(reader.read(4096), 5):
                break

    async def _smuggles(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        both = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
        twice = b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n12345"
        writer.write(_HEAD % (b"POST", b"/api/similar") + random.choice([both, twice]))
        await writer.drain()
        answers = await asyncio.wait_for(reader.read(4096), 20)
        if b"HTTP/1.1 2" in answers:
            self.done["smuggles: not refused"] += 1

    async def _half_closes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD % (b"GET", b"/api/similar?token=item1") + b"\r\n")
        writer.write_eof()
        await reader.read(100)

    async def _crowds(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        crowd = []
        try:
            for _ in range(700):
                crowd.append(await self._open())
            await asyncio.sleep(15)
        finally:
            for _, one in crowd:
                one.transport.abort()
