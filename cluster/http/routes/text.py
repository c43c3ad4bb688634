"""Text and its tokens, in llama-server's shape and in vLLM's, which are told apart by the key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cluster.http.counting import count_tokens
from cluster.http.faces.chat import ChatCompletions, chat_request
from cluster.http.faces.face import Body, Served
from cluster.http.faces.fields import Fields
from cluster.http.routes.route import At, body_of, json_response, post, with_and_without_v1
from cluster.http.server import Server


def text_routes(server: Server) -> Iterator[At]:
    link, answering, face = server.link, server.answering, ChatCompletions()

    async def tokenize(request: Request) -> Response:
        served = link.require()
        fields = Fields(await body_of(request))
        if fields.any("prompt") is None and fields.any("messages") is None:
            return json_response(await _llama_tokens(server, fields, served))
        return json_response(await _vllm_tokens(server, fields, served))

    async def detokenize(request: Request) -> Response:
        served = link.require()
        fields = Fields(await body_of(request))
        text = await link.client.detokenize(_ids(fields, served))
        return json_response({"content": text, "prompt": text})

    async def apply_template(request: Request) -> Response:
        served = link.require()
        turn = await answering.turn(chat_request(Fields(await body_of(request)), served))
        return json_response({"prompt": turn.text})

    async def input_tokens(request: Request) -> Response:
        number = await count_tokens(server, face, request)
        return json_response({"object": "response.input_tokens", "input_tokens": number})

    yield from with_and_without_v1(
        post("/tokenize", tokenize),
        post("/detokenize", detokenize),
        post("/apply-template", apply_template),
        post("/chat/completions/input_tokens", input_tokens),
    )


async def _llama_tokens(server: Server, fields: Fields, served: Served) -> Body:
    ids = await server.link.client.tokenize(
        fields.text("content"), add_special=fields.flag("add_special"), parse_special=fields.flag("parse_special", True)
    )
    if not fields.flag("with_pieces"):
        return {"tokens": ids}
    return {"tokens": [{"id": one, "piece": _piece(served.vocabulary.pieces[one])} for one in ids]}


async def _vllm_tokens(server: Server, fields: Fields, served: Served) -> Body:
    client = server.link.client
    prompt: Any
    if fields.any("messages") is not None:
        turn = await server.answering.turn(chat_request(fields, served))
        prompt, add_special = turn.prompt, fields.flag("add_special_tokens", turn.add_special)
    else:
        prompt, add_special = fields.text("prompt"), fields.flag("add_special_tokens", True)
    is_text = isinstance(prompt, str)  # segments say for themselves what is special
    ids = await client.tokenize(prompt, add_special=add_special, parse_special=is_text)
    found: dict[str, Any] = {"count": len(ids), "max_model_len": served.model.context_length, "tokens": ids}
    if fields.flag("return_token_strs"):
        found["token_strs"] = [served.vocabulary.pieces[one].decode(errors="replace") for one in ids]
    return found


def _piece(piece: bytes) -> str | list[int]:
    """Its text; the bytes of one that is no whole text."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)


def _ids(fields: Fields, served: Served) -> list[int]:
    ids = list(fields.items("tokens"))
    for place, one in enumerate(ids):
        if isinstance(one, bool) or not isinstance(one, int) or not 0 <= one < served.model.vocab_size:
            raise fields.wrong(
                "tokens", f"item {place} is no token of this model; give 0 to {served.model.vocab_size - 1}"
            )
    return ids
