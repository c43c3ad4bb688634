"""The grammar of an answer: what is asked of it, behind what the model reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.chat.formats.control import ControlTokens
from cluster.chat.formats.format import ToolFormat
from cluster.chat.formats.grammars.calls import CallRules
from cluster.chat.formats.grammars.compiled import ANSWER
from cluster.chat.formats.grammars.harmony import channels
from cluster.chat.formats.grammars.lark import MAX_WHITE, Lark, pattern
from cluster.chat.formats.reasoning import ReasoningPair
from cluster.chat.formats.table import HARMONY
from cluster.chat.messages import FormatKind, ResponseFormat, Tool, ToolChoice, ToolMode


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of an answer, and what its model is.

    Attributes:
        is_reasoning: the prompt has opened the reasoning already.
    """

    form: ToolFormat
    pair: ReasoningPair | None
    is_reasoning: bool
    tools: Sequence[Tool]
    choice: ToolChoice = field(default_factory=ToolChoice)
    is_parallel: bool = True
    response_format: ResponseFormat = field(default_factory=ResponseFormat)

    @property
    def has_format(self) -> bool:
        """Whether content may not be just any text."""
        return self.response_format.kind is not FormatKind.TEXT

    @property
    def callable(self) -> tuple[Tool, ...]:
        """The tools that may be called."""
        if self.choice.mode is ToolMode.NONE:
            return ()
        return tuple(tool for tool in self.tools if not self.choice.names or tool.name in self.choice.names)


def grammar_of(wanted: Wanted, control: ControlTokens) -> str:
    """Of an answer of which something is asked. If that is a grammar, the rule @answer stands for it."""
    lark = Lark(control)
    if wanted.form is HARMONY:
        must_call = wanted.choice.mode is ToolMode.REQUIRED
        answer = _formatted(lark, wanted.response_format) if wanted.has_format else lark.text
        return lark.built(channels(lark, wanted.callable, answer, must_call))
    return lark.built(_behind_reasoning(lark, wanted))


def _behind_reasoning(lark: Lark, wanted: Wanted) -> str:
    """Reasoning that is open must end before the answer, but for a text that may be anything."""
    pair = wanted.pair
    if pair is None:
        return _body(lark, wanted, "")
    is_text = not wanted.has_format and wanted.choice.mode is not ToolMode.REQUIRED
    behind = f"{lark.until(pair.close)} {lark.white} {_body(lark, wanted, '')}"
    reasoned = f"({behind} | {lark.text})" if is_text else f"({behind})"
    if wanted.is_reasoning:
        return reasoned
    if lark.starts_with_control(pair.open):
        return f"{lark.white} {lark.literal(pair.open.strip())} {reasoned} | {_body(lark, wanted, '')}"
    # One word with the white space before it: else this could be the begin of a text, which must not go on so.
    begin = rf"[ \n]{{0,{MAX_WHITE}}}{pattern(pair.open.strip())}"
    return f"/{begin}/ {reasoned} | {_body(lark, wanted, begin)}"


def _body(lark: Lark, wanted: Wanted, without: str) -> str:
    """`without`: a pattern that text does not begin with."""
    rules = CallRules(lark, wanted.form, wanted.callable, not wanted.is_parallel)
    if not wanted.callable:
        return _enclosed(lark, wanted) if wanted.has_format else rules.none()
    if wanted.choice.mode is ToolMode.REQUIRED:
        return rules.required()
    if wanted.has_format:
        return f"({rules.required()} | {_enclosed(lark, wanted)})"
    return rules.free(without)


def _enclosed(lark: Lark, wanted: Wanted) -> str:
    """Content of a wanted format, with what the family puts round it."""
    form = wanted.form
    opened = " | ".join(lark.literal(mark.removeprefix(form.prime)) for mark in form.content_open)
    closed = " | ".join(filter(None, (lark.literal(mark) for mark in form.content_close)))
    before = f"({opened}){'' if form.prime else '?'}" if opened else ""
    after = f"({closed})?" if closed else ""
    return f"{before} {lark.white} {_formatted(lark, wanted.response_format)} {after}".strip()


def _formatted(lark: Lark, wanted: ResponseFormat) -> str:
    if wanted.kind is FormatKind.GRAMMAR:
        return f"@{ANSWER}"
    schema = wanted.schema if wanted.kind is FormatKind.JSON_SCHEMA else {"type": "object"}
    return lark.json(schema, is_lenient=not wanted.strict)
