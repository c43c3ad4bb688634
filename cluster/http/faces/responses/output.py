"""The items of an answer, as they come. Each gives the events that say so, but for what all events have."""

from __future__ import annotations

from typing import Any, Protocol

from cluster.http.faces.face import Body
from cluster.http.faces.responses.tools import FullName

COMPLETED, INCOMPLETE, IN_PROGRESS = "completed", "incomplete", "in_progress"


class OutputItem(Protocol):
    """One item: a message, what was thought, or a call. `body` is the item itself, whole after `end`."""

    body: dict[str, Any]

    def begin(self) -> list[Body]: ...

    def add(self, text: str, logprobs: list[dict[str, Any]]) -> list[Body]: ...

    def end(self, status: str) -> list[Body]: ...


class TextItem:
    """An item with one part of content, which is text."""

    def __init__(self, body: dict[str, Any], part: dict[str, Any], events: str, index: int, has_logprobs: bool) -> None:
        self.body = body
        self._part = part
        self._events = events  # the beginning of the names of what tells its text
        self._place = {"item_id": body["id"], "output_index": index, "content_index": 0}
        self._texts: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._has_logprobs = has_logprobs

    @classmethod
    def message(cls, item_id: str, index: int) -> TextItem:
        body = {"type": "message", "id": item_id, "role": "assistant", "status": IN_PROGRESS, "content": []}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return cls(body, part, "response.output_text", index, True)

    @classmethod
    def reasoning(cls, item_id: str, index: int) -> TextItem:
        body = {"type": "reasoning", "id": item_id, "summary": [], "content": [], "status": IN_PROGRESS}
        return cls(body, {"type": "reasoning_text", "text": ""}, "response.reasoning_text", index, False)

    def begin(self) -> list[Body]:
        return [{"type": "response.content_part.added", **self._place, "part": dict(self._part)}]

    def add(self, text: str, logprobs: list[dict[str, Any]]) -> list[Body]:
        self._texts.append(text)
        self._logprobs.extend(logprobs)
        more = {"logprobs": logprobs} if self._has_logprobs else {}
        return [{"type": f"{self._events}.delta", **self._place, "delta": text, **more}]

    def end(self, status: str) -> list[Body]:
        text = "".join(self._texts)
        more = {"logprobs": self._logprobs} if self._has_logprobs else {}
        part = {**self._part, "text": text, **more}
        self.body = {**self.body, "status": status, "content": [part]}
        if not self._has_logprobs:
            self.body["encrypted_content"] = None
        return [
            {"type": f"{self._events}.done", **self._place, "text": text, **more},
            {"type": "response.content_part.done", **self._place, "part": part},
        ]


class CallItem:
    """A call of a function."""

    def __init__(self, item_id: str, index: int, call_id: str, full_name: FullName) -> None:
        namespace = {"namespace": full_name.namespace} if full_name.namespace else {}
        self.body: dict[str, Any] = {
            "type": "function_call",
            "id": item_id,
            "call_id": call_id,
            "name": full_name.name,
            **namespace,
            "arguments": "",
            "status": IN_PROGRESS,
        }
        self._place = {"item_id": item_id, "output_index": index}
        self._texts: list[str] = []

    def begin(self) -> list[Body]:
        return []

    def add(self, text: str, logprobs: list[dict[str, Any]]) -> list[Body]:
        self._texts.append(text)
        return [{"type": "response.function_call_arguments.delta", **self._place, "delta": text}]

    def end(self, status: str) -> list[Body]:
        arguments = "".join(self._texts)
        self.body = {**self.body, "status": status, "arguments": arguments}
        name = self.body["name"]
        kind = "response.function_call_arguments.done"
        return [{"type": kind, **self._place, "name": name, "arguments": arguments}]
