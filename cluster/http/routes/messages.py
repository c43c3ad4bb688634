"""Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from cluster.http.counting import count_tokens
from cluster.http.faces.messages.face import MessagesFace
from cluster.http.routes.route import At, generating, json_response, post, with_and_without_v1
from cluster.http.server import Server


def message_routes(server: Server) -> Iterator[At]:
    face = MessagesFace()

    async def count(request: Request) -> Response:
        return json_response({"input_tokens": await count_tokens(server, face, request)})

    yield from with_and_without_v1(
        generating("/messages", face, server.answering),
        post("/messages/count_tokens", count, face.error),
    )
