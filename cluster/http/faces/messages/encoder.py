"""The answer of the Messages API, as events or in one piece."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from cluster.api.errors import CancelledError, ClusterError
from cluster.api.results import FinishReason
from cluster.chat.events import CallArguments, CallBegin, CallEnd, ChatEvent, Content, End, Failed, Reasoning, Started
from cluster.http.faces.face import Body
from cluster.http.faces.messages.kinds import error_kind
from cluster.http.faces.problems import problem_of
from cluster.http.faces.spelling import SSE, event

STOP_REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTEXT: "model_context_window_exceeded",
}
DELTAS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}


class MessagesEncoder:
    """One message. Blocks are numbered from 0, and only one is open at a time."""

    content_type = SSE

    def __init__(self, message_id: str, alias: str) -> None:
        self._message: dict[str, Any] = {
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "model": alias,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(0, 0, 0),
        }
        self._blocks: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._texts: list[str] = []  # of the open block

    def open(self) -> bytes:
        """Nothing: the first event says how long the prompt is."""
        return b""

    def keep_alive(self) -> bytes:
        return event({"type": "ping"})

    def push(self, event: ChatEvent) -> bytes:
        match event:
            case Started():
                return self._start(event)
            case Reasoning():
                return self._text("thinking", event.text)
            case Content():
                return self._text("text", event.text)
            case CallBegin():
                block = {"type": "tool_use", "id": _use_id(event.id), "name": event.name, "input": {}}
                return self._end_block() + self._begin(block)
            case CallArguments():
                return self._delta("input_json_delta", "partial_json", event.text)
            case CallEnd():
                return self._end_block()
            case End():
                return self._end(event)
            case Failed():
                return self._fail(event.error)
            case _:
                return b""

    def close(self) -> bytes:
        return b""

    def whole(self) -> Body:
        return self._message

    def _start(self, started: Started) -> bytes:
        self._message["usage"] = _usage(started.num_prompt_tokens, started.num_cached_tokens, 0)
        return event({"type": "message_start", "message": self._message}) + event({"type": "ping"})

    def _text(self, kind: str, text: str) -> bytes:
        if not text:
            return b""
        begun = b""
        if self._open is None or self._open["type"] != kind:
            more = {"signature": ""} if kind == "thinking" else {}
            begun = self._end_block() + self._begin({"type": kind, kind: "", **more})
        return begun + self._delta(*DELTAS[kind], text)

    def _begin(self, block: dict[str, Any]) -> bytes:
        self._open = block
        return event({"type": "content_block_start", "index": len(self._blocks), "content_block": block})

    def _delta(self, kind: str, name: str, text: str) -> bytes:
        if self._open is None or not text:
            return b""
        self._texts.append(text)
        return self._spelled_delta(kind, name, text)

    def _spelled_delta(self, kind: str, name: str, text: str) -> bytes:
        delta = {"type": kind, name: text}
        return event({"type": "content_block_delta", "index": len(self._blocks), "delta": delta})

    def _end_block(self) -> bytes:
        block, self._open = self._open, None
        if block is None:
            return b""
        text, self._texts = "".join(self._texts), []
        signed = b""
        match block["type"]:
            case "tool_use":
                block |= _input(text)
            case "thinking":
                # Clients send it back with the block, and some drop a block that has none. It proves nothing.
                signature = hashlib.sha256(text.encode()).hexdigest()
                block |= {"thinking": text, "signature": signature}
                signed = self._spelled_delta("signature_delta", "signature", signature)
            case kind:
                block[kind] = text
        stop = event({"type": "content_block_stop", "index": len(self._blocks)})
        self._blocks.append(block)
        return signed + stop

    def _end(self, end: End) -> bytes:
        closed = self._end_block()
        timings = end.timings
        usage = _usage(timings.num_prompt_tokens, timings.num_cached_tokens, timings.num_tokens)
        reason = {"stop_reason": _stop_reason(end), "stop_sequence": end.stop_string}
        self._message |= {"content": self._blocks, **reason, "usage": usage}
        if end.reason is FinishReason.CANCELLED:  # for which this API has no word
            return closed + self._fail(CancelledError("request: it was cancelled; ask again"))
        return (
            closed + event({"type": "message_delta", "delta": reason, "usage": usage}) + event({"type": "message_stop"})
        )

    def _fail(self, error: ClusterError) -> bytes:
        problem = problem_of(error)
        details = {"type": error_kind(problem.status), "message": problem.message, **(problem.more or {})}
        return event({"type": "error", "error": details})


def _stop_reason(end: End) -> str | None:
    if end.reason is FinishReason.STOP and end.stop_string is not None:
        return "stop_sequence"
    if end.reason is FinishReason.STOP and end.num_calls:
        return "tool_use"
    return STOP_REASONS.get(end.reason)


def _usage(num_prompt: int, num_cached: int, num_generated: int) -> dict[str, int]:
    """What was read from the cache is counted apart: a prompt is the sum of the three."""
    return {
        "input_tokens": num_prompt - num_cached,
        "cache_read_input_tokens": num_cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": num_generated,
    }


def _use_id(call_id: str) -> str:
    """As this API's ids begin."""
    return f"toolu_{call_id.removeprefix('call_')}"


def _input(text: str) -> dict[str, Any]:
    """The arguments as an object. Of a call that was cut off there is none: what came is kept beside an empty one."""
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        value = None
    return {"input": value} if isinstance(value, dict) else {"input": {}, "partial_json": text}
