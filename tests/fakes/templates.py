"""ChatML, written by hand: enough of a template to test what stands behind one."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.prompt import Segment, Segments
from cluster.chat.messages import ChatRequest


@dataclass(frozen=True, slots=True)
class FakeTraits:
    takes_tools: bool = False
    takes_calls: bool = False
    takes_response_format: bool = False
    failure: str = ""
    source: str = "fallback"


@dataclass(frozen=True, slots=True)
class FakeRendered:
    segments: Segments
    text: str
    open_tail: str
    add_special: bool = True


class FakeTemplates:
    """`tail` ends each prompt; `source_text` is what formats are looked for in."""

    def __init__(self, source_text: str = "", tail: str = "", traits: FakeTraits | None = None) -> None:
        self.source_text = source_text
        self.traits = traits or FakeTraits()
        self.is_closed = False
        self._tail = tail

    def render(self, request: ChatRequest, tools_text: str = "") -> FakeRendered:
        turns = [f"<|im_start|>{message.role}\n{message.content}<|im_end|>\n" for message in request.messages]
        if tools_text:
            turns.insert(0, f"<|im_start|>system\n{tools_text}<|im_end|>\n")
        tail = f"<|im_start|>assistant\n{self._tail}" if request.add_generation_prompt else ""
        text = "".join(turns) + tail
        return FakeRendered((Segment(text, parse_special=True),), text, tail)

    def close(self) -> None:
        self.is_closed = True
