"""What is asked of a chat: messages, tools, and what the answer must look like. Made by the faces and by clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cluster.api.sampling import SamplingParams

JsonObject = Mapping[str, Any]

# Of no character, and never will be: Unicode leaves it to programs. From texts of others it is taken out.
PICTURE = "\ufdd2"


@dataclass(frozen=True, slots=True)
class PictureUrl:
    """Where a picture is that somebody else has. It is fetched before a prompt is made of it, or refused then."""

    url: str
    field: str  # of the request, where it was named


class Role(StrEnum):
    """Who speaks. `developer` is `system` by the time a message is one of these."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model made."""

    id: str
    name: str
    arguments: str  # JSON text, as the model wrote it


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. Parts of content are one text by then, with the character PICTURE in the place of each picture."""

    role: Role
    content: str = ""
    reasoning: str = ""  # of an assistant
    tool_calls: tuple[ToolCall, ...] = ()  # of an assistant
    tool_call_id: str = ""  # of a tool: which call it answers
    name: str = ""  # of a tool, where it is known
    pictures: tuple[bytes | PictureUrl, ...] = ()  # of a user: files, in the order of their places


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: JsonObject = field(default_factory=dict)  # JSON schema of the arguments, an object's
    strict: bool = False


class ToolMode(StrEnum):
    """How far the model is free to call."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which tools may, or must, be called."""

    mode: ToolMode = ToolMode.AUTO
    names: tuple[str, ...] = ()  # of those that may be called; () is all


class FormatKind(StrEnum):
    """What the content of an answer is to be."""

    TEXT = "text"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"
    GRAMMAR = "grammar"  # in the form that `cluster.grammar` gives


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What the content of an answer must look like."""

    kind: FormatKind = FormatKind.TEXT
    schema: JsonObject | None = None  # of a json_schema
    name: str = ""
    strict: bool = False  # a schema with what is not enforced is refused; else that is left out, with a warning
    grammar: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A turn that is asked for."""

    messages: tuple[Message, ...]
    params: SamplingParams = field(default_factory=SamplingParams)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat()
    template_arguments: JsonObject = field(default_factory=dict)  # chat_template_kwargs, with enable_thinking and so on
    add_generation_prompt: bool = True
    continue_final_message: bool = False  # the answer goes on where the last message, an assistant's, ends
    num_choices: int = 1  # answers to the same prompt, with seeds that follow each other
