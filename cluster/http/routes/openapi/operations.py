"""What each endpoint is for, what it takes, and what it answers. A new one is a line here, too: a test says which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from cluster.http.faces.ollama.listing import REFUSED, refusal
from cluster.http.faces.spelling import NDJSON, SSE
from cluster.http.metrics import CONTENT_TYPE
from cluster.http.routes.openapi import bodies
from cluster.http.routes.openapi.sampling import Schema
from cluster.http.routes.openapi.schemas import ANY_OBJECT
from cluster.http.routes.props import NOT_SERVED

_CONVERTER = re.compile(r":\w+\}")  # of Starlette's patterns
JSON_TYPE, PLAIN_TYPE = "application/json", "text/plain"


@dataclass(frozen=True, slots=True)
class Operation:
    """Of one method at one path, with and without /v1 in front."""

    summary: str
    has: tuple[str, ...] = ()  # fields that an answer in JSON always has; none of them, and it may be any JSON
    body: Schema | None = None
    media_types: tuple[str, ...] = (JSON_TYPE,)
    generates: bool = False  # a client's deadline may end it
    is_served: bool = True  # else it only says what to do instead


def unversioned(path: str) -> str:
    """As it is here: without /v1, and parameters by their names only."""
    return _CONVERTER.sub("}", path.removeprefix("/v1"))


_streamed = partial(Operation, media_types=(JSON_TYPE, SSE), generates=True)
_in_lines = partial(Operation, media_types=(JSON_TYPE, NDJSON), generates=True)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/chat/completions"): _streamed(
        "OpenAI's chat", ("id", "object", "created", "model", "choices", "usage"), bodies.CHAT
    ),
    ("POST", "/completions"): _streamed(
        "Completions of prompts", ("id", "object", "created", "model", "choices", "usage"), bodies.COMPLETIONS
    ),
    ("POST", "/completion"): _streamed("llama-server's own completions", (), bodies.LLAMA_COMPLETION),
    ("POST", "/responses"): _streamed("OpenAI's Responses", ("id", "object", "status", "output"), bodies.RESPONSES),
    ("GET", "/responses/{id}"): Operation("A response that was stored", ("id", "object", "output")),
    ("DELETE", "/responses/{id}"): Operation("A response is forgotten", ("id", "object", "deleted")),
    ("GET", "/responses/{id}/input_items"): Operation("What a stored response answers", ("object", "data")),
    ("POST", "/messages"): _streamed(
        "Anthropic's Messages", ("id", "type", "role", "content", "usage"), bodies.MESSAGES
    ),
    ("POST", "/api/chat"): _in_lines("Ollama's chat", ("model", "created_at", "done"), bodies.OLLAMA_CHAT),
    ("POST", "/api/generate"): _in_lines(
        "Ollama's completions", ("model", "created_at", "done"), bodies.OLLAMA_GENERATE
    ),
    ("POST", "/chat/completions/input_tokens"): Operation(
        "The number of a chat's tokens", ("input_tokens",), bodies.CHAT
    ),
    ("POST", "/responses/input_tokens"): Operation(
        "The number of a response's input tokens", ("input_tokens",), bodies.RESPONSES
    ),
    ("POST", "/messages/count_tokens"): Operation(
        "The number of a message's tokens", ("input_tokens",), bodies.MESSAGES
    ),
    ("POST", "/tokenize"): Operation("The tokens of a text or a chat", ("tokens",), bodies.TOKENIZE),
    ("POST", "/detokenize"): Operation("The text of tokens", ("content", "prompt"), bodies.DETOKENIZE),
    ("POST", "/apply-template"): Operation("A chat as its prompt", ("prompt",), bodies.CHAT),
    ("POST", "/embeddings"): Operation("Vectors of texts", ("object", "data", "usage"), bodies.EMBEDDINGS),
    ("POST", "/api/embed"): Operation("Vectors of texts, Ollama's way", ("embeddings",), bodies.OLLAMA_EMBED),
    ("POST", "/api/embeddings"): Operation(
        "The vector of one text, Ollama's older way", ("embedding",), bodies.OLLAMA_OLD_EMBED
    ),
    ("POST", "/rerank"): Operation("Documents by their scores", (), bodies.RERANK),
    ("POST", "/reranking"): Operation("Documents by their scores", (), bodies.RERANK),
    ("POST", "/cancel/{request_id}"): Operation("An answer ends where it is", ("cancelled",)),
    ("GET", "/models"): Operation("The model by its names", ("data",)),
    ("GET", "/models/{name}"): Operation("The model, by one of its names", ("id",)),
    ("GET", "/api/tags"): Operation("The model, Ollama's way", ("models",)),
    ("GET", "/api/ps"): Operation("What is in memory, Ollama's way", ("models",)),
    ("POST", "/api/show"): Operation("The model and its template, Ollama's way", ("details", "model_info"), ANY_OBJECT),
    ("GET", "/api/version"): Operation("This server's version, Ollama's way", ("version",)),
    ("GET", "/version"): Operation("This server's version", ("version",)),
    ("GET", "/health"): Operation("Whether every stage is ready and nothing drains", ("status",)),
    ("GET", "/readyz"): Operation("Whether every stage is ready and nothing drains", ("status",)),
    ("GET", "/livez"): Operation("Whether the process lives", ("status",)),
    ("GET", "/props"): Operation("Facts of the server and its model", ("total_slots", "chat_template")),
    ("GET", "/slots"): Operation("The slots, without a word of their texts"),
    ("GET", "/lora-adapters"): Operation("The LoRA adapters that are added to the model, with their scales"),
    ("POST", "/lora-adapters"): Operation(
        "The scales of all requests from now on that give none", ("success",), bodies.ADAPTERS
    ),
    ("GET", "/metrics"): Operation("For Prometheus", media_types=(CONTENT_TYPE.partition(";")[0],)),
    ("GET", "/cluster/state"): Operation("The cluster, its history and its events", ("history", "events")),
    ("GET", "/cluster/plan"): Operation("The plan that the cluster follows"),
    ("GET", "/cluster/events"): Operation("What happens in the cluster, as it happens", media_types=(SSE,)),
    ("GET", "/openapi.json"): Operation("This document", ("openapi", "info", "paths")),
    ("GET", "/"): Operation("The page; for who asks for none, that it lives", media_types=(PLAIN_TYPE, "text/html")),
}


_NOT_SERVED = NOT_SERVED | {f"/api/{name}": refusal(name) for name in REFUSED}
_REFUSALS = {unversioned(path): Operation(f"Not served: {why}", is_served=False) for path, why in _NOT_SERVED.items()}


def operation_of(method: str, path: str) -> Operation:
    """KeyError for an endpoint that nobody has described."""
    known = OPERATIONS.get((method, unversioned(path)))
    return known or _REFUSALS[unversioned(path)]
