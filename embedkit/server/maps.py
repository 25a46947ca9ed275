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
        self._made: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def get(self, served: Served, limit: int) -> dict[str, Any]:
        """Return a map of up to `limit` tokens.

        Raises
        ------
        Refusal
            With 202 while it is being made.
        """
        if served is not self._served:
            self._served, self._made = served, {}
        limit = min(limit, len(served.embeddings))
        if limit not in self._made:
            loop = asyncio.get_running_loop()
            self._made[limit] = loop.run_in_executor(self._executor, draw, served, limit, self._method)
        made = self._made[limit]
        done, _ = await asyncio.wait([made], timeout=_WAIT)
        if not done:
            raise Refusal(202, "the map is being made; ask again in a moment.", retry_after=2)
        if made.exception() is not None:
            del self._made[limit]
        return made.result()


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
