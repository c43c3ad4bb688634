"""How many tokens a body's prompt has: what comes before an answer, and nothing of the answer."""

from __future__ import annotations

from starlette.requests import Request

from cluster.chat.messages import ChatRequest
from cluster.http.errors import INVALID, refused
from cluster.http.exchange import Exchange
from cluster.http.faces.face import Asked, Face
from cluster.http.server import Server


async def count_tokens(server: Server, face: Face, request: Request) -> int:
    """ClusterError, or RefusedError, as of the request itself; a prompt that is too long for the context is counted."""
    served = server.link.require()
    exchange: Exchange = request.scope["state"]["exchange"]
    asked = await server.answering.asked(face, exchange, served)
    if not isinstance(asked, Asked) or not isinstance(asked.request, ChatRequest):
        raise refused(400, INVALID, "messages: there are none to count; give at least one")
    turn = await server.answering.turn(asked.request)
    return len(await server.link.client.tokenize(turn.prompt, add_special=turn.add_special))
