"""What changes while the server runs: the model it serves, and what is known of the newest file."""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from embedkit import memory
from embedkit.errors import EmbedkitError
from embedkit.server.answers import Answers
from embedkit.server.large import Room
from embedkit.server.maps import Maps
from embedkit.server.metrics import Metrics
from embedkit.server.replies import reply
from embedkit.server.served import Served, open_served
from embedkit.server.settings import Settings

_SLOW_THREADS = 2

Signature = tuple[int, int, int]


class Live:
    """The model that is served now, and the next one as soon as it is there.

    Parameters
    ----------
    settings
        Which file, and the limits.
    say
        Takes a line for the log.

    Attributes
    ----------
    answers
        Of the model that is served now.
    slow
        Where everything is done that would keep other requests waiting.
    arriving
        Bytes of bodies that are not there whole yet.
    room
        What large answers, of the model before too, may hold together.

    Raises
    ------
    ModelError
        If the file is no model that can be served.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings, self.say = settings, say
        self.metrics = Metrics()
        self._rankers = ThreadPoolExecutor(settings.n_threads, "rank")
        self.slow = ThreadPoolExecutor(_SLOW_THREADS, "slow")
        self._mapper = ThreadPoolExecutor(1, "map")
        self._loader = ThreadPoolExecutor(1, "load")
        self.arriving = 0
        self.room = Room()
        self._maps = Maps(self._mapper, settings.map_method)
        self._tried = self._signature()
        self._trouble: str | None = None
        self._take(open_served(settings, self._rankers))

    def _take(self, served: Served) -> None:
        """Serve another model from now on; who asked before is answered by the one before."""
        self.served, self.answers = served, Answers(served, self.settings, self.slow, self.room)
        self._trouble = None
        self._maps.forget()
        self.metrics.trouble.set(0)
        self.metrics.loads.labels("taken").inc()
        self.metrics.tokens.set(served.description["tokens"])
        self.metrics.model.info({name: str(served.description[name]) for name in ("name", "version", "trainer")})

    def health(self) -> dict[str, Any]:
        """Tell how things stand."""
        body: dict[str, Any] = {"status": "ok", "model": self.served.description}
        return body if self._trouble is None else {**body, "trouble": self._trouble}

    def metrics_text(self) -> bytes:
        """Return the metrics as Prometheus reads them."""
        self.metrics.waiting.set(self.served.ranker.waiting)
        return self.metrics.text()

    async def map(self, limit: int) -> dict[str, Any]:
        """Return the map of the model."""
        return await self._maps.get(self.served, limit)

    async def watch(self) -> None:
        """Look at the file for as long as the server runs, and take up what replaces it."""
        before = self._tried
        while True:
            await asyncio.sleep(self.settings.watch)
            now = self._signature()
            # Who copies over a file leaves it half-written for a while: wait until it stands still.
            if now == before and now != self._tried:
                await self.reload()
            before = now

    async def reload(self) -> None:
        """Check and load the file beside the model that serves, and change over; a broken one changes nothing."""
        self._tried = self._signature()
        loop = asyncio.get_running_loop()
        try:
            served = await loop.run_in_executor(self._loader, open_served, self.settings, self._rankers)
        except Exception as error:  # of a plugin, too: it must not end the watch
            what = _trouble(error)
            # Who asks for the health of the server need not know where its files are.
            self._trouble = what.replace(f"{self.settings.model.parent}{os.sep}", "")
            self.metrics.trouble.set(1)
            self.metrics.loads.labels("refused").inc()
            self.say(f"the new model is not taken up, the old one serves on: {what}")
        else:
            self._take(served)
            self.say(f"took up {told(served)}.")
            await asyncio.sleep(self.settings.watch)  # for who is still answered by the old one
        await loop.run_in_executor(self._loader, memory.give_back)

    def _signature(self) -> Signature | None:
        """Return what changes with the file, or None where there is none."""
        try:
            about = os.stat(self.settings.model)
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns, about.st_size

    async def report_bug(self, request: Request, error: Exception) -> Response:
        """Tell the log and the client of what should not have happened."""
        if os.environ.get("EMBEDKIT_TRACEBACK"):
            traceback.print_exception(error)
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        self.say(f"this is a bug in embedkit, please report it: {request.scope['path']}: {what}")
        return reply({"error": "this is a bug in embedkit; the server's log has more. Please report it."}, 500)

    def close(self, patience: float = 0.0) -> bool:
        """Let the threads go; return whether all are done after some seconds."""
        executors = (self._rankers, self.slow, self._mapper, self._loader)
        threads = [thread for executor in executors for thread in executor._threads]
        for executor in executors:
            executor.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)


def _trouble(error: Exception) -> str:
    """Return why a model is not taken up, in one line."""
    if isinstance(error, MemoryError):
        return "not enough memory for the new model."
    what = " ".join(str(error).split())
    return what if isinstance(error, EmbedkitError | OSError) else f"{type(error).__name__}: {what}"


def told(served: Served) -> str:
    """Return a model's name and size for the log."""
    about = served.description
    keys = f", {about['keys']:,} keys" if about["keys"] else ""
    return f"{about['name']} {about['version']} ({about['tokens']:,} tokens × {about['vector_size']}{keys})"
