"""Schemas of all that can be enforced, drawn with a seed. What follows one of them is short."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

WORDS = ("name", "age", "city", "street number", "tag", "kind", "größe", "a/b", "x", "is_open", '"quoted"', "items")
PATTERNS = ("^[a-z]{1,4}$", "^(yes|no|maybe)$", "^[0-9]{2}-[0-9]{2}$", "^v[0-9]+\\.[0-9]{1,2}$", "^[A-Z][a-z]{0,5}$")
FORMATS = ("date", "uuid", "ipv4")  # jsonschema takes no "time" with the zone that RFC 3339 asks for


def random_schema(seed: int) -> Schema:
    """An object or an array, at most three levels deep."""
    chance = random.Random(seed)
    schema = chance.choice((_object, _object, _object, _array))(chance, 3)
    if chance.random() < 0.3:
        schema["$defs"] = {"part": _leaf(chance), "list": _array(chance, 1)}
        place = schema["properties"] if schema["type"] == "object" else None
        if place is not None:
            place["part"] = {"$ref": "#/$defs/part"}
            place["list"] = {"$ref": "#/$defs/list"}
            schema["required"] = [*schema.get("required", []), "part"]
    return schema


def _any(chance: random.Random, depth: int) -> Schema:
    if depth <= 0 or chance.random() < 0.5:
        return _leaf(chance)
    return chance.choice((_object, _array, _one_of_several))(chance, depth)


def _object(chance: random.Random, depth: int) -> Schema:
    names = chance.sample(WORDS, chance.randint(0, 4))
    return {
        "type": "object",
        "properties": {name: _any(chance, depth - 1) for name in names},
        "required": [name for name in names if chance.random() < 0.7],
        "additionalProperties": False,
    }


def _array(chance: random.Random, depth: int) -> Schema:
    if chance.random() < 0.25:
        fixed = [_any(chance, depth - 1) for _ in range(chance.randint(1, 3))]
        return {"type": "array", "prefixItems": fixed, "items": False, "minItems": len(fixed)}
    least = chance.randint(0, 2)
    return {
        "type": "array",
        "items": _any(chance, depth - 1),
        "minItems": least,
        "maxItems": least + chance.randint(0, 2),
    }


def _one_of_several(chance: random.Random, depth: int) -> Schema:
    return {"anyOf": [_any(chance, depth - 1) for _ in range(chance.randint(2, 3))]}


def _leaf(chance: random.Random) -> Schema:
    leaves: tuple[Callable[[random.Random], Schema], ...] = (_string, _integer, _number, _choice, _constant, _simple)
    return chance.choice(leaves)(chance)


def _string(chance: random.Random) -> Schema:
    kind = chance.randrange(3)
    if kind == 0:
        return {"type": "string", "pattern": chance.choice(PATTERNS), "maxLength": 10}
    if kind == 1:
        return {"type": "string", "format": chance.choice(FORMATS)}
    least = chance.randint(0, 4)
    return {"type": "string", "minLength": least, "maxLength": least + chance.randint(0, 12)}


def _integer(chance: random.Random) -> Schema:
    low = chance.randint(-1000, 1000)
    schema: Schema = {"type": "integer", "minimum": low, "maximum": low + chance.randint(0, 100_000)}
    if chance.random() < 0.2:
        return {"type": "integer", "minimum": 0, "exclusiveMaximum": 1000, "multipleOf": chance.choice((2, 5, 10))}
    return schema


def _number(chance: random.Random) -> Schema:
    return {
        "type": "number",
        "minimum": 0,
        "maximum": chance.choice((1, 100)),
        "multipleOf": 0.25,
    }  # exact in binary, for whoever checks


def _choice(chance: random.Random) -> Schema:
    values: list[Any] = [*chance.sample(WORDS, 3), None, True, 3, [1, 2], {"a": 1}]
    return {"enum": chance.sample(values, chance.randint(1, 4))}


def _constant(chance: random.Random) -> Schema:
    return {"const": chance.choice((*WORDS, 0, -1.5, False, None, [], {"k": ["v"]}))}


def _simple(chance: random.Random) -> Schema:
    return {"type": chance.choice(("boolean", "null"))}
