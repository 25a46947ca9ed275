"""Clients of good will: they ask every endpoint, rightly and wrongly, and compare what they get with the models."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np

import embedkit

_CONNECTIONS = 12
_PATIENCE = 30.0
_COMPARED = 0.1  # of the answers
_GONE = (OSError, asyncio.IncompleteReadError)

Asked = tuple[str, str, Any, tuple[int, ...], Callable[[Any], dict[str, float] | None] | None]


class Truth:
    """What each of the models answers."""

    def __init__(self, models: list[Path]) -> None:
        self.models = {path.stem: embedkit.load(path) for path in models}
        first = next(iter(self.models.values()))
        self.tokens = list(first.tokens)
        self.keys = list(first.keys)

    def of(self, ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Return each model's answer, None where it knows not what was asked for."""
        answers = {}
        for name, model in self.models.items():
            try:
                answers[name] = ask(model)
            except embedkit.EmbedkitError:
                answers[name] = None
        return answers


class Connection:
    """One connection, kept alive."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).hostname, urlsplit(url).port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and body of an answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n" + (f"Content-Length: {len(data)}\r\n" if data else "")
        try:
            writer.write(head.encode() + b"\r\n" + data)
            status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
            answer = await reader.readexactly(int(headers.get("content-length", 0)) if method != "HEAD" else 0)
        except BaseException:
            self.close()
            raise
        if headers.get("connection") == "close":
            self.close()
        is_json = "json" in headers.get("content-type", "") and answer
        return status, json.loads(answer) if is_json else answer

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _head(text: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = text.decode("latin-1").strip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def request(url: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Ask over a connection of its own."""
    connection = Connection(url)
    try:
        return await asyncio.wait_for(connection.ask(method, path, body), _PATIENCE)
    finally:
        connection.close()


class Clients:
    """All of them, and what they got."""

    def __init__(self, url: str, truth: Truth, rate: float) -> None:
        self._url, self._truth, self._rate = url, truth, rate
        self.n = self.refused = self.compared = self.drained = self.cut = self.late = 0
        self.by_status: Counter[int] = Counter()
        self.by_model: Counter[str] = Counter()
        self.lost: list[str] = []
        self.wrong: list[str] = []
        self._times: list[float] = []
        self.stopping = float("inf")

    def all(self) -> list[Coroutine[Any, Any, None]]:
        """Return what is to be run."""
        return [self._one() for _ in range(_CONNECTIONS)]

    def percentiles(self) -> str:
        """Return the middle time to an answer, and the time in which 99 of 100 were there."""
        if not self._times:
            return "no answers"
        middle, most, longest = np.percentile(self._times, [50, 99, 100]) * 1000
        return f"50% {middle:.1f} ms, 99% {most:.1f} ms, longest {longest:.0f} ms"

    async def _one(self) -> None:
        connection = Connection(self._url)
        while True:
            await asyncio.sleep(random.expovariate(self._rate / _CONNECTIONS))
            await self._ask_once(connection)

    async def _ask_once(self, connection: Connection) -> None:
        method, path, body, deserved, ask = self._question()
        began = time.monotonic()
        try:
            status, answer = await asyncio.wait_for(connection.ask(method, path, body), _PATIENCE)
        except (*_GONE, TimeoutError) as error:
            self._count_lost(began, f"{method} {path}: {type(error).__name__} {error}")
            return
        self.n += 1
        self.by_status[status] += 1
        if began < self.stopping < time.monotonic():
            self.drained += 1
        self._times.append(time.monotonic() - began)
        if status in (429, 503):
            self.refused += 1
        elif status not in deserved or (isinstance(answer, dict) and "Traceback" in json.dumps(answer)):
            self.wrong.append(f"{method} {path}: {status}, not {deserved}: {str(answer)[:200]}")
        elif status == 200 and ask is not None and random.random() < _COMPARED:
            self._compare(f"{method} {path} {body}", answer, ask)

    def _count_lost(self, began: float, what: str) -> None:
        if began > self.stopping:
            self.late += 1
        elif time.monotonic() > self.stopping:
            self.cut += 1
        else:
            self.n += 1
            self.lost.append(what)

    def _compare(self, what: str, answer: Any, ask: Callable[[Any], Any]) -> None:
        """Find the model that says the same; a list of results must be of one model as a whole."""
        self.compared += 1
        told = _scores(answer)
        for name, wanted in self._truth.of(ask).items():
            if wanted is not None and _same(told, wanted):
                self.by_model[name] += 1
                return
        self.wrong.append(f"{what}: no model says {str(answer)[:300]}")

    async def large(self) -> str:
        """Ask for much, as the server is about to stop; tell what came of it."""
        keys = random.sample(self._truth.keys, 100)
        try:
            status, answer = await request(self._url, "POST", "/api/recommend", {"keys": keys, "topn": 150})
        except (*_GONE, TimeoutError) as error:
            return type(error).__name__
        return f"{status} with {len(answer.get('results', ()))} results"

    def _question(self) -> Asked:
        kinds = (self._recommend, self._similar, self._many, self._rest, self._wrong)
        return random.choices(kinds, (4, 3, 1, 3, 2))[0]()

    def _recommend(self) -> Asked:
        if random.random() < 0.5:
            key, topn = random.choice(self._truth.keys), random.choice((1, 10, 100))
            path = f"/api/recommend?{urlencode({'key': key, 'topn': topn})}"
            return "GET", path, None, (200, 404), lambda model: [model.recommend(key, topn=topn)]
        items = random.sample(self._truth.tokens, 3)
        path = f"/api/recommend?{urlencode({'item': items, 'explain': 'true'}, doseq=True)}"
        return "GET", path, None, (200, 404), lambda model: [model.recommend(history=items)]

    def _similar(self) -> Asked:
        a, b, c = random.sample(self._truth.tokens, 3)
        if random.random() < 0.3:
            path = f"/api/analogy?{urlencode({'a': a, 'b': b, 'c': c})}"
            return "GET", path, None, (200, 404), lambda model: [model.analogy(a, b, c)]
        return "GET", f"/api/similar?token={a}", None, (200, 404), lambda model: [model.most_similar(a)]

    def _many(self) -> Asked:
        some = random.sample(self._truth.keys, 30)
        body = {"keys": some, "topn": 20}
        return "POST", "/api/recommend", body, (200, 404), lambda model: [model.recommend(k, topn=20) for k in some]

    def _rest(self) -> Asked:
        token, key = random.choice(self._truth.tokens), random.choice(self._truth.keys)
        paths = [
            "/health", "/metrics", "/api/model", "/", "/page/app.js", "/openapi.json", "/api/map?limit=500",
            f"/api/search?q={token[:5]}", f"/api/search?q={key}&kind=key", f"/api/vectors?token={token}&key={key}",
            f"/api/history?key={key}", f"/api/similarity?a={token}&b=item1",
        ]  # fmt: skip
        return "GET", random.choice(paths), None, (200, 202, 404), None

    def _wrong(self) -> Asked:
        return random.choice(_WRONG)()


_WRONG: list[Callable[[], Asked]] = [
    lambda: ("GET", "/api/recommend", None, (422,), None),
    lambda: ("GET", "/api/recommend?key=nobody", None, (404,), None),
    lambda: ("GET", "/api/similar?token=" + "x" * 3000, None, (422,), None),
    lambda: ("GET", "/api/similar?token=item1&topn=1000000000", None, (422,), None),
    lambda: ("GET", "/api/similar?token=%ff%00%fe", None, (404,), None),
    lambda: ("GET", "/api/nothing", None, (404,), None),
    lambda: ("DELETE", "/api/similar", None, (405,), None),
    lambda: ("POST", "/api/similar", b'{"tokens": ["item1"], "topn": NaN}', (422,), None),
    lambda: ("POST", "/api/similar", b'{"tokens": ["item1"], "topn": 1e400}', (422,), None),
    lambda: ("POST", "/api/similar", b"[" * 100_000, (422,), None),
    lambda: ("POST", "/api/similar", random.randbytes(1000), (422,), None),
    lambda: ("POST", "/api/recommend", {"keys": ["user1"] * 100_000}, (422,), None),
]


def _scores(answer: Any) -> list[list[tuple[str, float]]]:
    results = answer["results"]
    lists = [one["results"] for one in results] if results and "results" in results[0] else [results]
    return [[(result["token"], result["score"]) for result in one] for one in lists]


def _same(told: list[list[tuple[str, float]]], wanted: list[list[tuple[str, float]]]) -> bool:
    """Return whether the scores are the same, and the tokens wherever two scores do not all but tie."""
    if len(told) != len(wanted):
        return False
    for ours, theirs in zip(told, wanted, strict=True):
        if len(ours) != len(theirs):
            return False
        left, right = (np.array([score for _, score in pairs]) for pairs in (ours, theirs))
        if not np.allclose(left, right, rtol=1e-3, atol=1e-5):
            return False
        scores = dict(theirs)
        known = [
            scores[token] == score or abs(scores[token] - score) < 1e-3 for token, score in ours if token in scores
        ]
        if not all(known) or len(known) < 0.9 * len(ours):
            return False
    return True


with contextlib.suppress(ImportError):  # quicker, where it is installed
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
