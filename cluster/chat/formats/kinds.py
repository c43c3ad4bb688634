"""What an argument may be, as its schema says: tagged formats spell texts as they are, and all else as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag, auto
from typing import Any

from cluster.chat.messages import JsonObject

MAX_REFERENCES = 16  # that follow each other


class Kind(Flag):
    TEXT = auto()
    JSON = auto()
    ANY = TEXT | JSON


def kind_of(schema: Any, root: JsonObject) -> Kind:
    """Of a property's schema; `root` is what its references are looked up in."""
    for _ in range(MAX_REFERENCES):
        if not isinstance(schema, Mapping):
            return Kind.ANY
        if "$ref" not in schema:
            return _kind(schema, root, MAX_REFERENCES)
        schema = referred(str(schema["$ref"]), root)
    return Kind.ANY


def properties_of(parameters: JsonObject) -> JsonObject:
    found = parameters.get("properties")
    return found if isinstance(found, Mapping) else {}


def _kind(schema: Any, root: JsonObject, depth: int) -> Kind:
    if not isinstance(schema, Mapping) or depth == 0:
        return Kind.ANY
    if "const" in schema:
        return _of_values([schema["const"]])
    if isinstance(schema.get("enum"), list):
        return _of_values(schema["enum"])
    names = schema.get("type")
    if isinstance(names, str):
        return Kind.TEXT if names == "string" else Kind.JSON
    if isinstance(names, list) and names:
        return _joined(Kind.TEXT if name == "string" else Kind.JSON for name in names)
    for choice in ("anyOf", "oneOf"):
        if isinstance(schema.get(choice), list) and schema[choice]:
            return _joined(
                _kind(referred(str(one["$ref"]), root) if _is_reference(one) else one, root, depth - 1)
                for one in schema[choice]
            )
    return Kind.ANY


def _of_values(values: Any) -> Kind:
    return _joined(Kind.TEXT if isinstance(value, str) else Kind.JSON for value in values)


def _joined(kinds: Any) -> Kind:
    joined = Kind(0)
    for kind in kinds:
        joined |= kind
    return joined or Kind.ANY


def _is_reference(schema: Any) -> bool:
    return isinstance(schema, Mapping) and "$ref" in schema


def referred(path: str, root: JsonObject) -> Any:
    """What "#/$defs/name" stands for; None if nothing is there."""
    if not path.startswith("#"):
        return None
    found: Any = root
    for name in path[1:].split("/")[1:]:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name.replace("~1", "/").replace("~0", "~"))
    return found
