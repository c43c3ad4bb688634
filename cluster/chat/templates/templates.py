"""The templates of a model: from messages to the segments of a prompt."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from cluster.api.errors import UsageError
from cluster.api.model import ModelInfo, VocabularyTable
from cluster.api.prompt import Segment, Segments
from cluster.chat.formats.reasoning import pair_of
from cluster.chat.messages import PICTURE, ChatRequest, Message, Role
from cluster.chat.pictures import files_of
from cluster.chat.templates.marking import FINAL, MARK, Marking, TextsOfRequest
from cluster.chat.templates.probes import find_traits
from cluster.chat.templates.renderer import Output, Renderer, unusable
from cluster.chat.templates.source import TemplateTexts, choose
from cluster.chat.templates.traits import TemplateTraits
from cluster.chat.templates.turns import fitted
from cluster.chat.templates.variables import Marked, end_with, variables_of
from cluster.wire.limits import MAX_SEGMENTS

_DEFAULT, _FOR_TOOLS = 0, 1


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt of a request."""

    segments: Segments
    add_special: bool  # whether the vocabulary is to add what it puts around a text: not if the template has
    text: str
    open_tail: str  # the end that is there because an answer comes next; with what it goes on from, if it goes on


class ChatTemplates:
    """Threads may share it. The process that renders is started when it is first needed; `close` ends it."""

    def __init__(self, texts: TemplateTexts, special: Mapping[str, str], marking: Marking | None) -> None:
        """`special`: bos_token and eos_token, "" where there is none. Without `marking`, names in messages count."""
        self._texts = texts
        self._special = special
        self._marking = marking
        self._pairs = (pair_of(texts.text), pair_of(texts.for_tools))
        self._renderer = Renderer((texts.text, texts.for_tools))
        self._probing = threading.Lock()
        self._found: tuple[TemplateTraits, ...] = ()  # of both; none before they are probed

    @classmethod
    def of(cls, info: ModelInfo, vocabulary: VocabularyTable, override: str = "", input_marking: bool = True) -> Self:
        """Of a model, or with the template whose text is `override` instead of its own."""
        texts = choose(info.chat_templates, override)
        special = {"bos_token": _piece(vocabulary, info.bos), "eos_token": _piece(vocabulary, info.eos)}
        marking = Marking.of(vocabulary, (texts.text, texts.for_tools)) if input_marking else None
        return cls(texts, special, marking)

    @property
    def source_text(self) -> str:
        """The text of the template for requests with tools, which says most of the model's formats."""
        return self._texts.for_tools

    @property
    def traits(self) -> TemplateTraits:
        """What the template for requests with tools can do. Found when it is first asked for, in about a second."""
        return self._traits_of(_FOR_TOOLS)

    def render(self, request: ChatRequest, tools_text: str = "") -> Rendered:
        """The prompt. Blocks for as long as others before it take, and for two seconds at most.

        `tools_text`: for templates that take no tools, among the instructions. UsageError says what the template has
        against the messages; CapacityError if very many wait.
        """
        which = _FOR_TOOLS if request.tools else _DEFAULT
        traits = self._traits_of(which)
        if traits.failure:
            raise UsageError(unusable(traits.failure))
        if request.continue_final_message and (not request.messages or request.messages[-1].role is not Role.ASSISTANT):
            raise UsageError("continue_final_message: the last message is no answer; end with one of an assistant")
        try:
            return self._rendered(which, request, fitted(request.messages, traits, self._pairs[which], tools_text))
        except RecursionError as error:
            raise UsageError("request: its values are nested too deeply; make them flatter") from error

    def close(self) -> None:
        """End the process."""
        self._renderer.close()

    def _traits_of(self, which: int) -> TemplateTraits:
        with self._probing:
            if not self._found:
                default = self._probed(_DEFAULT)
                is_one = self._texts.text == self._texts.for_tools
                self._found = default, default if is_one else self._probed(_FOR_TOOLS)
            return self._found[which]

    def _probed(self, which: int) -> TemplateTraits:
        failure = self._texts.failure or self._renderer.failure(which)
        if failure:
            return TemplateTraits(source=self._texts.source, failure=failure, takes_tools=False, takes_calls=False)

        def render(variables: dict[str, Any]) -> str | None:
            try:
                given = {"add_generation_prompt": True, **self._special, **variables}
                return self._renderer.render(which, given).text
            except UsageError:
                return None

        return find_traits(render, self._texts.source)

    def _rendered(self, which: int, request: ChatRequest, messages: list[Message]) -> Rendered:
        texts = TextsOfRequest(self._marking)
        output = self._written(which, request, messages, texts)
        marking = self._marking
        pictures = files_of(picture for message in messages for picture in message.pictures)
        if marking is None:
            return self._prompt(_with_pictures((Segment(output.text, parse_special=True),), pictures), output)
        if texts.has_risky:
            # Two texts could make a name together, or one and what the template writes next to it.
            other = self._written(which, request, messages, marking.parted)
            if marking.count(other.text) != marking.count(output.text):
                output = other
        segments = marking.segments(output.text)
        if len(segments) > MAX_SEGMENTS:
            raise UsageError(f"messages: names of control tokens stand in them {len(segments)} times; leave them out")
        return self._prompt(_with_pictures(segments, pictures), output)

    def _prompt(self, segments: Segments, output: Output) -> Rendered:
        text = output.text.replace(MARK, "").replace(PICTURE, "")
        bos = self._special["bos_token"]
        has_bos = bool(bos) and text.startswith(bos)
        return Rendered(segments or (Segment(""),), not has_bos, text, output.tail)

    def _written(self, which: int, request: ChatRequest, messages: list[Message], marked: Marked) -> Output:
        variables = variables_of(request, messages, self._traits_of(which), self._special, marked)
        if not request.continue_final_message:
            return self._renderer.render(which, variables)
        end_with(variables["messages"][-1], FINAL)
        text, found, _ = self._renderer.render(which, variables).text.rpartition(FINAL)
        if not found:
            raise UsageError("continue_final_message: the chat template leaves the last message out; ask without it")
        text = text.replace(FINAL, "")
        return Output(text, text)


def _with_pictures(segments: Segments, pictures: Sequence[bytes]) -> Segments:
    """The prompt, cut at the places of its pictures. UsageError if the template lost one of them, or wrote it twice."""
    if not pictures:
        return segments
    num_places = sum(segment.text.count(PICTURE) for segment in segments)
    if num_places != len(pictures):
        raise UsageError(
            f"messages: the chat template has {num_places} places for {len(pictures)} pictures; give them in the "
            "newest message of the user"
        )
    left = iter(pictures)
    cut: list[Segment] = []
    for segment in segments:
        first, *others = segment.text.split(PICTURE)
        cut += [replace(segment, text=first)] if first else []
        for text in others:
            cut.append(Segment("", picture=next(left)))
            cut += [replace(segment, text=text)] if text else []
    return tuple(cut)


def _piece(vocabulary: VocabularyTable, token: int | None) -> str:
    return "" if token is None else vocabulary.pieces[token].decode(errors="replace")
