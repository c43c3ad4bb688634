"""What a client gets of a request: its tokens, its text, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FinishReason(StrEnum):
    """Why a request ended. The values are what clients see; each is a text, in JSON too."""

    STOP = "stop"  # an end token or a stop string
    LENGTH = "length"  # max_tokens reached
    CONTEXT = "context"  # the context is full
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Timings:
    """Figures of one request. Set by the coordinator, on its monotonic clock."""

    num_prompt_tokens: int = 0
    num_tokens: int = 0  # generated
    num_cached_tokens: int = 0  # prompt tokens whose KV was already there
    queue_ms: float = 0.0
    prefill_ms: float = 0.0  # admission to the first token
    decode_ms: float = 0.0  # first token to the last


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One step of a stream, as the client sees it. Set by the coordinator.

    `text` holds whole UTF-8 characters only and may be empty while bytes of a character or a possible stop
    string are held back. The last event of a stream carries `finish_reason` and `timings` and may have no token.
    """

    token: int | None
    text: str
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    finish_reason: FinishReason | None = None
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished text. `token_ids` excludes the prompt; `logprobs[i]` belongs to `token_ids[i]`."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    timings: Timings
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...] = ()
