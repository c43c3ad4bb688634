"""What llama-server's clients ask of a server: its properties and its slots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cluster.api.sampling import SamplingParams
from cluster.api.status import SlotState, SlotStatus
from cluster.http.errors import refused
from cluster.http.faces.adapters import LORA, adapter_object, scales_of
from cluster.http.faces.chat_events import FINGERPRINT
from cluster.http.faces.llama import generation_settings
from cluster.http.limits import RETRY_S
from cluster.http.link import Link
from cluster.http.routes.route import At, Handler, get, items_of, json_response, post, with_and_without_v1
from cluster.http.server import Server

# What llama-server has and we have not, with what to do instead.
NOT_SERVED = {
    "/infill": "filling in the middle is not served; ask /v1/completions with the model's own marks",
    "/tools": "no tools run here; give yours in a request",
    "/cors-proxy": "this server asks no other",
    "/chat/completions/control": "an answer is ended by closing its connection, or by /v1/cancel/{id}",
    "/v1/stream": "a stream is not taken up again; ask anew",
    "/models/load": "the one model that is served was named at the start; run cluster up MODEL",
    "/models/unload": "the one model that is served stays; run cluster down",
    "/slots/{slot}": "the state of a slot is not saved",
    "/props": "properties are set at the start; run cluster up --help",
    "/embedding": "ask /v1/embeddings",
}


def prop_routes(server: Server) -> Iterator[At]:
    async def props(request: Request) -> Response:
        return json_response(_props(server))

    async def slots(request: Request) -> Response:
        served = server.link.require()
        found = await server.link.client.slots()
        if request.query_params.get("fail_on_no_slot") and all(slot.state is not SlotState.IDLE for slot in found):
            raise refused(503, "unavailable_error", "slots: none is free; try again later", "no_slot", RETRY_S)
        return json_response([_slot(slot, served.model.context_length) for slot in found])

    async def adapters(request: Request) -> Response:
        server.link.require()
        return json_response([adapter_object(*one) for one in enumerate(await server.link.client.adapters())])

    async def rescale(request: Request) -> Response:
        scales = scales_of(await items_of(request), LORA)
        server.link.require()
        await server.link.client.adapters(dict(scales))
        return json_response({"success": True})

    yield from with_and_without_v1(get("/props", props))
    yield get("/lora-adapters", adapters)
    yield post("/lora-adapters", rescale)
    yield get("/slots", slots)
    for path, why in NOT_SERVED.items():
        yield post(path, _refusing(path, why))


def _props(server: Server) -> dict[str, Any]:
    link, settings = server.link, server.settings
    served = link.require()
    model, chat = served.model, _chat(link)
    params = generation_settings(SamplingParams(max_tokens=None))
    defaults = {
        "id": 0,
        "id_task": -1,
        "n_ctx": model.context_length,
        "speculative": False,
        "is_processing": False,
        "params": params,
        "prompt": "",
    }
    pieces = served.vocabulary.pieces
    return {
        "default_generation_settings": defaults,
        "total_slots": served.num_slots,
        "model_alias": served.alias,
        "model_path": model.name,
        "model_ftype": model.file_type,
        "modalities": {"vision": model.takes_pictures, "audio": False, "video": False},
        "endpoint_slots": True,
        "endpoint_props": False,
        "endpoint_metrics": settings.metrics,
        "ui": settings.page,
        "ui_settings": {},
        "webui": settings.page,
        **chat,
        "bos_token": _token(pieces, model.bos),
        "eos_token": _token(pieces, model.eos),
        "build_info": FINGERPRINT,
        "is_sleeping": False,
        "cors_proxy_enabled": False,
    }


def _slot(slot: SlotStatus, context_length: int) -> dict[str, Any]:
    """Never a word of any text."""
    is_processing = slot.state is not SlotState.IDLE
    next_token = {"has_next_token": is_processing, "n_remain": -1, "n_decoded": slot.num_generated}
    return {
        "id": slot.id,
        "n_ctx": context_length,
        "speculative": False,
        "is_processing": is_processing,
        "id_task": slot.id if is_processing else -1,
        "n_prompt_tokens": slot.num_prompt_tokens,
        "n_prompt_tokens_processed": max(0, slot.num_computed - slot.num_cached_tokens),
        "n_prompt_tokens_cache": slot.num_cached_tokens,
        "next_token": [next_token],
        "age_s": round(slot.age_s, 3),
    }


def _chat(link: Link) -> dict[str, Any]:
    """Of the templates, and of what is made of answers."""
    if link.chat is None:
        return {"chat_template": "", "chat_template_caps": {}, "chat_template_error": link.chat_trouble}
    facts = dict(link.chat.facts)
    template = facts.pop("chat_template", None)
    served = link.require()
    if template is None:
        template = served.settings.chat_template or served.model.chat_templates.get("", "")
    found = {"chat_template": template, **facts}
    tool_use = served.model.chat_templates.get("tool_use")
    if tool_use and not served.settings.chat_template:
        found["chat_template_tool_use"] = tool_use
    found.setdefault("chat_template_caps", {})
    return found


def _token(pieces: tuple[bytes, ...], token: int | None) -> str:
    return "" if token is None or token >= len(pieces) else pieces[token].decode(errors="replace")


def _refusing(path: str, why: str) -> Handler:
    async def handler(request: Request) -> Response:
        raise refused(501, "not_supported_error", f"{path}: {why}", "not_supported")

    return handler
