"""The items of a conversation as messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cluster.chat.messages import Message, Role, ToolCall
from cluster.http.faces.face import Body
from cluster.http.faces.fields import Fields
from cluster.http.faces.parts import content_parts, content_text
from cluster.http.faces.responses.tools import shown_name

ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
Recall = Callable[[str], Body | None]  # an item that was answered before, by its id


@dataclass(slots=True)
class _Turn:
    """An assistant's, as its items come: what it thought, then what it said, then what it called."""

    reasoning: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)

    def message(self) -> Message:
        content, reasoning = "\n".join(self.texts), "\n".join(self.reasoning)
        return Message(Role.ASSISTANT, content, reasoning, tuple(self.calls))


class Conversation:
    """Takes items in their order. Those of one turn of the assistant become one message, as templates want it."""

    def __init__(self, recall: Recall) -> None:
        self.ignored: list[str] = []
        self._recall = recall
        self._messages: list[Message] = []
        self._turn: _Turn | None = None
        self._names: dict[str, str] = {}  # of the functions called, by the call's id

    def add(self, items: Iterable[Fields]) -> None:
        """UsageError for an item that is wrong; of one that means nothing to a model, the text is kept, if any."""
        for item in items:
            self._add(item)

    def messages(self) -> tuple[Message, ...]:
        self._end_turn()
        return tuple(self._messages)

    def _add(self, item: Fields) -> None:
        match item.text("type", "message"):
            case "message":
                self._add_message(item)
            case "function_call":
                self._add_call(item)
            case "function_call_output":
                self._add_output(item)
            case "reasoning":
                self._add_reasoning(item)
            case "item_reference":
                self._add_reference(item)
            case _:
                self._add_unknown(item)

    def _add_message(self, item: Fields) -> None:
        if not item.text("role"):
            raise item.wrong("role", f"it is missing; give one of {', '.join(ROLES)}")
        role = item.choice("role", ROLES, Role.USER)
        if role is Role.USER:
            text, pictures = content_parts(item, "content", self.ignored.append)
            self._end_turn()
            self._messages.append(Message(role, text, pictures=pictures))
            return
        text = content_text(item, "content", self.ignored.append)
        if role is Role.ASSISTANT:
            self._turn_with(had=lambda turn: bool(turn.calls)).texts.append(text)
        else:
            self._end_turn()
            self._messages.append(Message(role, text))

    def _add_reasoning(self, item: Fields) -> None:
        text = content_text(item, "content", self.ignored.append) or content_text(item, "summary", self.ignored.append)
        if text:
            self._turn_with(had=lambda turn: bool(turn.texts or turn.calls)).reasoning.append(text)

    def _add_call(self, item: Fields) -> None:
        name = shown_name(item.text("name"), item.text("namespace"))
        call = ToolCall(item.text("call_id"), name, item.text("arguments", "{}"))
        self._names[call.id] = name
        self._turn_with(had=lambda turn: False).calls.append(call)

    def _add_output(self, item: Fields) -> None:
        call_id = item.text("call_id")
        text = content_text(item, "output", self.ignored.append)
        self._end_turn()
        self._messages.append(Message(Role.TOOL, text, tool_call_id=call_id, name=self._names.get(call_id, "")))

    def _add_reference(self, item: Fields) -> None:
        known = self._recall(item.text("id"))
        if known is None:
            raise item.wrong("id", "no item with this id is stored here; give the item itself")
        self._add(Fields(known, item.name_of("id")))

    def _add_unknown(self, item: Fields) -> None:
        self.ignored.append(item.name_of("type"))
        texts = (item.any(name) for name in ("content", "output", "input"))
        text = next((text for text in texts if isinstance(text, str)), "")
        if text:
            self._turn_with(had=lambda turn: bool(turn.calls)).texts.append(text)

    def _turn_with(self, had: Callable[[_Turn], bool]) -> _Turn:
        """The assistant's turn that goes on, or a new one if that already had what must come later."""
        if self._turn is not None and had(self._turn):
            self._end_turn()
        if self._turn is None:
            self._turn = _Turn()
        return self._turn

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._messages.append(self._turn.message())
            self._turn = None
