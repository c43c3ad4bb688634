"""What was said so far, and with which parameters answers are asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster.api.errors import UsageError
from cluster.api.sampling import SamplingParams
from cluster.chat.messages import Message, Role
from cluster.chat.openai_shape import messages_of
from cluster.client.prompts import merge_params


@dataclass(slots=True)
class Conversation:
    """Messages after the instructions; each user's is followed by an answer, but for the last one."""

    params: SamplingParams
    system: str = ""
    messages: list[Message] = field(default_factory=list)

    def asked(self) -> list[Message]:
        """What the model is asked."""
        return [*([Message(Role.SYSTEM, self.system)] if self.system else []), *self.messages]

    def say(self, text: str) -> None:
        self.messages.append(Message(Role.USER, text))

    def answered(self, message: Message) -> None:
        self.messages.append(message)

    def take_back(self) -> str:
        """The last thing the user said is unsaid, with what was answered to it. UsageError if there is nothing."""
        places = [place for place, message in enumerate(self.messages) if message.role is Role.USER]
        if not places:
            raise UsageError("/undo: nothing was said yet; say something first")
        text = self.messages[places[-1]].content
        del self.messages[places[-1] :]
        return text

    def reset(self) -> None:
        self.messages.clear()

    def set(self, name: str, value: str) -> None:
        """A sampling parameter, given as JSON or as a text. UsageError names it."""
        try:
            given = json.loads(value)
        except ValueError:
            given = value
        self.params = merge_params(self.params, {name: given})

    def save(self, path: Path) -> None:
        """As JSON, in OpenAI's shape."""
        shaped = [_shaped(message) for message in self.asked()]
        try:
            path.write_text(json.dumps(shaped, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"/save: {path}: {error.strerror or error}; give a file that can be written") from error

    def load(self, path: Path) -> None:
        """What `save` has written, or anybody in that shape."""
        try:
            messages = list(messages_of(json.loads(path.read_text(encoding="utf-8"))))
        except OSError as error:
            raise UsageError(f"/load: {path}: {error.strerror or error}; give a file that can be read") from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"/load: {path}: {error}; give a list of messages as JSON") from error
        system = messages.pop(0).content if messages[0].role is Role.SYSTEM else ""
        self.messages, self.system = messages, system


def without_limit(params: SamplingParams, was_limited: bool) -> SamplingParams:
    """An answer is as long as the model makes it, unless its length was asked for."""
    return params if was_limited else replace(params, max_tokens=None)


def _shaped(message: Message) -> dict[str, Any]:
    shaped: dict[str, Any] = {"role": str(message.role), "content": message.content}
    if message.reasoning:
        shaped["reasoning_content"] = message.reasoning
    if message.tool_calls:
        shaped["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return shaped
