"""GET /openapi.json: the endpoints, described."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson
from starlette.requests import Request
from starlette.responses import Response

from cluster.http.exchange import JSON
from cluster.http.routes.openapi.document import document
from cluster.http.routes.route import At, get
from cluster.http.server import Server


def described_routes(server: Server, routes: Sequence[At]) -> Iterator[At]:
    """`routes`: all others."""

    async def described(request: Request) -> Response:
        return Response(content, media_type=JSON)

    own = get("/openapi.json", described)
    content = orjson.dumps(document([*routes, own], are_keys_asked_for=bool(server.settings.api_keys)))
    yield own
