"""Which templates a model's chats are written with: its own, one that was given instead, or ChatML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.chat.templates.named import named_template
from cluster.chat.templates.traits import Source

FALLBACK = "chatml"
TOOL_TEMPLATE = "tool_use"  # the one for requests with tools, where a model has several
MAX_CHARS = 1 << 20


@dataclass(frozen=True, slots=True)
class Correction:
    """Text of known templates that refuses what it should not; llama.cpp replaces the same."""

    family: str  # text that such templates have
    text: str
    instead: str


CORRECTIONS = (
    # Templates of gpt-oss refuse answers that speak of channels.
    Correction(
        "<|channel|>",
        '{%- if "<|channel|>analysis<|message|>" in message.content or '
        '"<|channel|>final<|message|>" in message.content %}',
        "{%- if false %}",
    ),
    # Templates of Mistral refuse empty answers.
    Correction(
        "[TOOL_CALLS]",
        "{%- if (message['content'] is none or message['content'] == '' or message['content']|length == 0) and "
        "(message['tool_calls'] is not defined or message['tool_calls'] is none or "
        "message['tool_calls']|length == 0) %}",
        "{%- if false %}",
    ),
)


@dataclass(frozen=True, slots=True)
class TemplateTexts:
    """The texts of the templates. `for_tools` is the one for requests with tools; often the same."""

    source: Source
    text: str
    for_tools: str

    @property
    def failure(self) -> str:
        """Why they cannot be used; empty if nothing is known against them."""
        longest = max(len(self.text), len(self.for_tools))
        return f"it is longer than {MAX_CHARS} characters" if longest > MAX_CHARS else ""


def choose(templates: Mapping[str, str], override: str = "") -> TemplateTexts:
    """`templates`: the model's, by name; `override`: the text of another one."""
    if override:
        text = corrected(override)
        return TemplateTexts(Source.OVERRIDE, text, text)
    default = templates.get("") or templates.get(TOOL_TEMPLATE)
    if not default:
        text = named_template(FALLBACK)
        return TemplateTexts(Source.FALLBACK, text, text)
    for_tools = templates.get(TOOL_TEMPLATE) or default
    return TemplateTexts(Source.MODEL, corrected(default), corrected(for_tools))


def corrected(text: str) -> str:
    """The text without what is known to be wrong with it."""
    for correction in CORRECTIONS:
        if correction.family in text:
            text = text.replace(correction.text, correction.instead)
    return text
