"""One request and its answer, over ASGI: bytes in, bytes out, and what becomes of it when the client goes."""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from cluster.http.connection import connection_of
from cluster.http.errors import INVALID, refused
from cluster.http.faces.face import Problem
from cluster.http.limits import BODY_S, MAX_BODY_BYTES, MAX_DEADLINE_MS, MAX_JSON_DEPTH

Receive = Callable[[], Any]
Send = Callable[[Any], Any]
JSON = "application/json"
NO_HEADERS: Mapping[str, str] = {}
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Exchange:
    """For one task."""

    def __init__(self, scope: Any, receive: Receive, send: Send) -> None:
        self._receive = receive
        self.send = send
        self._connection = connection_of(scope)
        self.headers: Mapping[str, str] = scope["state"]["headers"]
        self.request_id: str = scope["state"]["request_id"]
        self.has_begun = False  # something was sent
        self.is_sending = False  # a piece waits for the client to take what came before it
        self.sent_s = time.monotonic()  # when a piece was sent last

    @contextmanager
    def cancelled_when_lost(self) -> Iterator[None]:
        """The task that is in the block is cancelled as soon as the client has gone."""
        task = asyncio.current_task()
        assert task is not None, "it runs in one"
        self._connection.on_lost = task.cancel
        try:
            yield
        finally:
            self._connection.on_lost = None

    def abort(self) -> None:
        """End the connection; what was not taken is dropped."""
        self._connection.abort()

    @property
    def deadline_s(self) -> float | None:
        """How long the client waits at most, in seconds from now, as its header x-request-timeout-ms says."""
        given = self.headers.get("x-request-timeout-ms", "")
        if not given.isascii() or not given.isdigit() or not 0 < int(given[:12]) <= MAX_DEADLINE_MS:
            return None
        return int(given) / 1000

    async def read(self) -> bytes:
        """The body, inflated. RefusedError for one that is too long, too slow or compressed as we do not know."""
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", ""):
            raise refused(415, INVALID, f"content-encoding: {encoding[:40]!r} is not known; send it plain, or gzip")
        length = self.headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:20]) > MAX_BODY_BYTES:
            raise _too_long()
        try:
            async with asyncio.timeout(BODY_S):
                body = await self._all()
        except TimeoutError:
            raise refused(408, INVALID, f"body: it has not come within {BODY_S:.0f} s") from None
        return _inflated(body) if encoding == "gzip" else body

    async def reply(
        self, status: int, body: bytes, content_type: str = JSON, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """The whole answer."""
        await self._begin(status, content_type, {"content-length": str(len(body)), **headers})
        await self.send({"type": "http.response.body", "body": body})

    async def reply_problem(
        self, problem: Problem, body: Mapping[str, Any], headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """An error, where nothing was sent yet; says when to come again."""
        await self.reply(problem.status, orjson.dumps(body), headers={**retry_headers(problem), **headers})

    async def begin(self, content_type: str, first: bytes) -> None:
        """A stream; `first` goes with its headers."""
        if not self.has_begun:
            self.has_begun = True
            await self._begin(200, content_type, {"cache-control": "no-cache", "x-accel-buffering": "no"})
        if first:
            await self.write(first)

    async def write(self, data: bytes) -> None:
        """A piece of a stream. Waits while the client does not take what came before."""
        self.is_sending = True
        self.sent_s = time.monotonic()
        await self.send({"type": "http.response.body", "body": data, "more_body": True})
        self.is_sending = False

    async def end(self) -> None:
        await self.send({"type": "http.response.body", "body": b""})

    async def _begin(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self.has_begun = True
        pairs = [(b"content-type", content_type.encode())]
        pairs += [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def _all(self) -> bytes:
        parts, size_bytes, more = [], 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise asyncio.CancelledError
            parts.append(message.get("body", b""))
            size_bytes += len(parts[-1])
            if size_bytes > MAX_BODY_BYTES:
                raise _too_long()
            more = message.get("more_body", False)
        return b"".join(parts)


def retry_headers(problem: Problem) -> dict[str, str]:
    """When to come again, in the two headers that clients read."""
    if problem.retry_after_s is None:
        return {}
    seconds = max(1, round(problem.retry_after_s))
    return {"retry-after": str(seconds), "retry-after-ms": str(round(1000 * problem.retry_after_s))}


def json_object(body: bytes) -> Mapping[str, Any]:
    """The object that a body is. RefusedError for any other; nothing of it is deeper than MAX_JSON_DEPTH."""
    found: Mapping[str, Any] = _json(body, dict, "object", "{}")
    return found


def json_list(body: bytes) -> Sequence[Any]:
    """The same of a list."""
    found: Sequence[Any] = _json(body, list, "list", "[]")
    return found


def _json(body: bytes, kind: type, name: str, example: str) -> Any:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise refused(400, INVALID, f"body: it is no JSON ({str(error)[:200]}); send one such as {example}") from None
    if not isinstance(found, kind):
        raise refused(400, INVALID, f"body: it is no JSON {name}; send one such as {example}")
    if _is_deep(body):
        raise refused(400, INVALID, f"body: nested more than {MAX_JSON_DEPTH} deep; send a flatter one")
    return found


def _is_deep(body: bytes) -> bool:
    """Whether valid JSON is nested deeper than MAX_JSON_DEPTH. All loops over its bytes are C's."""
    if body.count(b"[") + body.count(b"{") <= MAX_JSON_DEPTH:
        return False
    brackets = _STRINGS.sub(b"", body).translate(_SQUARE, _NO_BRACKETS)
    for _ in range(MAX_JSON_DEPTH):
        brackets = brackets.replace(b"[]", b"")  # the innermost level
        if not brackets:
            return False
    return True


def _inflated(body: bytes) -> bytes:
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        found = inflate.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise refused(400, INVALID, "body: it is no gzip, as content-encoding says") from None
    if len(found) > MAX_BODY_BYTES:
        raise _too_long()
    if not inflate.eof:
        raise refused(400, INVALID, "body: its gzip ends too early")
    return found


def _too_long() -> Exception:
    return refused(413, "request_too_large", f"body: more than {MAX_BODY_BYTES} bytes; send less", "request_too_large")
