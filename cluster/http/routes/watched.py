"""The cluster for whoever watches it: its state, its plan, and what happens, as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cluster.api.errors import CapacityError
from cluster.http.limits import KEEP_ALIVE_S
from cluster.http.routes.route import At, get, json_response
from cluster.http.server import Server
from cluster.http.watching.told import told_event, told_history, told_plan, told_state
from cluster.http.watching.watch import MAX_WATCHERS, Look, Seen

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


def watched_routes(server: Server) -> Iterator[At]:
    watch, link = server.watch, server.link

    def state_of(seen: Seen) -> dict[str, Any]:
        return told_state(seen, link.reason, watch.moments[-1] if watch.moments else None)

    async def state(request: Request) -> Response:
        found = state_of(await watch.look())
        events = [told_event(event) for event in reversed(watch.events)]
        return json_response({**found, "history": told_history(watch.moments), "events": events})

    async def plan(request: Request) -> Response:
        return json_response(told_plan((await watch.look()).status))

    async def events(request: Request) -> Response:
        if watch.is_full:
            raise CapacityError(f"events: {MAX_WATCHERS} watch already; close one of the pages")
        if request.method == "HEAD":
            return Response(media_type="text/event-stream", headers=STREAM_HEADERS)
        return StreamingResponse(_told(), media_type="text/event-stream", headers=STREAM_HEADERS)

    async def _told() -> AsyncIterator[bytes]:
        with watch.watching() as queue:
            while not link.is_draining:
                look = await _next(queue)
                if look is None:
                    yield b": ping\n\n"
                    continue
                for event in look.events:
                    yield _event("event", told_event(event))
                yield _event("state", state_of(look.seen))

    yield get("/cluster/state", state)
    yield get("/cluster/plan", plan)
    yield get("/cluster/events", events)


async def _next(queue: asyncio.Queue[Look]) -> Look | None:
    """None after a silence in which a proxy might give up."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_S):
            return await queue.get()
    except TimeoutError:
        return None


def _event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
