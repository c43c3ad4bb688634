"""The arguments of one tool, as its family spells them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cluster.chat.formats.format import ToolFormat, Values
from cluster.chat.formats.grammars.lark import Lark
from cluster.chat.formats.grammars.nested import GEMMA, PYTHON, Nested
from cluster.chat.formats.grammars.sequence import in_order
from cluster.chat.formats.kinds import Kind, kind_of, properties_of
from cluster.chat.messages import JsonObject, Tool

_FOR_READERS = ("description", "title", "examples", "default", "$comment")  # and nothing to a grammar
NAME = "/[A-Za-z0-9_.-]{1,64}/"


def arguments(lark: Lark, form: ToolFormat, tool: Tool) -> str:
    """An expression, which ends where the call's own end begins."""
    schema = closed(tool.parameters)
    match form.values:
        case Values.JSON if not properties_of(schema) and schema.get("additionalProperties") is False:
            return '"{}"'
        case Values.JSON:
            return lark.json(schema, is_lenient=not tool.strict)
        case Values.TAGGED:
            return _Tagged(lark, form, tool, schema).all()
        case Values.GEMMA:
            return Nested(lark, GEMMA, schema).value(schema)
        case Values.PYTHON:
            return Nested(lark, PYTHON, schema).keywords(schema)


def closed(schema: JsonObject) -> JsonObject:
    """The schema of an object that has no other properties than those named, unless it says that it may."""
    if not properties_of(schema) and "additionalProperties" not in schema and not _is_composed(schema):
        return {**schema, "type": "object", "properties": {}, "additionalProperties": False}
    found = _closed(schema)
    return {"type": "object", **found} if isinstance(found, Mapping) and not _is_composed(found) else found


def _closed(schema: Any) -> Any:
    """Objects in it, too, but for those that are put together of several schemas."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {
        key: {name: _closed(item) for name, item in value.items()}
        if key in ("properties", "$defs", "definitions") and isinstance(value, Mapping)
        else _closed(value)
        if key in ("items", "prefixItems", "anyOf", "oneOf")
        else value
        for key, value in schema.items()
        if key not in _FOR_READERS
    }
    if isinstance(schema.get("properties"), Mapping) and not _is_composed(schema):
        found.setdefault("additionalProperties", False)
    return found


def _is_composed(schema: Mapping[str, Any]) -> bool:
    return any(key in schema for key in ("allOf", "anyOf", "oneOf", "$ref", "patternProperties", "if", "not"))


class _Tagged:
    """Arguments between literals: those that must be there and those that may, in the schema's order."""

    def __init__(self, lark: Lark, form: ToolFormat, tool: Tool, schema: JsonObject) -> None:
        self._lark = lark
        self._form = form
        self._is_lenient = not tool.strict
        self._schema = schema

    def all(self) -> str:
        required = self._schema.get("required")
        required = required if isinstance(required, list) else []
        found = [
            (self._argument(name, schema), name in required) for name, schema in properties_of(self._schema).items()
        ]
        expression = in_order(self._lark, found, between="")
        if self._schema.get("additionalProperties", False) is not False or _is_composed(self._schema):
            other = self._lark.rule("other", self._other())
            return f"{expression} {other}*"
        return expression

    def _argument(self, name: str, schema: Any) -> str:
        kind = kind_of(schema, self._schema)
        if kind is Kind.ANY and self._form.text_argument:
            kind = Kind.JSON  # the text says which, and JSON has all
        spelled = self._form.text_argument if kind is Kind.TEXT and self._form.text_argument else self._form.argument
        before, _, after = spelled.replace("{key}", name).partition("{value}")
        return self._lark.rule("argument", f"{self._before(before)} {self._value(kind, schema, after)}")

    def _other(self) -> str:
        """An argument that the schema does not name."""
        before, _, after = self._form.argument.partition("{value}")
        opened, _, key_end = before.partition("{key}")
        if "{key}" in after:
            return self._lark.literal(opened)  # cannot be: its end names it
        value = self._value(Kind.JSON if self._form.text_argument else Kind.ANY, {}, after)
        return f"{self._lark.literal(opened)} {NAME} {self._before(key_end)} {value}"

    def _before(self, literal: str) -> str:
        first, has_type, second = literal.partition("{type}")
        return (
            f"{self._lark.literal(first)} {NAME} {self._lark.literal(second)}"
            if has_type
            else (self._lark.literal(first))
        )

    def _value(self, kind: Kind, schema: Any, after: str) -> str:
        lark = self._lark
        if kind is Kind.JSON:
            return f"{lark.json(_rooted(schema, self._schema), is_lenient=self._is_lenient)} {lark.literal(after)}"
        choices = _texts(schema)
        if kind is Kind.TEXT and choices:
            texts = " | ".join(json.dumps(text, ensure_ascii=False) for text in choices)
            return f"({texts}) {lark.literal(after)}"
        return f"{lark.until(after)} {lark.white}"


def _texts(schema: Any) -> list[str]:
    """The only values of a text, if the schema names them."""
    if not isinstance(schema, Mapping):
        return []
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _rooted(schema: Any, root: JsonObject) -> Any:
    """A property's schema with what its references are looked up in."""
    if not isinstance(schema, Mapping):
        return schema
    return {**{key: root[key] for key in ("$defs", "definitions") if key in root}, **schema}
