"""How events are put into bytes."""

from __future__ import annotations

from typing import Any

import orjson

from cluster.chat.events import Logprobs
from cluster.http.faces.face import Body

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"


def event(data: Body) -> bytes:
    """A server-sent event that is named by its `type`."""
    name: str = data["type"]
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def unnamed(data: Body) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def line(data: Body) -> bytes:
    return orjson.dumps(data) + b"\n"


def logprob_entries(logprobs: Logprobs, pieces: tuple[bytes, ...]) -> list[dict[str, Any]]:
    """In OpenAI's shape: the text of each token with U+FFFD for what is no whole character, and its true bytes."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        piece = pieces[token]
        return {"token": piece.decode(errors="replace"), "logprob": logprob, "bytes": list(piece)}

    return [
        {**entry(drawn.token, drawn.logprob), "top_logprobs": [entry(*other) for other in drawn.top]}
        for drawn in logprobs
    ]
