"""Values in spellings that are nearly JSON's: what of a schema can be said of them is enforced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.chat.formats.grammars.lark import Lark, pattern
from cluster.chat.formats.grammars.sequence import in_order
from cluster.chat.formats.kinds import properties_of, referred
from cluster.chat.messages import JsonObject

_INTEGER = r"/-?(0|[1-9][0-9]{0,17})/"
_NUMBER = r"/-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][+-]?[0-9]{1,3})?/"
_PYTHON_TEXT = r"""/'([^'\\\n]|\\[^\n])*'/ | /"([^"\\\n]|\\[^\n])*"/"""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How values are written."""

    quote: str  # the literal round texts; empty is Python's quotes
    has_bare_keys: bool
    between: str
    words: Mapping[str, str]  # for true, false, null


GEMMA = Spelling('<|"|>', True, ",", {"true": "true", "false": "false", "null": "null"})
PYTHON = Spelling("", False, ", ", {"true": "True", "false": "False", "null": "None"})


class Nested:
    """Rules for the values of one schema: types, enums, properties, items and references."""

    def __init__(self, lark: Lark, spelling: Spelling, root: JsonObject) -> None:
        self._lark = lark
        self._spelling = spelling
        self._root = root
        self._between = lark.literal(spelling.between)
        self._by_reference: dict[str, str] = {}
        self._any = ""

    def value(self, schema: Any) -> str:
        """An expression for a value that follows the schema."""
        if not isinstance(schema, Mapping):
            return self._anything()
        if "$ref" in schema:
            return self._referred(str(schema["$ref"]))
        if "const" in schema or isinstance(schema.get("enum"), list):
            values = [schema["const"]] if "const" in schema else schema["enum"]
            return self._lark.rule("one_of", " | ".join(self._exactly(value) for value in values))
        for choice in ("anyOf", "oneOf"):
            if isinstance(schema.get(choice), list) and schema[choice]:
                return self._lark.rule("any_of", " | ".join(self.value(one) for one in schema[choice]))
        kinds = schema.get("type", "object" if properties_of(schema) else None)
        names = kinds if isinstance(kinds, list) else [kinds]
        return self._lark.rule("value", " | ".join(self._typed(name, schema) for name in names))

    def keywords(self, schema: JsonObject) -> str:
        """Python's keyword arguments."""
        return self._members(schema, lambda name: f"{name}=")

    def _typed(self, name: Any, schema: Mapping[str, Any]) -> str:
        match name:
            case "string":
                return self._text()
            case "integer":
                return _INTEGER
            case "number":
                return _NUMBER
            case "boolean":
                return f"({self._word('true')} | {self._word('false')})"
            case "null":
                return self._word("null")
            case "array":
                return self._list(self.value(schema.get("items")))
            case "object" if properties_of(schema) or schema.get("additionalProperties") is False:
                return f'"{{" {self._members(schema, self._key)} "}}"'
            case "object":
                return self._mapping(self.value(schema.get("additionalProperties")))
            case _:
                return self._anything()

    def _members(self, schema: Mapping[str, Any], spelled: Any) -> str:
        required = schema.get("required")
        required = required if isinstance(required, list) else []
        members = [
            (self._lark.rule("member", f"/{pattern(spelled(name))}/ {self.value(one)}"), name in required)
            for name, one in properties_of(schema).items()
        ]
        return in_order(self._lark, members, self._between)

    def _key(self, name: str) -> str:
        return f"{name}:" if self._spelling.has_bare_keys else f"{name!r}: "

    def _list(self, item: str) -> str:
        return f'"[" ({item} ({self._between} {item})*)? "]"'

    def _mapping(self, item: str) -> str:
        key = "/[A-Za-z0-9_.-]{1,64}/" if self._spelling.has_bare_keys else f"({self._text()})"
        member = self._lark.rule("member", f"{key} {self._lark.literal(':')} {self._lark.white} {item}")
        return f'"{{" ({member} ({self._between} {member})*)? "}}"'

    def _text(self) -> str:
        quote = self._spelling.quote
        return f"{self._lark.literal(quote)} {self._lark.until(quote)}" if quote else f"({_PYTHON_TEXT})"

    def _word(self, name: str) -> str:
        return json.dumps(self._spelling.words[name])

    def _exactly(self, value: Any) -> str:
        if isinstance(value, str):
            quote = self._spelling.quote
            return self._lark.literal(f"{quote}{value}{quote}") if quote else f"/{pattern(repr(value))}/"
        word = json.dumps(value)
        return self._word(word) if word in self._spelling.words else f"/{pattern(word)}/"

    def _referred(self, path: str) -> str:
        """The rule of a reference, which may be in what it refers to."""
        if path not in self._by_reference:
            self._by_reference[path] = name = self._lark.reserve("referred")
            self._lark.define(name, self.value(referred(path, self._root)))
        return self._by_reference[path]

    def _anything(self) -> str:
        if not self._any:
            self._any = self._lark.reserve("anything")
            words = (self._word(name) for name in self._spelling.words)
            simple = " | ".join((self._text(), _NUMBER, *words))
            self._lark.define(self._any, f"{simple} | {self._list(self._any)} | {self._mapping(self._any)}")
        return self._any
