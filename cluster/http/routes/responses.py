"""OpenAI's Responses API: answers are made, looked up, and forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cluster.http.counting import count_tokens
from cluster.http.errors import refused
from cluster.http.exchange import JSON
from cluster.http.faces.face import Body
from cluster.http.faces.problems import NotFoundError
from cluster.http.faces.responses.face import ResponsesFace
from cluster.http.faces.responses.store import ResponseStore, Stored
from cluster.http.routes.route import At, delete, generating, get, json_response, post, with_and_without_v1
from cluster.http.server import Server

DEFAULT_LIMIT, MAX_LIMIT = 20, 100  # items of one page


def response_routes(server: Server) -> Iterator[At]:
    store = ResponseStore()
    face = ResponsesFace(store)

    async def count(request: Request) -> Response:
        number = await count_tokens(server, face, request)
        return json_response({"object": "response.input_tokens", "input_tokens": number})

    async def response(request: Request) -> Response:
        return Response(_stored(store, request).response, media_type=JSON)

    async def forget(request: Request) -> Response:
        stored_id = request.path_params["id"]
        _stored(store, request)
        store.delete(stored_id)
        return json_response({"id": stored_id, "object": "response", "deleted": True})

    async def input_items(request: Request) -> Response:
        items = _stored(store, request).input_items()
        return json_response(_page(_named(items, request.path_params["id"]), request.query_params))

    yield from with_and_without_v1(
        generating("/responses", face, server.answering),
        post("/responses/input_tokens", count),
        get("/responses/{id}", response),
        delete("/responses/{id}", forget),
        get("/responses/{id}/input_items", input_items),
    )


def _stored(store: ResponseStore, request: Request) -> Stored:
    response_id = request.path_params["id"]
    stored = store.get(response_id)
    if stored is None:
        raise NotFoundError(f"response_id: {response_id[:100]!r} is not stored (any more)", "not_found")
    return stored


def _named(items: Sequence[Body], response_id: str) -> list[dict[str, Any]]:
    """Items with ids, which clients need not give, and with the type that they may leave out."""
    return [{"type": "message", "id": f"{response_id}_in{place}", **item} for place, item in enumerate(items)]


def _page(items: list[dict[str, Any]], query: Any) -> Body:
    """Newest first, unless `order` is asc."""
    if query.get("order", "desc") != "asc":
        items = items[::-1]
    ids = [item["id"] for item in items]
    after, limit = query.get("after"), query.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MAX_LIMIT):
        message = f"limit: {limit[:20]!r} is not a number of items; give 1 to {MAX_LIMIT}"
        raise refused(400, "invalid_request_error", message, "invalid_value")
    begin = ids.index(after) + 1 if after in ids else 0
    found = items[begin : begin + int(limit)]
    return {
        "object": "list",
        "data": found,
        "first_id": found[0]["id"] if found else None,
        "last_id": found[-1]["id"] if found else None,
        "has_more": begin + len(found) < len(items),
    }
