"""What every request passes first and last: a name, who may ask, from which page, and a line in the log."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.http.connection import connection_of
from cluster.http.errors import RefusedError, problem_for
from cluster.http.exchange import Exchange
from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import SpelledError
from cluster.http.keys import ApiKeys
from cluster.http.metrics import Metrics
from cluster.http.origins import Origins

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_access = logging.getLogger("cluster.http.access")


class Doors:
    """Around the application. What it asks for is asked before a byte of a body is read."""

    def __init__(
        self,
        app: ASGIApp,
        keys: ApiKeys,
        origins: Origins,
        metrics: Metrics,
        public: frozenset[str],
        errors: Mapping[str, SpelledError],
    ) -> None:
        """`public`: paths that need no key. `errors`: how each path spells what is refused here."""
        self._app = app
        self._keys = keys
        self._origins = origins
        self._metrics = metrics
        self._public = public
        self._errors = errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        begun_s = time.monotonic()
        headers = headers_of(scope)
        request_id = _request_id(headers)
        scope["state"].update(headers=headers, request_id=request_id)
        own = self._own_headers(request_id, headers)
        sent = _Sent()

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent.status = message["status"]
                message["headers"] = [*message["headers"], *own]
            else:
                sent.num_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._pass(scope, receive, send_marked, headers)
        except asyncio.CancelledError:  # the client has gone, or the server is going
            if not sent.status:
                sent.status = 499
        finally:
            connection_of(scope).on_lost = None
            self._metrics.answered(_pattern(scope), sent.status)
            took_ms = 1000 * (time.monotonic() - begun_s)
            _access.info(
                "%s %s %d %d bytes %.0f ms %s",
                scope["method"],
                _printable(scope["path"]),
                sent.status,
                sent.num_bytes,
                took_ms,
                request_id,
            )

    async def _pass(self, scope: Scope, receive: Receive, send: Any, headers: Mapping[str, str]) -> None:
        exchange = Exchange(scope, receive, send)
        try:
            self._origins.check(headers, are_keys_asked_for=self._keys.are_asked_for)
            if scope["method"] == "OPTIONS":
                await exchange.reply(204, b"", headers=self._origins.preflight(headers))
                return
            if scope["path"] not in self._public:
                self._keys.check(headers)
        except RefusedError as error:
            problem = replace(problem_for(error, exchange.request_id), request_id=exchange.request_id)
            spelled = self._errors.get(scope["path"], openai_error)
            await exchange.reply_problem(problem, spelled(problem))
            return
        scope["state"]["exchange"] = exchange
        await self._app(scope, receive, send)

    def _own_headers(self, request_id: str, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        named = {"x-request-id": request_id, "request-id": request_id, **self._origins.answer(headers)}
        return [(name.encode(), value.encode()) for name, value in named.items()]


class _Sent:
    status = 0
    num_bytes = 0


def headers_of(scope: Scope) -> dict[str, str]:
    """By name in lower case; of those that come twice, the last one."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _request_id(headers: Mapping[str, str]) -> str:
    """The client's, if it is one that may stand in a log; else a new one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)


def _pattern(scope: Scope) -> str:
    """The route that matched: of paths that nobody serves, there are too many to count apart."""
    return str(scope["state"].get("pattern", "other"))


def _printable(path: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in path[:200])
