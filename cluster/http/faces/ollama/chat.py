"""POST /api/chat."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from cluster.chat.messages import ChatRequest, Message, Role, Tool, ToolCall
from cluster.chat.pictures import joined_parts
from cluster.http.faces.face import Asked, AtOnce, Body, Problem, Served
from cluster.http.faces.fields import Fields
from cluster.http.faces.ollama.encoder import OllamaEncoder, as_message, loaded
from cluster.http.faces.ollama.images import images_of
from cluster.http.faces.ollama.options import format_of, is_unload, params_of, thinking_of

ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
}


class OllamaChatFace:
    """Translates requests."""

    def parse(self, body: Body, served: Served, request_id: str) -> Asked | AtOnce:
        """UsageError for a wrong value. The answer goes on where a last message of the assistant's ends.

        Without messages the model is to be loaded, or unloaded: it is there, and it stays.
        """
        if not body.get("messages"):
            return AtOnce(loaded(served.alias, as_message, is_unload(body)))
        fields = Fields(body)
        fields.skip("model", "keep_alive")
        ignored: list[str] = []
        messages = _Conversation().messages(fields.inners("messages"))
        goes_on = messages[-1].role is Role.ASSISTANT and not messages[-1].tool_calls
        request = ChatRequest(
            messages,
            params_of(fields, ignored),
            _tools(fields),
            response_format=format_of(fields),
            template_arguments=thinking_of(fields),
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
        )
        pieces = served.vocabulary.pieces if fields.flag("logprobs") else None
        encoder = OllamaEncoder(served.alias, as_message, pieces)
        return Asked(request, fields.flag("stream", True), encoder, (*fields.unread(), *ignored))

    def error(self, problem: Problem) -> Body:
        return {"error": problem.message}


class _Conversation:
    """Gives calls ids, which this API has none of, and results those of the calls that they answer."""

    def __init__(self) -> None:
        self._num_calls = 0
        self._unanswered: list[ToolCall] = []

    def messages(self, given: Iterable[Fields]) -> tuple[Message, ...]:
        return tuple(self._message(message) for message in given)

    def _message(self, message: Fields) -> Message:
        if not message.text("role"):
            raise message.wrong("role", f"it is missing; give one of {', '.join(ROLES)}")
        role, content = message.choice("role", ROLES, Role.USER), message.text("content")
        if images := images_of(message):
            if role is not Role.USER:
                raise message.wrong("images", "only messages of users can have some; leave them out")
            content, pictures = joined_parts([*images, content])
            return Message(role, content, pictures=pictures)
        if role is Role.TOOL:
            name = message.text("tool_name") or message.text("name")
            return self._result(content, name, message.text("tool_call_id"))
        calls = tuple(self._call(call) for call in message.inners("tool_calls"))
        return Message(role, content, message.text("thinking"), calls)

    def _call(self, given: Fields) -> ToolCall:
        function = given.inner("function")
        if function is None or not function.text("name"):
            raise given.wrong("function", "a call has no name; give {name, arguments}")
        self._num_calls += 1
        arguments = orjson.dumps(function.mapping("arguments") or {}).decode()
        call_id = given.text("id") or f"call_{self._num_calls:024d}"
        call = ToolCall(call_id, function.text("name"), arguments)
        self._unanswered.append(call)
        return call

    def _result(self, content: str, name: str, call_id: str) -> Message:
        """Of the call with that id, or else the first of that name without a result, or else the first without one."""
        waiting = self._unanswered
        by_id = (call for call in waiting if call_id and call.id == call_id)
        by_name = (call for call in waiting if call.name == name)
        call = next(by_id, None) or next(by_name, None) or next(iter(waiting), None)
        if call is None:
            return Message(Role.TOOL, content, tool_call_id=call_id, name=name)
        waiting.remove(call)
        return Message(Role.TOOL, content, tool_call_id=call.id, name=call.name)


def _tools(fields: Fields) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for given in fields.inners("tools"):
        function = given.inner("function")
        if function is None or not function.text("name"):
            raise given.wrong("function", "it has no name; give {name, description, parameters}")
        tools.append(Tool(function.text("name"), function.text("description"), function.mapping("parameters") or {}))
    return tuple(tools)
