"""The document: the table of endpoints, with what each of them takes and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import Problem, SpelledError
from cluster.http.faces.messages.face import MessagesFace
from cluster.http.keys import ALWAYS_PUBLIC
from cluster.http.routes.health import VERSION
from cluster.http.routes.ollama import ollama_error
from cluster.http.routes.openapi.operations import JSON_TYPE, Operation, operation_of
from cluster.http.routes.openapi.sampling import Schema
from cluster.http.routes.openapi.schemas import SHARED, TEXT
from cluster.http.routes.route import At

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_ABOUT = (
    "The model of this cluster, as clients of OpenAI, Anthropic, Ollama and llama-server ask for it. null is as good "
    "as an absent field, and fields that are not known are passed over. A stream says of an error as an event."
)
_ENVELOPES: dict[str, SpelledError] = {
    "Error": openai_error,
    "AnthropicError": MessagesFace().error,
    "OllamaError": ollama_error,
}
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
}


def document(routes: Iterable[At], are_keys_asked_for: bool) -> dict[str, Any]:
    """An OpenAPI document of these. Of two at one place, the later one has it, as when they are served."""
    paths: dict[str, dict[str, Any]] = {}
    for at in routes:
        operation = operation_of(at.method, at.path)
        paths.setdefault(_PARAMETER.sub(r"{\1}", at.path), {})[at.method.lower()] = _described(at, operation)
    keys: dict[str, Any] = {"security": [{name: []} for name in _KEYS]} if are_keys_asked_for else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ggml-cluster", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        **keys,
        "paths": paths,
        "components": {
            "schemas": SHARED | {name: _shape(spell(_PROBLEM)) for name, spell in _ENVELOPES.items()},
            "securitySchemes": _KEYS,
        },
    }


def _described(at: At, operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": _id(at),
        "summary": operation.summary,
        "responses": _responses(at, operation),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": TEXT} for name, _ in _PARAMETER.findall(at.path)
    ]
    if parameters:
        found["parameters"] = parameters
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": {JSON_TYPE: {"schema": operation.body}}}
    if at.path in ALWAYS_PUBLIC:
        found["security"] = []
    return found


def _responses(at: At, operation: Operation) -> dict[str, Any]:
    error = {"content": {JSON_TYPE: {"schema": {"$ref": f"#/components/schemas/{_envelope(at)}"}}}}
    found: dict[str, Any] = {}
    if operation.is_served:
        content = {kind: _answer(operation) if kind == JSON_TYPE else {} for kind in operation.media_types}
        found["200"] = {"description": "The answer", "content": content}
    found["4XX"] = {"description": "What is wrong with the request, by its field", **error}
    found["501"] = {"description": "What this model, or this server, has not", **error}
    if operation.is_served:
        # What load balancers read has a form of its own.
        away = error if at.path not in ALWAYS_PUBLIC else {"content": {JSON_TYPE: {"schema": {"type": "object"}}}}
        wait = {"headers": {"retry-after": {"schema": {"type": "integer"}, "description": "in seconds"}}}
        found["503"] = {"description": "Loading, repairing, or going down", **wait, **away}
    if operation.generates:
        found["504"] = {"description": "The deadline of the header x-request-timeout-ms has passed", **error}
    return found


def _answer(operation: Operation) -> dict[str, Schema]:
    if not operation.has:
        return {"schema": {}}
    return {"schema": {"type": "object", "required": list(operation.has)}}


def _envelope(at: At) -> str:
    """The name of the form that the endpoint's errors have."""
    shape = _shape(at.error(_PROBLEM))
    return next(name for name, spell in _ENVELOPES.items() if _shape(spell(_PROBLEM)) == shape)


_PROBLEM = Problem(400, "invalid_request_error", "name: why; what to do", request_id="a-request")


def _shape(value: Any) -> Schema:
    """The schema of a value that is like it; what is null in it may be a string, too."""
    match value:
        case dict():
            return {
                "type": "object",
                "properties": {name: _shape(one) for name, one in value.items()},
                "required": list(value),
            }
        case str():
            return {"type": "string"}
        case int():
            return {"type": "integer"}
        case _:
            return {"type": ["string", "null"]}


def _id(at: At) -> str:
    return re.sub(r"\W+", "_", f"{at.method.lower()}{at.path}").strip("_")
