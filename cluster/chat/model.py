"""What a model needs for chats: how its prompts are written, and how its answers are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from cluster.api.errors import UsageError
from cluster.api.model import ModelInfo, VocabularyTable
from cluster.chat.formats.control import ControlTokens
from cluster.chat.formats.detection import format_of
from cluster.chat.formats.grammars.answer import Wanted, grammar_of
from cluster.chat.formats.grammars.compiled import checked_schema, compiled, within
from cluster.chat.formats.ids import new_call_id
from cluster.chat.formats.instructions import calls_as_text, format_text, tools_text
from cluster.chat.formats.part import PartKind
from cluster.chat.formats.reasoning import pair_of
from cluster.chat.formats.splitter import Splitter
from cluster.chat.formats.table import HARMONY, HERMES
from cluster.chat.messages import ChatRequest, FormatKind, JsonObject, ToolMode
from cluster.chat.reader import TurnReader
from cluster.chat.seam import RenderedPrompt, Templates
from cluster.chat.templates.templates import ChatTemplates
from cluster.chat.turn import Turn

FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the answers of a turn are read."""

    is_reasoning: bool  # the prompt has opened it
    parameters: Mapping[str, JsonObject] | None  # of the tools that may be called; None looks for no calls
    prime: str
    stop: tuple[str, ...]


class ChatModel:
    """Made once for a model; threads may share it. `close` ends the process that renders."""

    def __init__(self, info: ModelInfo, vocabulary: VocabularyTable, templates: Templates) -> None:
        self._templates = templates
        self._traits = templates.traits
        self._found = format_of(templates)
        self._form = self._found or HERMES
        self._pair = None if self._form is HARMONY else pair_of(templates.source_text)
        self._control = ControlTokens(vocabulary, info.end_tokens)

    @classmethod
    def of(
        cls, info: ModelInfo, vocabulary: VocabularyTable, *, override: str = "", input_marking: bool = True
    ) -> Self:
        """Of a served model. `override`: the text of a template instead of its own.

        input_marking: names of control tokens in messages stay text.
        Blocks for about a second, while it is found out what the templates can do. UsageError if that is nothing.
        """
        templates = ChatTemplates.of(info, vocabulary, override, input_marking)
        try:
            if templates.traits.failure:
                raise UsageError(f"chat: {templates.traits.failure}; give another template with --chat-template")
            return cls(info, vocabulary, templates)
        except BaseException:
            templates.close()
            raise

    def prepare(self, request: ChatRequest) -> Turn:
        """The prompt and the parameters of a turn. Blocks while the prompt is rendered, at most about two seconds.

        UsageError if the templates refuse the messages, or a schema cannot be enforced; the message begins with the
        name of the field.
        """
        _check(request)
        rendered = self._rendered(request)
        # An answer that goes on is in the reasoning if what it goes on from is; earlier messages have no say in it.
        begun = request.messages[-1].content if request.continue_final_message else rendered.open_tail
        wanted = Wanted(
            self._form,
            self._pair,
            self._pair is not None and self._pair.is_opened_by(begun),
            request.tools,
            request.tool_choice,
            request.parallel_tool_calls,
            request.response_format,
        )
        prefix = self._prefix(wanted, begun) if request.continue_final_message and wanted.has_format else None
        if prefix is not None:
            wanted = replace(wanted, pair=None)  # what was reasoned is over
        grammar, warnings = self._grammar(wanted)
        has_calls = bool(wanted.callable)
        reading = _Reading(
            wanted.is_reasoning,
            {tool.name: tool.parameters for tool in wanted.callable} if has_calls else None,
            self._form.prime if begun.endswith(self._form.prime) else "",
            request.params.stop if has_calls else (),
        )
        if request.continue_final_message and has_calls:
            self._check_no_call(reading, begun)
        params = replace(
            request.params,
            grammar=grammar or request.params.grammar,
            grammar_prefix=prefix or request.params.grammar_prefix,
            shown_tokens=self._control.within(self._literals),
            stop=() if has_calls else request.params.stop,
        )
        return Turn(
            rendered.segments,
            rendered.add_special,
            tuple(params.of_choice(choice) for choice in range(request.num_choices)),
            rendered.text,
            warnings,
            partial(self._reader, reading),
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        """For people who ask what is made of a chat: JSON values."""
        return {
            "chat_template_source": str(self._traits.source),
            "tool_format": self._found.id if self._found is not None else FALLBACK,
            "reasoning": self._reasoning,
            "takes_tools": self._traits.takes_tools,
        }

    @property
    def source_text(self) -> str:
        """The text of the template."""
        return self._templates.source_text

    def close(self) -> None:
        self._templates.close()

    @property
    def _reasoning(self) -> str | None:
        if self._form is HARMONY:
            return "analysis"
        return None if self._pair is None else self._pair.id

    @property
    def _literals(self) -> tuple[str, ...]:
        """What must be seen in an answer to read it."""
        own = self._form.literals
        return own if self._pair is None else (*own, self._pair.open, self._pair.close)

    def _rendered(self, request: ChatRequest) -> RenderedPrompt:
        """With what the templates do not tell the model told in the system message."""
        told = []
        tools = () if request.tool_choice.mode is ToolMode.NONE else request.tools
        if tools and (self._found is None or not self._traits.takes_tools):
            told.append(tools_text(self._form, tools))
            tools = ()
        if not self._traits.takes_response_format:
            told.append(format_text(request.response_format))
        messages = request.messages
        if not self._traits.takes_calls:
            messages = tuple(calls_as_text(self._form, message) for message in messages)
        shown = replace(request, messages=messages, tools=tools)
        return self._templates.render(shown, "\n\n".join(filter(None, told)))

    def _prefix(self, wanted: Wanted, begun: str) -> str | None:
        """What the answer that goes on has of the wanted format; None while it reasons, and has nothing of it."""
        if wanted.callable or self._form is HARMONY or self._form.prime:
            why = "beside tools" if wanted.callable else "in this model's form of answers"
            raise UsageError(
                f"continue_final_message: an answer of a wanted format cannot go on {why}; begin a new one"
            )
        if wanted.is_reasoning:
            return None
        _, has_reasoned, behind = begun.rpartition(self._pair.close.strip()) if self._pair is not None else ("", "", "")
        return behind.lstrip() if has_reasoned else begun

    def _check_no_call(self, reading: _Reading, begun: str) -> None:
        """UsageError for an answer that goes on within a call: neither its grammar nor who reads it begins there."""
        kinds = [part.kind for part in self._splitter(replace(reading, is_reasoning=False)).push(begun)]
        if kinds.count(PartKind.CALL) > kinds.count(PartKind.CALL_END):
            raise UsageError(
                "messages: the answer that is to go on has begun a call; let it end before, or have it whole"
            )

    def _grammar(self, wanted: Wanted) -> tuple[str, tuple[str, ...]]:
        """The text of the grammar, "" for none, and what of the schemas is not enforced."""
        asked = wanted.response_format
        if not wanted.tools and not wanted.has_format:
            return "", ()
        warnings: tuple[str, ...] = ()
        if asked.kind is FormatKind.GRAMMAR and wanted.pair is None and self._form is not HARMONY:
            return asked.grammar, ()
        if asked.kind is FormatKind.JSON_SCHEMA:
            warnings = checked_schema(json.dumps(asked.schema), asked.strict)
        text = grammar_of(wanted, self._control)
        if asked.kind is FormatKind.GRAMMAR:
            return compiled(within(text, asked.grammar), "response_format").text, ()
        found = compiled(text, "tools" if wanted.tools else "response_format")
        return found.text, tuple(dict.fromkeys((*warnings, *found.warnings)))

    def _reader(self, reading: _Reading, choice: int) -> TurnReader:
        return TurnReader(choice, self._splitter(reading), partial(new_call_id, self._form), reading.stop)

    def _splitter(self, reading: _Reading) -> Splitter:
        return Splitter(self._pair, reading.is_reasoning, self._form, reading.parameters, reading.prime)


def _check(request: ChatRequest) -> None:
    if request.response_format.kind is FormatKind.GRAMMAR and request.tools:
        raise UsageError("tools: with a grammar there can be no calls; leave out one of them")
    if request.num_choices < 1:
        raise UsageError(f"n: {request.num_choices} answers; give at least 1")
