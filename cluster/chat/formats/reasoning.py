"""What encloses the reasoning of a model, and whether a prompt has opened it already."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.chat.formats.mark import Mark


@dataclass(frozen=True, slots=True)
class ReasoningPair:
    """The two literals, with the white space that templates put round them."""

    open: str
    close: str
    has: str = ""  # what a template that speaks of the pair has in it; empty is the closing literal

    @property
    def id(self) -> str:
        return f"{self.open.strip()}{self.close.strip()}"

    def marks(self) -> tuple[Mark, Mark]:
        return Mark(self.open), Mark(self.close)

    def is_opened_by(self, tail: str) -> bool:
        """Whether the end of a prompt has begun the reasoning, and not ended it."""
        begin = tail.rfind(self.open.strip())
        return begin >= 0 and tail.rfind(self.close.strip()) < begin


PAIRS = (
    ReasoningPair("<|open|>think<|sep|>", "<|close|>think<|sep|>", has="<|open|>"),
    ReasoningPair("<|think|>", "<|end|>", has="<|begin|>assistant<|think|>"),
    ReasoningPair("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]\n"),
    ReasoningPair("<think:opensource>", "</think:opensource>", has="<think{}>"),
    ReasoningPair("<seed:think>\n", "\n</seed:think>\n"),
    ReasoningPair("<mm:think>\n", "\n</mm:think>\n\n"),
    ReasoningPair("<think>\n", "\n</think>\n\n"),
    ReasoningPair("<|inner_prefix|>", "<|inner_suffix|>"),
    ReasoningPair("[THINK]", "[/THINK]"),
    ReasoningPair("<|START_THINKING|>", "<|END_THINKING|>"),
    ReasoningPair("<|channel>thought\n", "\n<channel|>"),
)


def pair_of(source: str) -> ReasoningPair | None:
    """The pair that a template speaks of: its closing literal is there, since templates cut old reasoning off."""
    return next((pair for pair in PAIRS if (pair.has or pair.close.strip()) in source), None)
