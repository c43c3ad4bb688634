"""Vectors of texts, in OpenAI's and in Ollama's shape, and scores of documents."""

from __future__ import annotations

import time
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from cluster.api.embedding import Embeddings
from cluster.http.faces.embeddings import (
    EmbeddingsAsked,
    ollama_answer,
    ollama_asked,
    ollama_old_answer,
    openai_answer,
    openai_asked,
)
from cluster.http.faces.reranking import rerank_answer, rerank_asked
from cluster.http.names import check_model
from cluster.http.routes.ollama import ollama_error
from cluster.http.routes.route import At, body_of, json_response, post, with_and_without_v1
from cluster.http.server import Server


def embedding_routes(server: Server) -> Iterator[At]:
    link = server.link

    async def embedded(asked: EmbeddingsAsked, *, normalize: bool = True) -> Embeddings:
        server.metrics.ignored(asked.ignored)
        inputs = (one if isinstance(one, str) else list(one) for one in asked.inputs)
        return await link.client.embed(inputs, normalize=normalize, dimensions=asked.dimensions)

    async def embeddings(request: Request) -> Response:
        served, body = link.require(), await body_of(request)
        check_model(body, served)
        asked = openai_asked(body)
        return json_response(openai_answer(asked, await embedded(asked), served.alias))

    async def embed(request: Request) -> Response:
        begin_ns = time.monotonic_ns()
        served, body = link.require(), await body_of(request)
        found = await embedded(ollama_asked(body, "input"))
        return json_response(ollama_answer(found, served.alias, time.monotonic_ns() - begin_ns))

    async def embed_one(request: Request) -> Response:
        link.require()
        asked = ollama_asked(await body_of(request), "prompt")
        return json_response(ollama_old_answer(await embedded(asked, normalize=False)))

    async def rerank(request: Request) -> Response:
        served, body = link.require(), await body_of(request)
        check_model(body, served)
        asked = rerank_asked(body)
        server.metrics.ignored(asked.ignored)
        found = await link.client.rerank(asked.query, asked.documents)
        return json_response(rerank_answer(asked, found, served.alias))

    yield from with_and_without_v1(post("/embeddings", embeddings), post("/rerank", rerank), post("/reranking", rerank))
    yield post("/api/embed", embed, ollama_error)
    yield post("/api/embeddings", embed_one, ollama_error)
