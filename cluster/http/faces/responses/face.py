"""POST /v1/responses."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.api.sampling import SamplingParams
from cluster.chat.messages import ChatRequest, FormatKind, Message, ResponseFormat, Role
from cluster.http.faces.adapters import lora_of
from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import Asked, Body, Problem, Served
from cluster.http.faces.fields import PLAIN_SAMPLING, Fields, objects, sampling
from cluster.http.faces.problems import NotFoundError
from cluster.http.faces.responses.encoder import ResponsesEncoder
from cluster.http.faces.responses.items import Conversation
from cluster.http.faces.responses.output import IN_PROGRESS
from cluster.http.faces.responses.store import ResponseStore
from cluster.http.faces.responses.tools import Tools, tool_choice_of, tools_of

SAMPLING = {**PLAIN_SAMPLING, "max_output_tokens": "max_tokens", "top_logprobs": "logprobs"}
LOGPROBS = "message.output_text.logprobs"  # what `include` names if they are wanted
REFUSED = {
    "background": "a response is not computed without somebody who waits for it; leave it out",
    "conversation": "conversations are not kept here; use previous_response_id",
    "prompt": "prompts are not kept here; give instructions and input",
}
FORMATS = {
    "text": FormatKind.TEXT,
    "json_object": FormatKind.JSON_OBJECT,
    "json_schema": FormatKind.JSON_SCHEMA,
}


@dataclass(frozen=True, slots=True)
class _Input:
    """What is said: messages for the model, and the items that a later request may build on."""

    messages: tuple[Message, ...]
    before: tuple[Body, ...]
    own: tuple[Body, ...]
    ignored: tuple[str, ...]


class ResponsesFace:
    """Translates requests, and remembers the answers.

    Args:
        store: where they are kept.
        now_s: the time of day in seconds.
        new_id: a text that never comes twice.
    """

    def __init__(
        self,
        store: ResponseStore,
        now_s: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self.store = store
        self._now_s = now_s
        self._new_id = new_id

    def parse(self, body: Body, served: Served, request_id: str) -> Asked:
        """UsageError for a wrong value; NotFoundError where `previous_response_id` is not stored (any more)."""
        fields = Fields(body)
        for name, why in REFUSED.items():
            if fields.any(name):
                raise fields.wrong(name, why)
        fields.skip("model")
        said, tools = self._input(fields), tools_of(fields)
        params = sampling(fields, SAMPLING, max_tokens=None, lora=lora_of(fields))
        request = ChatRequest(
            said.messages,
            params,
            tools.tools,
            tool_choice_of(fields),
            fields.flag("parallel_tool_calls", True),
            _format(fields),
            _template_arguments(fields),
        )
        encoder = self._encoder(fields, served, params, tools, said)
        ignored = (*said.ignored, *tools.ignored)
        is_streamed = fields.flag("stream")
        has_progress = fields.flag("return_progress") and is_streamed
        return Asked(request, is_streamed, encoder, (*fields.unread(), *ignored), has_progress)

    def error(self, problem: Problem) -> Body:
        return openai_error(problem)

    def _input(self, fields: Fields) -> _Input:
        before = self._before(fields)
        given = fields.any("input")
        if isinstance(given, str):
            own: tuple[Any, ...] = ({"type": "message", "role": "user", "content": given},)
        else:
            own = fields.items("input")
        conversation = Conversation(self.store.item)
        conversation.add(objects(before, "previous_response_id"))
        conversation.add(objects(own, "input"))
        messages = conversation.messages()
        instructions = fields.text("instructions")
        if instructions:
            messages = (Message(Role.SYSTEM, instructions), *messages)
        if not messages:
            raise fields.wrong("input", "there is none; give a text, or a list of items")
        return _Input(messages, before, own, tuple(conversation.ignored))

    def _before(self, fields: Fields) -> tuple[Body, ...]:
        previous_id = fields.text("previous_response_id")
        if not previous_id:
            return ()
        stored = self.store.get(previous_id)
        if stored is None:
            raise NotFoundError(
                f"previous_response_id: {previous_id[:100]!r} is not stored (any more); give all items as input",
                "previous_response_not_found",
            )
        return tuple(stored.conversation())

    def _encoder(
        self, fields: Fields, served: Served, params: SamplingParams, tools: Tools, said: _Input
    ) -> ResponsesEncoder:
        is_stored = fields.flag("store", True)
        response = {
            "id": f"resp_{self._new_id()}",
            "object": "response",
            "created_at": int(self._now_s()),
            "status": IN_PROGRESS,
            "model": served.alias,
            "output": [],
            "error": None,
            "incomplete_details": None,
            "instructions": fields.any("instructions"),
            "max_output_tokens": fields.any("max_output_tokens"),
            "metadata": fields.mapping("metadata") or {},
            "parallel_tool_calls": fields.flag("parallel_tool_calls", True),
            "previous_response_id": fields.any("previous_response_id"),
            "reasoning": fields.mapping("reasoning") or {"effort": None, "summary": None},
            "store": is_stored,
            "temperature": params.temperature,
            "text": fields.mapping("text") or {"format": {"type": "text"}},
            "tool_choice": fields.any("tool_choice") or "auto",
            "tools": list(fields.items("tools")),
            "top_p": params.top_p,
            "truncation": "disabled",
            "usage": None,
        }
        pieces = served.vocabulary.pieces if LOGPROBS in fields.items("include") else None

        def remember(finished: Body) -> None:
            self.store.put(finished, said.before, said.own)

        return ResponsesEncoder(response, tools, pieces, remember if is_stored else lambda finished: None)


def _format(fields: Fields) -> ResponseFormat:
    text = fields.inner("text")
    given = text.inner("format") if text is not None else None
    if given is None:
        return ResponseFormat()
    kind = given.choice("type", FORMATS, FormatKind.TEXT)
    if kind is not FormatKind.JSON_SCHEMA:
        return ResponseFormat(kind)
    schema = given.mapping("schema")
    if schema is None:
        raise given.wrong("schema", "it is missing; give the JSON schema of the answer")
    return ResponseFormat(kind, schema, given.text("name"), given.flag("strict"))


def _template_arguments(fields: Fields) -> dict[str, Any]:
    """How long to think, by the names that templates have for it."""
    arguments = dict(fields.mapping("chat_template_kwargs") or {})
    reasoning = fields.inner("reasoning")
    effort = reasoning.text("effort") if reasoning is not None else ""
    if effort == "none":
        return {"enable_thinking": False, **arguments}
    return {"reasoning_effort": effort, **arguments} if effort else arguments
