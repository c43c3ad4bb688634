"""Ollama's own API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from cluster.http.errors import refused
from cluster.http.faces.face import Body, Problem
from cluster.http.faces.ollama.chat import OllamaChatFace
from cluster.http.faces.ollama.generate import OllamaGenerateFace
from cluster.http.faces.ollama.listing import REFUSED, Abilities, refusal, running, shown, tags
from cluster.http.routes.health import VERSION
from cluster.http.routes.route import At, Handler, body_of, delete, generating, get, json_response, post
from cluster.http.server import Server

# How GGUF numbers the ways in which one vector is made of a text.
_EMBEDDING = ("1", "2", "3")


def ollama_routes(server: Server) -> Iterator[At]:
    link = server.link

    async def here(request: Request) -> Response:
        return Response("Ollama is running", media_type="text/plain")

    async def version(request: Request) -> Response:
        return json_response({"version": VERSION})

    async def listed(request: Request) -> Response:
        return json_response(tags(link.require(), _since(server)))

    async def processes(request: Request) -> Response:
        return json_response(running(link.require()))

    async def show(request: Request) -> Response:
        served = link.require()
        await body_of(request)
        return json_response(shown(served, _abilities(server), _since(server)))

    yield get("/", here)  # where there is a page, it comes instead
    yield get("/api/version", version, ollama_error)
    yield get("/api/tags", listed, ollama_error)
    yield get("/api/ps", processes, ollama_error)
    yield post("/api/show", show, ollama_error)
    yield generating("/api/chat", OllamaChatFace(), server.answering)
    yield generating("/api/generate", OllamaGenerateFace(), server.answering)
    for name in REFUSED:
        at = delete if name == "delete" else post
        yield at(f"/api/{name}", _refusing(name), ollama_error)


def _refusing(name: str) -> Handler:
    async def handler(request: Request) -> Response:
        raise refused(501, "not_supported_error", refusal(name), "not_supported")

    return handler


def ollama_error(problem: Problem) -> Body:
    return {"error": problem.message}


def _since(server: Server) -> datetime:
    return datetime.fromtimestamp(server.link.created_s, UTC)


def _abilities(server: Server) -> Abilities:
    link = server.link
    served = link.require()
    template = served.settings.chat_template or served.model.chat_templates.get("", "")
    facts = link.chat.facts if link.chat is not None else {}
    pooling = served.model.metadata.get(f"{served.model.architecture}.pooling_type", "0")
    return Abilities(template, bool(facts.get("tool_format")), bool(facts.get("reasoning")), pooling in _EMBEDDING)
