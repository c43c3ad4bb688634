"""POST /v1/chat/completions: what is answered, chunk by chunk or whole."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from cluster.api.results import FinishReason, Timings
from cluster.chat.answer import Answer
from cluster.chat.events import (
    CallArguments,
    CallBegin,
    CallEnd,
    ChatEvent,
    Content,
    End,
    Failed,
    Logprobs,
    PromptProgress,
    Reasoning,
    Started,
)
from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import Body, Served
from cluster.http.faces.problems import problem_of
from cluster.http.faces.spelling import DONE, PING, SSE, logprob_entries, unnamed
from cluster.http.faces.usage import longest, timings, usage

# It begins as llama-server's does, whose clients look for that.
FINGERPRINT = f"b{version('ggml-cluster')}-ggml-cluster"


@dataclass(frozen=True, slots=True)
class Shown:
    """What of an answer is wanted."""

    id: str
    created: int
    usage: bool = False  # at the end of a stream
    running_usage: bool = False  # with each chunk
    logprobs: bool = False
    running_timings: bool = False
    old_calls: bool = False  # a function_call in place of tool_calls


@dataclass(slots=True)
class _Choice:
    answer: Answer
    num_tokens: int = 0  # so far, as far as log probabilities tell
    begun_s: float = 0.0
    num_cached_first: int | None = None  # what a report of progress began with
    num_reported: int = 0


@dataclass
class ChatEncoder:
    """One request's. The order of chunks, and what stands in each, is what accumulators of SDKs take."""

    served: Served
    shown: Shown
    num_choices: int = 1
    content_type: str = SSE
    _choices: list[_Choice] = field(default_factory=list)
    _has_roles: bool = False
    _has_failed: bool = False

    def __post_init__(self) -> None:
        self._choices = [_Choice(Answer(index)) for index in range(self.num_choices)]

    def open(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return PING

    def push(self, event: ChatEvent) -> bytes:
        choice = self._choices[event.choice]
        choice.answer.add(event)
        match event:
            case Content():
                return self._delta(event.choice, {"content": event.text}, event.logprobs)
            case Reasoning():
                return self._delta(event.choice, {"reasoning_content": event.text}, event.logprobs)
            case CallBegin() | CallArguments():
                return self._call(event)
            case PromptProgress():
                return self._progress(event)
            case Started():
                choice.begun_s = time.monotonic()
                return self._last_progress(event) if choice.num_cached_first is not None else b""
            case End():
                return self._end(event)
            case Failed():
                self._has_failed = True
                problem = replace(problem_of(event.error), kind="server_error")
                return unnamed(openai_error(problem))
            case CallEnd():
                return b""

    def close(self) -> bytes:
        if self._has_failed:
            return b""
        if not self.shown.usage:
            return DONE
        took = timings(longest(choice.answer.timings for choice in self._choices))
        return unnamed(self._chunk([], {"usage": self._usage(), "timings": took})) + DONE

    def whole(self) -> Body:
        answers = [choice.answer for choice in self._choices]
        return {
            **self._head("chat.completion"),
            "choices": [self._message(answer) for answer in answers],
            "usage": self._usage(),
            "timings": timings(longest(answer.timings for answer in answers)),
        }

    def _delta(self, index: int, delta: dict[str, Any], logprobs: Logprobs = ()) -> bytes:
        choice = self._choices[index]
        choice.num_tokens += len(logprobs)
        more: dict[str, Any] = {}
        if self.shown.running_usage:
            more["usage"] = self._usage()
        if self.shown.running_timings:
            more["timings"] = timings(self._timings_now(choice))
        spelled = {"content": self._entries(logprobs), "refusal": None} if self.shown.logprobs and logprobs else None
        chunk = {"index": index, "delta": delta, "logprobs": spelled, "finish_reason": None}
        return self._roles() + unnamed(self._chunk([chunk], more))

    def _roles(self) -> bytes:
        """Before the first delta of any choice, in the same write: what clients time is a token, not a role."""
        if self._has_roles:
            return b""
        self._has_roles = True
        delta = {"role": "assistant", "content": None}
        return b"".join(
            unnamed(self._chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}]))
            for index in range(self.num_choices)
        )

    def _call(self, event: CallBegin | CallArguments) -> bytes:
        """The name once and whole, then the arguments in parts."""
        match event:
            case CallBegin():
                function = {"name": event.name, "arguments": ""}
                call = {"index": event.index, "id": event.id, "type": "function", "function": function}
            case CallArguments():
                function = {"arguments": event.text}
                call = {"index": event.index, "function": function}
        if self.shown.old_calls:
            return self._delta(event.choice, {"function_call": function}) if event.index == 0 else b""
        return self._delta(event.choice, {"tool_calls": [call]})

    def _progress(self, event: PromptProgress) -> bytes:
        """Without choices: those who time the first token wait for one that has some."""
        choice = self._choices[event.choice]
        if choice.num_cached_first is None:
            choice.num_cached_first = event.num_computed
            choice.begun_s = time.monotonic()
        choice.num_reported = event.num_computed
        progress = {
            "total": event.num_prompt_tokens,
            "cache": choice.num_cached_first,
            "processed": event.num_computed,
            "time_ms": round(1000 * (time.monotonic() - choice.begun_s)),
        }
        return unnamed(self._chunk([], {"prompt_progress": progress}))

    def _last_progress(self, event: Started) -> bytes:
        if self._choices[event.choice].num_reported >= event.num_prompt_tokens:
            return b""
        return self._progress(PromptProgress(event.choice, event.num_prompt_tokens, event.num_prompt_tokens))

    def _end(self, event: End) -> bytes:
        reason = self._finish_reason(event.reason, event.num_calls)
        chunk = {"index": event.choice, "delta": {}, "logprobs": None, "finish_reason": reason}
        more: dict[str, Any] = {"timings": timings(event.timings)}
        if self.shown.running_usage:
            more["usage"] = self._usage()
        return self._roles() + unnamed(self._chunk([chunk], more))

    def _message(self, answer: Answer) -> dict[str, Any]:
        assert answer.finish_reason is not None, "it has ended"
        message: dict[str, Any] = {"role": "assistant", "content": answer.content}
        calls = answer.tool_calls
        if calls and not answer.content:
            message["content"] = None
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if calls and self.shown.old_calls:
            message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
        elif calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in calls
            ]
        logprobs = None
        if self.shown.logprobs:
            logprobs = {"content": self._entries(tuple(answer.content_logprobs)), "refusal": None}
        return {
            "index": answer.choice,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": self._finish_reason(answer.finish_reason, len(calls)),
        }

    def _finish_reason(self, reason: FinishReason, num_calls: int) -> str:
        if reason in (FinishReason.LENGTH, FinishReason.CONTEXT):
            return "length"
        if num_calls:
            return "function_call" if self.shown.old_calls else "tool_calls"
        return "stop"

    def _head(self, kind: str) -> dict[str, Any]:
        """The fingerprint stands in every chunk: accumulators keep that of the last one."""
        return {
            "id": self.shown.id,
            "object": kind,
            "created": self.shown.created,
            "model": self.served.alias,
            "system_fingerprint": FINGERPRINT,
        }

    def _chunk(self, choices: list[dict[str, Any]], more: dict[str, Any] | None = None) -> Body:
        chunk = {**self._head("chat.completion.chunk"), "choices": choices}
        if self.shown.usage:
            chunk["usage"] = None
        return chunk | more if more else chunk

    def _usage(self) -> Body:
        """Choices share one prompt."""
        answers = [choice.answer for choice in self._choices]
        num_tokens = sum(
            answer.num_tokens if answer.finish_reason is not None else choice.num_tokens
            for answer, choice in zip(answers, self._choices, strict=True)
        )
        return usage(
            max(answer.num_prompt_tokens for answer in answers),
            max(answer.num_cached_tokens for answer in answers),
            num_tokens,
            sum(answer.num_reasoning_tokens for answer in answers),
        )

    def _timings_now(self, choice: _Choice) -> Timings:
        answer, decode_ms = choice.answer, 1000 * (time.monotonic() - choice.begun_s)
        return Timings(answer.num_prompt_tokens, choice.num_tokens, answer.num_cached_tokens, decode_ms=decode_ms)

    def _entries(self, logprobs: Logprobs) -> list[dict[str, Any]]:
        return logprob_entries(logprobs, self.served.vocabulary.pieces)
