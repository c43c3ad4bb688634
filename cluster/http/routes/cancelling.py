"""POST /v1/cancel/{id}: ends an answer, for those who cannot close the connection that waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from cluster.http.errors import refused
from cluster.http.routes.route import At, json_response, post
from cluster.http.server import Server


def cancel_routes(server: Server) -> Iterator[At]:
    async def cancel(request: Request) -> Response:
        given = request.path_params["request_id"]
        # The id of an answer is that of its request behind a word: chatcmpl-, resp_ and so on.
        names = (given, given.partition("-")[2], given.partition("_")[2])
        if not any(server.answering.cancel(name) for name in names if name):
            raise refused(404, "not_found_error", "id: no such answer is open; it may have ended", "not_found")
        return json_response({"cancelled": True})

    yield post("/v1/cancel/{request_id}", cancel)
