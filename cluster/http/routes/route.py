"""A path with a method, and the ways to say what answers there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.http.answering import Answering
from cluster.http.errors import problem_for
from cluster.http.exchange import JSON, Exchange, json_list, json_object
from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import Body, Face, SpelledError

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class At:
    """GET is HEAD, too. Paths are Starlette's patterns."""

    method: str
    path: str
    app: ASGIApp
    error: SpelledError = openai_error  # of what is refused here


def get(path: str, handler: Handler, error: SpelledError = openai_error) -> At:
    """`error` spells what the handler raises: a ClusterError, a RefusedError, or whatever else went wrong."""
    return At("GET", path, _Endpoint(handler, error), error)


def post(path: str, handler: Handler, error: SpelledError = openai_error) -> At:
    return At("POST", path, _Endpoint(handler, error), error)


def delete(path: str, handler: Handler, error: SpelledError = openai_error) -> At:
    return At("DELETE", path, _Endpoint(handler, error), error)


def generating(path: str, face: Face, answering: Answering) -> At:
    """Where a face answers what is posted."""
    return At("POST", path, _Generating(face, answering), face.error)


def with_and_without_v1(*routes: At) -> Iterator[At]:
    """Each of them, and the same one below /v1."""
    for route in routes:
        yield route
        yield replace(route, path=f"/v1{route.path}")


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, dict(headers or {}), JSON)


async def body_of(request: Request) -> Body:
    """The JSON object that was posted. RefusedError for anything else."""
    exchange: Exchange = request.scope["state"]["exchange"]
    return json_object(await exchange.read())


async def items_of(request: Request) -> Sequence[Any]:
    """The JSON list that was posted. RefusedError for anything else."""
    exchange: Exchange = request.scope["state"]["exchange"]
    return json_list(await exchange.read())


def request_id_of(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


class _Endpoint:
    def __init__(self, handler: Handler, error: SpelledError) -> None:
        self._handler = handler
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["state"]["exchange"]
        with exchange.cancelled_when_lost():
            try:
                response = await self._handler(Request(scope))
            except Exception as error:
                problem = replace(problem_for(error, exchange.request_id), request_id=exchange.request_id)
                await exchange.reply_problem(problem, self._error(problem))
                return
            await response(scope, receive, exchange.send)


class _Generating:
    def __init__(self, face: Face, answering: Answering) -> None:
        self._face = face
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["state"]["exchange"]
        with exchange.cancelled_when_lost():
            await self._answering.answer(self._face, exchange)
