"""Ollama's answers: one JSON object a line, or all in one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from cluster.api.results import FinishReason, Timings
from cluster.chat.events import CallArguments, CallBegin, CallEnd, ChatEvent, Content, End, Failed, Logprobs, Reasoning
from cluster.http.faces.face import Body
from cluster.http.faces.problems import problem_of
from cluster.http.faces.spelling import NDJSON, line, logprob_entries

NS_PER_MS = 1_000_000
DONE_REASONS = {FinishReason.STOP: "stop", FinishReason.LENGTH: "length", FinishReason.CONTEXT: "length"}
Shape = Callable[[dict[str, Any]], dict[str, Any]]  # from content, thinking and tool_calls to the fields of an answer


def as_message(said: dict[str, Any]) -> dict[str, Any]:
    """As /api/chat has it."""
    return {"message": {"role": "assistant", "content": "", **said}}


def as_response(said: dict[str, Any]) -> dict[str, Any]:
    """As /api/generate has it."""
    return {"response": said.pop("content", ""), **said}


class OllamaEncoder:
    """One answer. A call comes whole; of one that was cut off the text is content, so that nobody carries it out.

    Args:
        shape: how text is put.
        pieces: of the vocabulary, where log probabilities are asked for.
    """

    content_type = NDJSON

    def __init__(
        self,
        alias: str,
        shape: Shape,
        pieces: tuple[bytes, ...] | None = None,
        now: Callable[[], str] = lambda: rfc3339(datetime.now(UTC)),
    ) -> None:
        self._alias = alias
        self._shape = shape
        self._pieces = pieces
        self._now = now
        self._texts: dict[str, list[str]] = {"content": [], "thinking": []}
        self._calls: list[Body] = []
        self._logprobs: list[dict[str, Any]] = []
        self._call: tuple[str, list[str]] | None = None  # name and arguments of the open one
        self._end: dict[str, Any] = {}

    def open(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        """A line that adds nothing: this form has no comments."""
        return self._line({})

    def push(self, event: ChatEvent) -> bytes:
        match event:
            case Content():
                return self._text("content", event.text, event.logprobs)
            case Reasoning():
                return self._text("thinking", event.text, event.logprobs)
            case CallBegin():
                lost = self._lose_call()
                self._call = (event.name, [])
                return lost
            case CallArguments():
                if self._call is not None:
                    self._call[1].append(event.text)
                return b""
            case CallEnd():
                return self._end_call()
            case End():
                return self._finish(event)
            case Failed():
                return line({"error": problem_of(event.error).message})
            case _:
                return b""

    def close(self) -> bytes:
        return b""

    def whole(self) -> Body:
        thinking = "".join(self._texts["thinking"])
        said: dict[str, Any] = {"content": "".join(self._texts["content"])}
        said |= {"thinking": thinking} if thinking else {}
        said |= {"tool_calls": self._calls} if self._calls else {}
        logprobs = {"logprobs": self._logprobs} if self._logprobs else {}
        return {**self._head(), **self._shape(said), **logprobs, **self._end}

    def _head(self) -> dict[str, Any]:
        return {"model": self._alias, "created_at": self._now()}

    def _line(self, said: dict[str, Any], logprobs: list[dict[str, Any]] | None = None) -> bytes:
        more = {"logprobs": logprobs} if logprobs else {}
        return line({**self._head(), **self._shape(said), **more, "done": False})

    def _text(self, kind: str, text: str, logprobs: Logprobs) -> bytes:
        entries = logprob_entries(logprobs, self._pieces) if self._pieces is not None else []
        if not text and not entries:
            return b""
        self._texts[kind].append(text)
        self._logprobs.extend(entries)
        return self._line({kind: text}, entries)

    def _end_call(self) -> bytes:
        if self._call is None:
            return b""
        name, texts = self._call
        arguments = _object("".join(texts))
        if arguments is None:
            return self._lose_call()
        self._call = None
        call = {"function": {"index": len(self._calls), "name": name, "arguments": arguments}}
        self._calls.append(call)
        return self._line({"tool_calls": [call]})

    def _lose_call(self) -> bytes:
        """What came of a call that is not whole."""
        if self._call is None:
            return b""
        (name, texts), self._call = self._call, None
        return self._text("content", f"{name}({''.join(texts)}", ())

    def _finish(self, end: End) -> bytes:
        lost = self._lose_call()
        self._end = {
            "done": True,
            "done_reason": DONE_REASONS.get(end.reason, str(end.reason)),
            **_figures(end.timings),
        }
        return lost + line({**self._head(), **self._shape({}), **self._end})


def loaded(alias: str, shape: Shape, is_unload: bool, now: Callable[[], str] | None = None) -> Body:
    """What is answered to a request without a message or a prompt, which only asks for the model to be there."""
    created_at = now() if now is not None else rfc3339(datetime.now(UTC))
    reason = "unload" if is_unload else "load"
    return {"model": alias, "created_at": created_at, **shape({}), "done": True, "done_reason": reason}


def rfc3339(moment: datetime) -> str:
    """In UTC, as Go writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _figures(timings: Timings) -> dict[str, int]:
    """In nanoseconds. The model is there already, so that what comes before the prompt is waiting for a slot."""
    total_ms = timings.queue_ms + timings.prefill_ms + timings.decode_ms
    return {
        "total_duration": round(total_ms * NS_PER_MS),
        "load_duration": round(timings.queue_ms * NS_PER_MS),
        "prompt_eval_count": timings.num_prompt_tokens,
        "prompt_eval_duration": round(timings.prefill_ms * NS_PER_MS),
        "eval_count": timings.num_tokens,
        "eval_duration": round(timings.decode_ms * NS_PER_MS),
    }


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
