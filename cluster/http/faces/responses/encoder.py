"""The answer of the Responses API, as events or in one piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.api.errors import ClusterError
from cluster.api.results import FinishReason
from cluster.chat.events import (
    CallArguments,
    CallBegin,
    CallEnd,
    ChatEvent,
    Content,
    End,
    Failed,
    Logprobs,
    PromptProgress,
    Reasoning,
    Started,
)
from cluster.http.faces.face import Body
from cluster.http.faces.problems import problem_of
from cluster.http.faces.responses.output import COMPLETED, INCOMPLETE, CallItem, OutputItem, TextItem
from cluster.http.faces.responses.tools import Tools
from cluster.http.faces.spelling import SSE, event, logprob_entries
from cluster.http.faces.usage import timings as llama_timings

# Why an answer is not whole; a reason that is not here means that it is.
INCOMPLETE_REASONS = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTEXT: "max_output_tokens",
    FinishReason.CANCELLED: "cancelled",
}


class ResponsesEncoder:
    """One response. Items are numbered as they begin; only one is open at a time.

    Args:
        response: the response as it begins, with an empty output.
        tools: what the model's names of functions mean.
        pieces: of the vocabulary, where log probabilities are asked for.
        finished: is given the response once it has ended and did not fail.
    """

    content_type = SSE

    def __init__(
        self,
        response: Body,
        tools: Tools,
        pieces: tuple[bytes, ...] | None = None,
        finished: Callable[[Body], None] = lambda response: None,
    ) -> None:
        self._response: dict[str, Any] = dict(response)
        self._output: list[dict[str, Any]] = []
        self._tools = tools
        self._pieces = pieces
        self._finished = finished
        self._num_events = 0
        self._num_cached = 0
        self._item: OutputItem | None = None

    def open(self) -> bytes:
        return self._lifecycle("response.created") + self._lifecycle("response.in_progress")

    def keep_alive(self) -> bytes:
        """An event: agents hear nothing of comments."""
        return self._lifecycle("response.in_progress")

    def push(self, event: ChatEvent) -> bytes:
        match event:
            case Started():
                self._num_cached = event.num_cached_tokens
                return b""
            case PromptProgress():
                return self._progress(event)
            case Reasoning():
                return self._text("reasoning", event.text, event.logprobs)
            case Content():
                return self._text("message", event.text, event.logprobs)
            case CallBegin():
                closed = self._end_item(COMPLETED)
                full_name = self._tools.full_name(event.name)
                return closed + self._begin(CallItem(self._new_id("fc"), len(self._output), event.id, full_name))
            case CallArguments():
                return self._add(event.text, ())
            case CallEnd():
                return self._end_item(COMPLETED)
            case End():
                return self._end(event)
            case Failed():
                return self._fail(event.error)
            case _:
                return b""

    def close(self) -> bytes:
        return b""

    def whole(self) -> Body:
        return self._response

    def _text(self, kind: str, text: str, logprobs: Logprobs) -> bytes:
        if self._item is not None and self._item.body["type"] == kind:
            return self._add(text, logprobs) if text or logprobs else b""
        if not text:
            return b""  # nothing is begun for a token without text
        closed = self._end_item(COMPLETED)
        index = len(self._output)
        is_message = kind == "message"
        item = (
            TextItem.message(self._new_id("msg"), index)
            if is_message
            else TextItem.reasoning(self._new_id("rs"), index)
        )
        return closed + self._begin(item) + self._add(text, logprobs)

    def _new_id(self, prefix: str) -> str:
        """Of the item that begins: never the same twice, since the response's id is not."""
        return f"{prefix}_{self._response['id'].removeprefix('resp_')}{len(self._output):02d}"

    def _begin(self, item: OutputItem) -> bytes:
        self._item = item
        added = {"type": "response.output_item.added", "output_index": len(self._output), "item": item.body}
        return self._spelled(added) + b"".join(map(self._spelled, item.begin()))

    def _add(self, text: str, logprobs: Logprobs) -> bytes:
        if self._item is None:
            return b""
        entries = logprob_entries(logprobs, self._pieces) if self._pieces is not None else []
        return b"".join(map(self._spelled, self._item.add(text, entries)))

    def _end_item(self, status: str) -> bytes:
        item, self._item = self._item, None
        if item is None:
            return b""
        events = item.end(status)
        done = {"type": "response.output_item.done", "output_index": len(self._output), "item": item.body}
        self._output.append(item.body)
        return b"".join(map(self._spelled, (*events, done)))

    def _end(self, end: End) -> bytes:
        reason = INCOMPLETE_REASONS.get(end.reason)
        status = COMPLETED if reason is None else INCOMPLETE
        closed = self._end_item(status)
        timings = end.timings
        self._response |= {
            "status": status,
            "incomplete_details": None if reason is None else {"reason": reason},
            "output": self._output,
            "usage": {
                "input_tokens": timings.num_prompt_tokens,
                "input_tokens_details": {"cached_tokens": timings.num_cached_tokens},
                "output_tokens": timings.num_tokens,
                "output_tokens_details": {"reasoning_tokens": end.num_reasoning_tokens},
                "total_tokens": timings.num_prompt_tokens + timings.num_tokens,
            },
        }
        self._finished(self._response)
        return closed + self._lifecycle(f"response.{status}", timings=llama_timings(timings))

    def _fail(self, error: ClusterError) -> bytes:
        problem = problem_of(error)
        closed = self._end_item(INCOMPLETE)
        failure = {"code": problem.code or problem.kind, "message": problem.message}
        self._response |= {"status": "failed", "error": failure, "output": self._output}
        return closed + self._lifecycle("response.failed")

    def _progress(self, progress: PromptProgress) -> bytes:
        """In the shape of llama-server's other endpoints."""
        counts = {
            "total": progress.num_prompt_tokens,
            "cache": self._num_cached,
            "processed": progress.num_computed,
        }
        return self._lifecycle("response.in_progress", prompt_progress=counts)

    def _lifecycle(self, kind: str, **more: Any) -> bytes:
        """`more`: what llama-server adds to such an event."""
        return self._spelled({"type": kind, "response": self._response, **more})

    def _spelled(self, data: Body) -> bytes:
        number, self._num_events = self._num_events, self._num_events + 1
        return event({**data, "sequence_number": number})
