"""Whether the server lives, and whether the cluster behind it serves."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cluster.http.limits import RETRY_S
from cluster.http.link import Link
from cluster.http.routes.route import At, get, json_response, with_and_without_v1
from cluster.http.server import Server

VERSION = version("ggml-cluster")


def health_routes(server: Server) -> Iterator[At]:
    async def health(request: Request) -> Response:
        return _health(server.link)

    async def alive(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def version_of(request: Request) -> Response:
        return json_response({"version": VERSION})

    yield from with_and_without_v1(get("/health", health))
    yield get("/livez", alive)
    yield get("/readyz", health)
    yield from with_and_without_v1(get("/version", version_of))


def _health(link: Link) -> Response:
    if link.is_ready:
        return json_response({"status": "ok", **_state(link)})
    error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
    if link.is_draining:
        error["message"] = "Server is shutting down"
    elif link.served is not None and link.status is not None:
        error["message"] = f"The cluster is {link.status.state}"
    return json_response({"error": error, **_state(link)}, 503, {"retry-after": f"{RETRY_S:.0f}"})


def _state(link: Link) -> dict[str, Any]:
    status = link.status
    if status is None:
        return {"state": "away", "reason": link.reason, "stages": 0, "stages_ready": 0}
    return {
        "state": str(status.health.condition),
        "reason": status.health.reason,
        "stages": len(status.stages),
        "stages_ready": sum(stage.facts.health.is_ready for stage in status.stages),
    }
