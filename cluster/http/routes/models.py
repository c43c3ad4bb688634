"""The model that is served, by each of its names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cluster.http.errors import refused
from cluster.http.faces.face import Served
from cluster.http.link import Link
from cluster.http.names import names_of
from cluster.http.routes.route import At, get, json_response, with_and_without_v1
from cluster.http.server import Server


def model_routes(server: Server) -> Iterator[At]:
    link = server.link

    async def models(request: Request) -> Response:
        served = link.require()
        if "anthropic-version" in request.headers:
            found = [_anthropic(name, link) for name in names_of(served)]
            ends = {"first_id": found[0]["id"], "last_id": found[-1]["id"]}
            return json_response({"data": found, "has_more": False, **ends})
        return json_response(
            {
                "object": "list",
                "data": [_openai(name, served, link) for name in names_of(served)[:1]],
                "models": [_ollama(served)],
            }
        )

    async def model(request: Request) -> Response:
        served, name = link.require(), request.path_params["name"]
        if name not in names_of(served):
            message = f"model: {name[:100]!r} is not served here; ask for {served.alias!r}"
            raise refused(404, "not_found_error", message, "model_not_found")
        if "anthropic-version" in request.headers:
            return json_response(_anthropic(name, link))
        return json_response(_openai(name, served, link))

    yield from with_and_without_v1(get("/models", models), get("/models/{name:path}", model))


def _openai(name: str, served: Served, link: Link) -> dict[str, Any]:
    """With what llama-server and vLLM add."""
    model = served.model
    return {
        "id": name,
        "object": "model",
        "created": link.created_s,
        "owned_by": "ggml-cluster",
        "aliases": list(names_of(served)),
        "max_model_len": model.context_length,
        "meta": {
            "vocab_type": model.vocab_type,
            "n_vocab": model.vocab_size,
            "n_ctx": model.context_length,
            "n_ctx_train": model.context_length_train,
            "n_embd": model.hidden_width,
            "n_params": model.num_parameters,
            "size": model.size_bytes,
            "ftype": model.file_type,
        },
        "status": {"value": "loaded"},
    }


def _anthropic(name: str, link: Link) -> dict[str, Any]:
    created = datetime.fromtimestamp(link.created_s, UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": name, "display_name": name, "created_at": created}


def _ollama(served: Served) -> dict[str, Any]:
    return {
        "name": served.alias,
        "model": served.alias,
        "modified_at": "",
        "size": str(served.model.size_bytes),
        "digest": served.model.hash,
        "type": "model",
        "description": "",
        "tags": list(names_of(served)[1:]),
        "capabilities": ["completion"],
        "parameters": "",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": served.model.architecture,
            "families": [served.model.architecture],
            "parameter_size": str(served.model.num_parameters),
            "quantization_level": served.model.file_type,
        },
    }
