"""The table of all endpoints. A new one is a line here."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.http.faces.chat import ChatCompletions
from cluster.http.faces.completions import Completions
from cluster.http.faces.llama import LlamaCompletion
from cluster.http.routes.cancelling import cancel_routes
from cluster.http.routes.embeddings import embedding_routes
from cluster.http.routes.health import health_routes
from cluster.http.routes.messages import message_routes
from cluster.http.routes.metrics import metrics_routes
from cluster.http.routes.models import model_routes
from cluster.http.routes.ollama import ollama_routes
from cluster.http.routes.openapi.route import described_routes
from cluster.http.routes.page import PageFile, page_routes
from cluster.http.routes.props import prop_routes
from cluster.http.routes.responses import response_routes
from cluster.http.routes.route import At, generating, with_and_without_v1
from cluster.http.routes.text import text_routes
from cluster.http.routes.watched import watched_routes
from cluster.http.server import Server


def routes_of(server: Server, page: tuple[PageFile, ...]) -> Iterator[At]:
    """Where two have a path in common, the later one has it."""
    endpoints = tuple(_endpoints(server))
    yield from endpoints
    yield from described_routes(server, endpoints)
    yield from page_routes(server.settings, page)


def _endpoints(server: Server) -> Iterator[At]:
    answering = server.answering
    yield from with_and_without_v1(
        generating("/chat/completions", ChatCompletions(), answering),
        generating("/completions", Completions(), answering),
    )
    yield generating("/completion", LlamaCompletion(), answering)
    yield from health_routes(server)
    yield from model_routes(server)
    yield from text_routes(server)
    yield from response_routes(server)
    yield from message_routes(server)
    yield from ollama_routes(server)
    yield from embedding_routes(server)
    yield from cancel_routes(server)
    yield from watched_routes(server)
    yield from metrics_routes(server)
    yield from prop_routes(server)
