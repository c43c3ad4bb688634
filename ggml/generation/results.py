"""What generation gives: events as tokens come, and the whole of each prompt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

#: "stop": an end token, one of stop_token_ids, or a stop string; "length": max_tokens; "context": it is full.
FinishReason = Literal["stop", "length", "context"]


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """A token of the text for the prompt with the number ``prompt``, from 0.

    ``token`` is None where a text ends without one. ``text`` is what the token completes: whole characters, nothing of
    a stop string, nothing without a tokenizer. Log probabilities are natural, of the model's own logits.
    """

    prompt: int
    token: int | None
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...]  # the most probable tokens, as many as params.logprobs
    finish_reason: FinishReason | None


@dataclass(slots=True)
class Generation:
    """The text for a prompt: its tokens, the end token included, and why it ended."""

    tokens: list[int] = field(default_factory=list)
    text: str = ""
    logprobs: list[float] = field(default_factory=list)
    top: list[tuple[tuple[int, float], ...]] = field(default_factory=list)
    finish_reason: FinishReason | None = None


def gathered(events: Iterable[TokenEvent]) -> list[Generation]:
    """The events of each prompt together, in the order of the prompts."""
    found: dict[int, Generation] = {}
    for event in events:
        one = found.setdefault(event.prompt, Generation())
        one.text += event.text
        one.finish_reason = event.finish_reason
        if event.token is not None:
            one.tokens.append(event.token)
            one.logprobs.append(event.logprob)
            one.top.append(event.top)
    return [found[prompt] for prompt in sorted(found)]
