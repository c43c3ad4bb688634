"""What a turn consists of as it comes: the same for all APIs, which only spell it differently."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import ClusterError
from cluster.api.results import FinishReason, Timings


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A drawn token with its log probability, and the most probable ones at its place. Or a token of a prompt."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()  # (token id, logprob), most probable first
    is_first: bool = False  # of a prompt: nothing came before it, and it has no log probability


Logprobs = tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The prompt is known. The first event of a choice, unless that fails before."""

    choice: int
    num_prompt_tokens: int
    num_cached_tokens: int


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """So much of the prompt is computed; only where it was asked for."""

    choice: int
    num_computed: int
    num_prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Reasoning:
    choice: int
    text: str
    logprobs: Logprobs = ()


@dataclass(frozen=True, slots=True)
class Content:
    choice: int
    text: str
    logprobs: Logprobs = ()  # of the tokens whose text this is, and of those that have none


@dataclass(frozen=True, slots=True)
class CallBegin:
    """A tool call whose name is complete."""

    choice: int
    index: int  # of the call in the answer, from 0
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """A part of the JSON text of the arguments."""

    choice: int
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class CallEnd:
    choice: int
    index: int


@dataclass(frozen=True, slots=True)
class End:
    """The last event of a choice that did not fail."""

    choice: int
    reason: FinishReason
    timings: Timings
    num_reasoning_tokens: int = 0
    num_calls: int = 0
    stop_string: str | None = None  # which one ended it


@dataclass(frozen=True, slots=True)
class Failed:
    """The last event of a choice that failed."""

    choice: int
    error: ClusterError


ChatEvent = Started | PromptProgress | Reasoning | Content | CallBegin | CallArguments | CallEnd | End | Failed
