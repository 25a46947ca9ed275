"""Listening, taking signals, stopping without dropping a request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import uvicorn

from embedkit.errors import EmbedkitError
from embedkit.server.app import create_app
from embedkit.server.connections import Crowd, PatientProtocol, look_after
from embedkit.server.live import Live, told
from embedkit.server.settings import Settings

_SWITCH = 0.0005  # seconds for which a thread may keep the interpreter while the event loop waits for it
_KEEP_ALIVE = 60
_LOOK = 1.0  # seconds between looks at who does not read
_LAST_CALL = 0.2  # seconds
_TURNS = 8  # of the event loop: a connection is accepted in one, made in the next, read in another
_TICK = 0.05
_BUFFER = 1 << 18
_PATIENCE = 2.0  # seconds in which threads may end


class Server:
    """A server that has its port from the beginning on, and answers as soon as it runs.

    Parameters
    ----------
    settings
        How to serve.
    say
        Takes a line for the log.

    Attributes
    ----------
    answers
        Set when `run` has come to where requests are answered.

    Raises
    ------
    EmbedkitError
        If the port or the model cannot be had.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._say = say
        self._socket = _listen(settings.host, settings.port)
        try:
            with _few_threads():
                self.live = Live(settings, say)
        except BaseException:
            self._socket.close()
            raise
        self.answers = threading.Event()
        self._uvicorn = _Uvicorn(_configured(self.live), self._started, settings.drain, say)
        _quiet(say)

    @property
    def url(self) -> str:
        """Where the server is."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self) -> bool:
        """Serve until a signal or `stop`; requests at work are answered first.

        Returns
        -------
        bool
            Whether all threads are done; one that makes a map, or loads a model, may go on for a while.
        """
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        gc.collect()
        gc.freeze()
        try:
            with _few_threads():
                self._uvicorn.run([self._socket])
        finally:
            gc.unfreeze()
            sys.setswitchinterval(before)
            self._socket.close()
            done = self.live.close(_PATIENCE)
        self._say("stopped.")
        return done

    async def _started(self) -> None:
        self.answers.set()
        self._say(f"serving {told(self.live.served)} at {self.url} (Ctrl-C stops it).")
        await self.live.watch()

    def stop(self) -> None:
        """Stop `run`, from any thread."""
        self._uvicorn.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; who calls it waits until the server runs."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise EmbedkitError(
            f"there is no address {host}: {getattr(error, 'strerror', error)}. Give another --host."
        ) from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):  # of each connection; the system would let them grow to MBs
        bound.setsockopt(socket.SOL_SOCKET, buffer, _BUFFER)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise EmbedkitError(
                f"port {port} of {host} is in use; give another --port, or 0 for any free one."
            ) from error
        raise EmbedkitError(
            f"cannot listen on port {port} of {host}: {error.strerror}. Give another --host or --port."
        ) from error
    return bound


@contextlib.contextmanager
def _few_threads() -> Iterator[None]:
    """Have BLAS work in the thread that calls it: threads of its own would be in the way of those that rank."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, "blas"):
        yield


def _configured(live: Live) -> uvicorn.Config:
    settings = live.settings

    class Protocol(PatientProtocol):  # one of its own: two servers in a process may have different limits
        crowd = Crowd(
            patience=settings.patience,
            most=settings.connections,
            most_each=max(1, settings.connections // 4),
            exempt=frozenset(settings.trusted_proxies),
            most_unsent=settings.unsent,
            count=lambda why: live.metrics.dropped.labels(why).inc(),
        )

    return uvicorn.Config(
        create_app(live),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=_KEEP_ALIVE,
    )


class _Uvicorn(uvicorn.Server):
    """Uvicorn with something to do beside, and for which a signal is no error."""

    def __init__(
        self,
        config: uvicorn.Config,
        beside: Callable[[], Coroutine[Any, Any, None]],
        drain: float,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(config)
        self._beside, self._drain, self._say = beside, drain, say
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tasks = [asyncio.create_task(self._beside()), asyncio.create_task(self._look_after())]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer what is asked over those there are, hang up on who does not let it end."""
        watching, looking = self._tasks
        watching.cancel()
        await self._last_call()
        cutting = asyncio.create_task(self._cut_off())
        await super().shutdown(sockets)
        await cutting
        looking.cancel()

    async def _last_call(self) -> None:
        """Read what was sent before the signal: a connection is reset otherwise that nobody has looked at yet."""
        if not self.force_exit:
            await asyncio.sleep(_LAST_CALL)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            look_after(self._connections, asyncio.get_running_loop().time())

    async def _cut_off(self) -> None:
        """Hang up on all when the time is over, or at a second signal."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain
        while self._connections and loop.time() < until and not self.force_exit:
            await asyncio.sleep(_TICK)
        if not self._connections:
            return
        why = "at a second signal" if self.force_exit else f"after {self._drain:g} s"
        self._say(f"{len(self._connections)} connections are cut off {why}.")
        for connection in self._connections:
            connection.transport.abort()
        await asyncio.sleep(_TICK)  # so that their tasks end

    @property
    def _connections(self) -> list[PatientProtocol]:
        return [connection for connection in self.server_state.connections if isinstance(connection, PatientProtocol)]

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop in order at the first signal, at once at the second."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        taken = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Lines(logging.Handler):
    """Gives what the libraries log to the server's own log, a line each."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage().partition("\n")[0])


def _quiet(say: Callable[[str], None]) -> Any:
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [_Lines(say)] if name != "uvicorn.error" else []
        logger.propagate = name == "uvicorn.error"
        logger.setLevel(logging.ERROR)
