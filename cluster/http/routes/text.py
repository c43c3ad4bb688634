"""Text and its tokens, in llama-server's shape and in vLLM's, which are told apart by the key."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from cluster.http.faces.fields import Fields
from cluster.http.routes.route import At, body_of, json_response, post, with_and_without_v1
from cluster.http.server import Server


def text_routes(server: Server) -> Iterator[At]:
    link = server.link

    async def tokenize(request: Request) -> Response:
        link.require()
        fields = Fields(await body_of(request))
        text = fields.text("content")
        ids = await link.client.tokenize(
            text, add_special=fields.flag("add_special"), parse_special=fields.flag("parse_special", True)
        )
        return json_response({"tokens": ids})

    yield from with_and_without_v1(post("/tokenize", tokenize))
