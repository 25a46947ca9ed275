"""The map of a model's most frequent tokens, made once and in the background."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.server.refusals import Refusal
from embedkit.server.served import Served

if TYPE_CHECKING:
    from embedkit.atlas import Method

_WAIT = 2.0  # seconds for which a request waits before it is sent away
_KEPT = 4  # maps of different sizes; one of 100,000 points takes tens of megabytes


class Maps:
    """Maps that were made or are being made.

    Parameters
    ----------
    executor
        Where they are made.
    method
        How places are found.
    """

    def __init__(self, executor: Executor, method: Method) -> None:
        self._executor, self._method = executor, method
        self._served: Served | None = None
        self._made: dict[int, asyncio.Task[dict[str, Any]]] = {}
        self._turn = asyncio.Lock()
        self._drawn: asyncio.Task[dict[str, Any]] | None = None

    def forget(self) -> None:
        """Let go of all maps, of those that wait to be made, and of the model they are of."""
        for made in self._made.values():
            if made is not self._drawn:  # a thread cannot be stopped: the next map waits for it
                made.cancel()
        self._served, self._made = None, {}

    async def get(self, served: Served, limit: int) -> dict[str, Any]:
        """Return a map of up to `limit` tokens.

        Raises
        ------
        Refusal
            With 202 while it is being made, with 503 while too many of other sizes are.
        """
        if served is not self._served:
            self.forget()
            self._served = served
        limit = min(limit, len(served.embeddings))
        kept = self._made
        if limit not in kept:
            self._make_room()
            kept[limit] = asyncio.create_task(self._draw(served, limit))
        made = kept[limit]
        done, _ = await asyncio.wait([made], timeout=_WAIT)
        if not done or made.cancelled():
            raise Refusal(202, "the map is being made; ask again in a moment.", retry_after=2)
        if made.exception() is not None and kept.get(limit) is made:
            del kept[limit]
        return made.result()

    async def _draw(self, served: Served, limit: int) -> dict[str, Any]:
        """Make a map when the one before is made: who waits here, not in the executor, can still be called off."""
        async with self._turn:
            self._drawn = asyncio.current_task()
            try:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._executor, draw, served, limit, self._method)
            finally:
                self._drawn = None

    def _make_room(self) -> None:
        """Let go of the map that was asked for first, where there are as many as are kept."""
        if len(self._made) < _KEPT:
            return
        ready = next((limit for limit, made in self._made.items() if made.done()), None)
        if ready is None:
            raise Refusal(503, f"{_KEPT} maps of other sizes are being made; ask again later.", retry_after=5)
        del self._made[ready]


def draw(served: Served, limit: int, method: Method) -> dict[str, Any]:
    """Return the map of the `limit` most frequent tokens, in groups that are found."""
    from embedkit.atlas import clusters, coordinates
    from embedkit.atlas.grouping import MOST

    embeddings = served.embeddings
    ids = np.arange(limit)
    if embeddings.counts is not None:
        ids = np.argsort(-embeddings.counts, kind="stable")[:limit]
    labels = [served.label(token) for token in ids.tolist()]
    groups = clusters(embeddings.vectors[ids], labels, min(MOST, limit))
    places = coordinates(embeddings, ids, method)
    points = {axis: [float(f"{place:.5g}") for place in places[:, column].tolist()] for column, axis in enumerate("xy")}
    return {
        "method": method,
        "points": points,
        "tokens": embeddings.tokens[ids],
        "labels": labels,
        "groups": [groups.names[group] if group < len(groups.names) else "" for group in groups.ids.tolist()],
    }
