"""The parts that bodies are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cluster.api.lists import LARGEST_SCALE, MAX_ADAPTERS
from cluster.api.pictures import MAX_PICTURES
from cluster.chat.openai_shape import MAX_MESSAGES, MAX_TOOLS, NAME, TEXT_PARTS
from cluster.chat.openai_shape import ROLES as OPENAI_ROLES
from cluster.http.faces.messages.blocks import ROLES as ANTHROPIC_ROLES
from cluster.http.faces.ollama.chat import ROLES as OLLAMA_ROLES
from cluster.http.faces.responses.items import ROLES as ITEM_ROLES
from cluster.http.limits import MAX_PROMPTS
from ggml.sampling.lists import LARGEST_BIAS, MAX_LOGIT_BIASES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer"}
ANY_OBJECT: Schema = {"type": "object"}
JSON_SCHEMA: Schema = {"type": "object", "description": "a JSON schema"}


def a_list(of: Schema, most: int, least: int = 0) -> Schema:
    return {"type": "array", "items": of, "minItems": least, "maxItems": most}


IMAGES = a_list(TEXT, MAX_PICTURES)  # in base64


def an_object(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """Further properties are passed over."""
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def from_to(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def one_of_words(words: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(words)}


def _message(roles: Iterable[str], content: Schema, more: Mapping[str, Schema]) -> Schema:
    return an_object({"role": one_of_words(roles), "content": content, **more}, ("role",))


_PARTS = a_list(
    {"oneOf": [an_object({"type": {"const": kind}, text: TEXT}, ("type", text)) for kind, text in TEXT_PARTS.items()]},
    MAX_MESSAGES,
)
_TOOL_NAME: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
_CALLED = an_object({"name": _TOOL_NAME, "arguments": {"type": ["string", "object"]}}, ("name",))
_CALLS = a_list(an_object({"id": TEXT, "type": {"const": "function"}, "function": _CALLED}, ("function",)), MAX_TOOLS)
FUNCTION = an_object({"name": _TOOL_NAME, "description": TEXT, "parameters": JSON_SCHEMA, "strict": FLAG}, ("name",))
_TOOL = an_object({"type": {"const": "function"}, "function": FUNCTION}, ("type", "function"))

# Those that documents name in their components.
SHARED: dict[str, Schema] = {
    "Messages": a_list(
        _message(
            OPENAI_ROLES,
            {"anyOf": [TEXT, {"type": "null"}, _PARTS]},
            {"tool_calls": _CALLS, "tool_call_id": TEXT, "reasoning_content": TEXT},
        ),
        MAX_MESSAGES,
        1,
    ),
    "Tools": a_list(_TOOL, MAX_TOOLS),
    "ToolChoice": {
        "anyOf": [
            one_of_words(("auto", "none", "required")),
            an_object({"type": {"const": "function"}, "function": an_object({"name": TEXT}, ("name",))}, ("function",)),
        ]
    },
    "ResponseFormat": {
        "anyOf": [
            an_object({"type": one_of_words(("text", "json_object"))}, ("type",)),
            an_object(
                {
                    "type": {"const": "json_schema"},
                    "json_schema": an_object({"name": TEXT, "schema": JSON_SCHEMA, "strict": FLAG}, ("schema",)),
                },
                ("type", "json_schema"),
            ),
        ]
    },
    "LogitBias": {
        "anyOf": [
            {
                "type": "object",
                "propertyNames": {"pattern": "^[0-9]{1,9}$"},
                "additionalProperties": {"type": "number", "minimum": -LARGEST_BIAS, "maximum": LARGEST_BIAS},
                "maxProperties": MAX_LOGIT_BIASES,
            },
            {"type": "array", "items": {"type": "array", "minItems": 2, "maxItems": 2}, "maxItems": MAX_LOGIT_BIASES},
        ],
        "description": "what is added to the logits of tokens, by their ids; in the list, false bans one",
    },
    "Adapters": {
        **a_list(
            an_object(
                {
                    "id": from_to(0, MAX_ADAPTERS - 1),
                    "scale": {"type": "number", "minimum": -LARGEST_SCALE, "maximum": LARGEST_SCALE},
                },
                ("id", "scale"),
            ),
            MAX_ADAPTERS,
        ),
        "description": "what LoRA adapters are multiplied by; one that is left out counts 0",
    },
    "Prompt": {
        "anyOf": [
            TEXT,
            a_list({"type": "integer", "minimum": 0}, MAX_PROMPTS, 1),
            a_list(TEXT, MAX_PROMPTS, 1),
            a_list(a_list({"type": "integer", "minimum": 0}, MAX_PROMPTS, 1), MAX_PROMPTS, 1),
        ],
        "description": "a text, its token ids, or a list of either",
    },
    "AnthropicMessages": a_list(
        _message(
            ANTHROPIC_ROLES,
            {"anyOf": [TEXT, a_list(an_object({"type": {"const": "text"}, "text": TEXT}, ("type", "text")), 64)]},
            {},
        ),
        MAX_MESSAGES,
        1,
    ),
    "AnthropicTools": a_list(
        an_object({"name": _TOOL_NAME, "description": TEXT, "input_schema": JSON_SCHEMA}, ("name",)), MAX_TOOLS
    ),
    "OllamaMessages": a_list(
        _message(OLLAMA_ROLES, TEXT, {"thinking": TEXT, "tool_name": TEXT, "images": IMAGES}), MAX_MESSAGES
    ),
    "Items": {
        "anyOf": [TEXT, a_list(_message(ITEM_ROLES, {"anyOf": [TEXT, _PARTS]}, {}), MAX_MESSAGES, 1)],
        "description": "a text, or items: messages, calls of functions, their outputs, reasoning",
    },
    "ItemTools": a_list(
        an_object({"type": {"const": "function"}, **FUNCTION["properties"]}, ("type", "name")), MAX_TOOLS
    ),
}


def ref(name: str) -> Schema:
    """To one of SHARED."""
    assert name in SHARED, name
    return {"$ref": f"#/components/schemas/{name}"}
