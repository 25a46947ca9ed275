"""Who may ask, how much at a time, and what every answer bears: around the application, below any framework."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from embedkit.server.metrics import Metrics
from embedkit.server.refusals import Refusal
from embedkit.server.replies import reply
from embedkit.server.settings import Settings, is_loopback

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_SECURITY = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_OPEN = ("/", "/health", "/openapi.json", "/favicon.ico")  # what needs no token: nothing of the model is in them
_OPEN_FOLDER = "/page/"
_LONGEST_QUERY = 1 << 15
_ADDRESSES = 10_000
_LEFT = 499  # as nginx counts clients that left before their answer


class Guard:
    """The application that stands before the application.

    Parameters
    ----------
    app
        What answers.
    settings
        The limits.
    metrics
        Where every request is counted.
    say
        Takes a line for the log.
    """

    def __init__(self, app: App, settings: Settings, metrics: Metrics, say: Callable[[str], None]) -> None:
        self._app, self._settings, self._metrics, self._say = app, settings, metrics, say
        self._hosts = {"localhost", settings.host.lower(), *(host.lower() for host in settings.allowed_hosts)}
        self._any_host = not settings.allowed_hosts and not is_loopback(settings.host)
        self._token = None if settings.token is None else f"Bearer {settings.token}".encode()
        self._rates = None if settings.rate is None else Rates(settings.rate)
        self._work = Work(settings.queue)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it; whatever happens, the client is told in one line."""
        if scope["type"] != "http":
            return
        began, status = time.perf_counter(), 500
        api = scope["path"].startswith("/api")
        address = (scope.get("client") or ("",))[0]
        # What answers a GET answers a HEAD; the server beneath leaves the body out.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        at_work = answered = False

        def work(now: bool) -> None:
            nonlocal at_work
            if now != at_work:
                at_work = now
                self._work.change(address, 1 if now else -1)
                self._metrics.active.set(self._work.total)

        async def receive_guarded() -> MutableMapping[str, Any]:
            """Wait for the body at no one's cost."""
            work(False)
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False) and not answered:
                self._work.check(address)
                work(True)
            return message

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                work(False)  # done; how long the client takes to read is no matter of the queue
                status, answered = message["status"], True
                message["headers"] = [*message["headers"], *_SECURITY]
                if api:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        try:
            self._check(scope, address)
            work(True)
            await self._app(inner, receive_guarded, send_guarded)
        except Refusal as refusal:
            await reply(refusal.body, refusal.status, refusal.headers)(inner, receive, send_guarded)
        except asyncio.CancelledError:
            status = _LEFT
        finally:
            work(False)
            self._count(inner, status, time.perf_counter() - began)

    def _check(self, scope: Scope, address: str) -> None:
        """Raise `Refusal` for a request that may not come through."""
        headers = dict(scope["headers"])
        path = scope["path"]
        hosts = sum(name == b"host" for name, _ in scope["headers"])
        if hosts > 1 or (not hosts and scope["http_version"] != "1.0"):
            raise Refusal(400, f"the request has {hosts} Host headers; send one.")
        self._check_host(headers)
        free = path in _OPEN or path.startswith(_OPEN_FOLDER)
        scope["state"]["trusted"] = self._token is None or self._bears_token(headers)
        if not (free or scope["state"]["trusted"]):
            raise Refusal(401, "this server asks for a token: send the header Authorization: Bearer TOKEN.")
        if len(scope["query_string"]) > _LONGEST_QUERY:
            raise Refusal(414, f"the query is longer than {_LONGEST_QUERY:,} bytes; send a POST with a JSON body.")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._settings.max_body:
            raise Refusal(413, f"the body has {int(length):,} bytes; send at most {self._settings.max_body:,}.")
        if self._rates is not None and not free:
            self._rates.check(address)
        if not free:
            self._work.check(address)

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        """Refuse names that another site could have made to point to this machine (DNS rebinding)."""
        if self._any_host:
            return
        host = headers.get(b"host")
        if host is not None and not self._is_ours(host.decode("latin-1")):
            raise Refusal(
                421, "this server does not go by the name in the Host header; call it localhost, or start it with "
                "--allowed-host NAME.",
            )  # fmt: skip
        origin = headers.get(b"origin")
        if origin is not None and not self._is_ours(origin.decode("latin-1").partition("://")[2]):
            raise Refusal(
                403, "another site may not ask this server; start it with --allowed-host NAME if it is yours."
            )

    def _is_ours(self, host: str) -> bool:
        name = host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host.lower()
        name = name.removeprefix("[").removesuffix("]")
        if name in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def _bears_token(self, headers: dict[bytes, bytes]) -> bool:
        given = headers.get(b"authorization", b"")
        scheme, _, rest = given.partition(b" ")
        return hmac.compare_digest(scheme.capitalize() + b" " + rest.strip(), self._token or b"")

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)


class Work:
    """How many requests are worked on or wait to be, and for whom: those whose body is there and whose answer is not.

    Parameters
    ----------
    most
        How many may be; half of them from one address.
    """

    def __init__(self, most: int) -> None:
        self._most, self._most_each = most, max(1, most // 2)
        self._by_address: Counter[str] = Counter()
        self.total = 0

    def change(self, address: str, by: int) -> None:
        """Count one request more or less."""
        self.total += by
        self._by_address[address] += by
        if not self._by_address[address]:
            del self._by_address[address]

    def check(self, address: str) -> None:
        """Raise `Refusal` where there is no room for one more."""
        if self.total >= self._most:
            raise Refusal(503, f"the server is busy with {self._most} requests; ask again.", retry_after=1)
        if self._by_address[address] >= self._most_each:
            raise Refusal(429, f"{self._most_each} requests of this address are at work; ask again.", retry_after=1)


class Rates:
    """So many requests a second from each address; a second's worth may come at once.

    Parameters
    ----------
    rate
        Requests a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Take one request from what is left to an address, or raise `Refusal`."""
        now = time.monotonic()
        left, since = self._left.pop(address, (self._most, now))
        left = min(self._most, left + (now - since) * self._rate)
        self._left[address] = (max(0.0, left - 1) if left >= 1 else left, now)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        if left < 1:
            wait = max(1, round((1 - left) / self._rate + 0.5))
            raise Refusal(429, f"more than {self._rate:g} requests a second; ask again later.", retry_after=wait)
