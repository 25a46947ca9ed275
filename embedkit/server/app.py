"""The routes: which question is asked at which address, and how OpenAPI describes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

import embedkit
from embedkit.errors import EmbedkitError
from embedkit.server import parameters as asked
from embedkit.server.answers import Answer, Answers
from embedkit.server.guard import App, Guard
from embedkit.server.large import Written
from embedkit.server.live import Live
from embedkit.server.refusals import Refusal
from embedkit.server.replies import large_reply, reply

_MOST_BODIES = 64  # of the greatest length, that may be arriving at a time
PAGE = Path(__file__).parent / "page"

Get = Callable[[Answers, Any], Awaitable[Answer | Written]]

_GETS: list[tuple[str, type[asked.Parameters], Get]] = [
    ("/api/search", asked.Search, Answers.search),
    ("/api/recommend", asked.Recommend, Answers.recommend),
    ("/api/similar", asked.Similar, Answers.similar),
    ("/api/analogy", asked.Analogy, Answers.analogy),
    ("/api/similarity", asked.Similarity, Answers.similarity),
    ("/api/vectors", asked.Vectors, lambda answers, wanted: answers.vectors(wanted.token, wanted.key)),
    ("/api/history", asked.HistoryOf, Answers.history),
]
_POSTS: list[tuple[str, type[asked.Parameters], Get]] = [
    ("/api/recommend", asked.RecommendMany, Answers.recommend_many),
    ("/api/similar", asked.SimilarMany, Answers.similar_many),
    ("/api/vectors", asked.VectorsMany, lambda answers, wanted: answers.vectors(wanted.tokens, wanted.keys)),
]


def create_app(live: Live) -> App:
    """Return the ASGI application that serves a model."""
    app = FastAPI(
        title="embedkit",
        version=embedkit.__version__,
        description="Recommendations and similarities from one model.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for path, kind, method in _GETS:
        _add_get(app, live, path, kind, method)
    for path, kind, method in _POSTS:
        _add_post(app, live, path, kind, method)
    _add_plain(app, live)
    _add_page(app)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(EmbedkitError, _could_not)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_exception_handler(Exception, live.report_bug)
    return Guard(app, live.settings, live.metrics, live.say)


def _add_get(app: FastAPI, live: Live, path: str, kind: type[asked.Parameters], method: Get) -> None:
    async def endpoint(request: Request) -> Response:
        wanted = asked.from_query(kind, request.scope["query_string"])
        return reply(await method(live.answers, wanted))

    schema = kind.model_json_schema()
    parameters = [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": described}
        for name, described in schema["properties"].items()
    ]
    _route(app, path, endpoint, "GET", _summary(path, kind), {"parameters": parameters})


def _add_post(app: FastAPI, live: Live, path: str, kind: type[asked.Parameters], method: Get) -> None:
    async def endpoint(request: Request) -> Response:
        body = await _body(request, live)
        return reply(await method(live.answers, asked.from_json(kind, body)))

    content = {"application/json": {"schema": kind.model_json_schema()}}
    extra = {"requestBody": {"required": True, "content": content}}
    _route(app, path, endpoint, "POST", _summary(path, kind), extra)


def _add_plain(app: FastAPI, live: Live) -> None:
    """Add what takes no parameters, and the map."""

    async def health(request: Request) -> Response:
        body = live.health()
        if not request.scope["state"]["trusted"]:
            body = {"status": body["status"]}
        return reply(body)

    async def metrics() -> Response:
        return Response(live.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def model() -> Response:
        return reply(await live.answers.model())

    async def map_(request: Request) -> Response:
        wanted = asked.from_query(asked.MapOf, request.scope["query_string"])
        return await large_reply(await live.map(wanted.limit), live.slow)

    limit = {"parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "default": 20000}}]}
    _route(app, "/health", health, "GET", "Whether the server serves, and which model", {})
    _route(app, "/metrics", metrics, "GET", "Metrics for Prometheus", {})
    _route(app, "/api/model", model, "GET", "What the model is", {})
    _route(app, "/api/map", map_, "GET", "The most frequent tokens in two dimensions", limit)


def _add_page(app: FastAPI) -> None:
    async def index() -> Response:
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    app.add_api_route("/", index, methods=["GET"], include_in_schema=False)
    app.mount("/page", _Assets(directory=PAGE, packages=[("embedkit.atlas", "viewer")]), name="page")


class _Assets(StaticFiles):
    """Files of the page, asked about each time: a browser must not mix those of two versions."""

    def file_response(self, *args: Any, **more: Any) -> Response:
        """Return the file, or that it has not changed."""
        response = super().file_response(*args, **more)
        response.headers["cache-control"] = "no-cache"
        return response


def _route(app: FastAPI, path: str, endpoint: Any, method: str, summary: str, extra: dict[str, Any]) -> None:
    error = {"type": "object", "properties": {"error": {"type": "string"}, "field": {"type": "string"}}}
    refused = {"description": "The fact and the remedy", "content": {"application/json": {"schema": error}}}
    app.add_api_route(
        path,
        endpoint,
        methods=[method],
        summary=summary,
        operation_id=f"{method.lower()}{path.replace('/', '_')}",
        response_class=Response,
        responses={
            200: {"description": "The answer", "content": {"application/json": {}}},
            202: {"description": "Not yet: ask again after `retry_after` seconds"},
            "4XX": refused,
            503: refused,
        },
        openapi_extra=extra,
    )


def _summary(path: str, kind: type[asked.Parameters]) -> str:
    return f"{path.rpartition('/')[2].capitalize()}: {(kind.__doc__ or '').rstrip('.').lower()}"


async def _body(request: Request, live: Live) -> bytes:
    """Return the body, which must be there in time and no larger than allowed."""
    most, parts, size = live.settings.max_body, [], 0
    try:
        async with asyncio.timeout(live.settings.patience):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise Refusal(413, f"the body has more than {most:,} bytes; send less.")
                parts.append(part)
                live.arriving += len(part)
                if live.arriving > _MOST_BODIES * most:
                    raise Refusal(503, "too many bodies arrive at a time; ask again.", retry_after=1)
    except TimeoutError as error:
        raise Refusal(
            408, f"the body was not there within {live.settings.patience:g} seconds; send it again."
        ) from error
    except ClientDisconnect as error:  # nobody reads this, but the metrics count it for what it is
        raise Refusal(400, "the connection ended before the body was there; send it again.") from error
    finally:
        live.arriving -= sum(map(len, parts))
    return b"".join(parts)


async def _refused(request: Request, error: Any) -> Response:
    return reply(error.body, error.status, error.headers)


async def _could_not(request: Request, error: Exception) -> Response:
    # Names that were asked for are refused where they are looked up: what is missing here is the model's own.
    return reply({"error": " ".join(str(error).split())}, 422)


async def _no_such_route(request: Request, error: Any) -> Response:
    path, method = request.scope["path"], request.scope["method"]
    message = str(error.detail)
    if error.status_code == 404:
        message = f"there is nothing at {path[:200]}; /openapi.json tells what there is."
    if error.status_code == 405:
        allowed = "GET, HEAD, POST" if path in [row[0] for row in _POSTS] else "GET, HEAD"
        return reply({"error": f"{path} does not take {method}; it takes {allowed}."}, 405, {"allow": allowed})
    return reply({"error": message}, error.status_code, error.headers)
