"""POST /v1/chat/completions: what is asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from cluster.api.errors import UsageError
from cluster.chat.messages import ChatRequest, FormatKind, ResponseFormat, Tool
from cluster.chat.openai_shape import function_of, messages_of, response_format_of, schema_of, tool_choice_of, tools_of
from cluster.grammar import from_gbnf
from cluster.http.faces.chat_events import ChatEncoder, Shown
from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import Asked, Body, Problem, Served
from cluster.http.faces.fields import Fields
from cluster.http.faces.params import num_choices_of, num_top_of, params_of

MAX_TOP = 20


class ChatCompletions:
    """OpenAI's chat, with llama-server's and vLLM's further fields."""

    def parse(self, body: Body, served: Served, request_id: str) -> Asked:
        fields = Fields(body)
        is_streamed = fields.flag("stream")
        has_logprobs = fields.flag("logprobs")
        num_top = num_top_of(fields, "top_logprobs", MAX_TOP)
        if num_top and not has_logprobs:
            raise fields.wrong("top_logprobs", "it is for logprobs: true; set that, or leave it out")
        options = fields.inner("stream_options")
        shown = Shown(
            id=f"chatcmpl-{request_id}",
            created=int(time.time()),
            usage=served.settings.always_include_usage or (options is not None and options.flag("include_usage")),
            running_usage=options is not None and options.flag("continuous_usage_stats"),
            logprobs=has_logprobs,
            running_timings=fields.flag("timings_per_token"),
            old_calls=fields.any("functions") is not None and fields.any("tools") is None,
        )
        request = chat_request(fields, served, num_top)
        encoder = ChatEncoder(served, shown, request.num_choices)
        progress = fields.flag("return_progress") and is_streamed
        return Asked(request, is_streamed, encoder, fields.unread(), progress)

    def error(self, problem: Problem) -> Body:
        return openai_error(problem)


def chat_request(fields: Fields, served: Served, num_top: int = 0) -> ChatRequest:
    """The turn that a body asks for. UsageError."""
    if fields.any("chat_template") is not None:
        raise fields.wrong("chat_template", "a template is code; start with --chat-template instead")
    messages = messages_of(fields.any("messages"))
    tools = _tools(fields)
    response_format = _response_format(fields)
    is_continued = fields.flag("continue_final_message")
    adds_prompt = fields.flag("add_generation_prompt", not is_continued)
    if is_continued and adds_prompt:
        raise fields.wrong("continue_final_message", "it excludes add_generation_prompt; set that to false")
    if tools and response_format.kind is FormatKind.GRAMMAR:
        raise fields.wrong("grammar", "tools have a grammar of their own; give one of the two")
    fields.skip("model")
    return ChatRequest(
        messages,
        params_of(
            fields,
            limits=("max_completion_tokens", "max_tokens", "n_predict"),
            max_tokens=None,
            num_top=num_top,
        ),
        tools,
        tool_choice_of(_old_choice(fields), tools),
        fields.flag("parallel_tool_calls", True),
        response_format,
        _template_arguments(fields),
        adds_prompt,
        is_continued,
        num_choices_of(fields, served.num_slots),
    )


def _tools(fields: Fields) -> tuple[Tool, ...]:
    """Or the functions that came before tools."""
    given = fields.any("tools")
    functions = fields.items("functions")
    if given is None and functions:
        given = [function_of(one, f"functions[{place}]") for place, one in enumerate(functions)]
    return tools_of(given)


def _old_choice(fields: Fields) -> Any:
    """tool_choice, or function_call, which says the same in other words."""
    choice, old = fields.any("tool_choice"), fields.any("function_call")
    return choice if choice is not None or old is None else old


def _response_format(fields: Fields) -> ResponseFormat:
    """Of OpenAI's field, or of llama-server's `grammar` and `json_schema`."""
    given, grammar, schema = fields.any("response_format"), fields.text("grammar"), fields.any("json_schema")
    found = response_format_of(given)
    if (found.kind is not FormatKind.TEXT) + bool(grammar) + (schema is not None) > 1:
        raise UsageError("grammar: there are several of response_format, json_schema and grammar; give one")
    if grammar:
        return ResponseFormat(FormatKind.GRAMMAR, grammar=from_gbnf(grammar).text)
    if schema is not None:
        return ResponseFormat(FormatKind.JSON_SCHEMA, schema_of(schema, "json_schema"))
    return found


def _template_arguments(fields: Fields) -> Mapping[str, Any]:
    """What templates may look at, besides messages and tools."""
    found = dict(fields.mapping("chat_template_kwargs") or {})
    effort = fields.text("reasoning_effort")
    if effort:
        found.setdefault("reasoning_effort", effort)
    if fields.any("enable_thinking") is not None:
        found.setdefault("enable_thinking", fields.flag("enable_thinking"))
    return found
