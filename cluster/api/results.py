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
    num_drafted: int = 0  # tokens that were guessed ahead
    num_accepted: int = 0  # those of them that were right
    num_dropped_runs: int = 0  # steps of guesses behind one that was wrong: nothing came of them


@dataclass(frozen=True, slots=True)
class PromptCounts:
    """How far a prompt was read. Set by the coordinator."""

    num_prompt_tokens: int
    num_cached_tokens: int  # leading ones whose KV was already there
    num_computed: int  # leading ones that are done, the cached ones among them


@dataclass(frozen=True, slots=True)
class PromptLogprob:
    """A token of the prompt, and what the model thought of it. Set by the last stage."""

    token: int
    logprob: float | None  # natural log; None for the first token, which nothing comes before
    top: tuple[tuple[int, float], ...] = ()  # (token id, logprob) of the most probable ones, most probable first


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One step of a stream, as the client sees it. Set by the coordinator.

    `text` holds whole UTF-8 characters only and may be empty while bytes of a character or a possible stop
    string are held back. The last event of a stream carries `finish_reason` and `timings` and may have no token.
    Events before the first token, which only tell of the prompt, come where SamplingParams.report_progress asks for
    them.

    Attributes:
        stop_string: the one that ended the text.
        prompt: with the first token (with the last event, if there is no token), and while the prompt is read.
        prompt_logprobs: one for each token of the prompt, with the first token (or the last event, if there is none),
            if they were asked for.
    """

    token: int | None
    text: str
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    finish_reason: FinishReason | None = None
    timings: Timings | None = None
    stop_string: str | None = None
    prompt: PromptCounts | None = None
    prompt_logprobs: tuple[PromptLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished text. `token_ids` excludes the prompt; `logprobs[i]` belongs to `token_ids[i]`."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    timings: Timings
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...] = ()
    stop_string: str | None = None  # the one that ended it
    prompt_logprobs: tuple[PromptLogprob, ...] = ()  # one for each token of the prompt, if they were asked for
