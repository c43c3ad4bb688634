"""The JSON schemas of sampling parameters, derived from the rules that check them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cluster.api.lists import Text
from cluster.api.sampling import SamplingParams, rule_of
from ggml.sampling.lists import Names, Texts, TokenIds
from ggml.sampling.numbers import Range
from ggml.sampling.params import Rule

Schema = dict[str, Any]
_ATTRIBUTE = re.compile(r"^ {4}((?:\w+, )*\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_DEFAULTS = {field.name: field.default for field in fields(SamplingParams)}


def sampling_schemas(names: Mapping[str, str]) -> dict[str, Schema]:
    """By the API's name. `names`: the SamplingParams field of each."""
    meanings = _meanings()
    found = {}
    for theirs, ours in names.items():
        schema = _schema(rule_of(ours))
        if ours in meanings:
            schema["description"] = meanings[ours]
        default = _DEFAULTS[ours]
        if default is not None and ours != "max_tokens":  # of that one each API has its own
            schema["default"] = list(default) if isinstance(default, tuple) else default
        found[theirs] = schema
    return found


def _schema(rule: Rule) -> Schema:
    match rule:
        case Range():
            number = {"type": "integer" if rule.is_whole else "number", "minimum": rule.low, "maximum": rule.high}
            return {"anyOf": [number, *({"const": value} for value, _ in rule.instead)]} if rule.instead else number
        case Texts():
            text = {"type": "string", "minLength": 1, "maxLength": rule.most_bytes}
            return {"anyOf": [text, {"type": "array", "items": text, "maxItems": rule.most}]}
        case TokenIds():
            return {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": rule.most}
        case Names():
            return {"type": "array", "items": {"enum": list(rule.known)}, "uniqueItems": True}
        case Text():
            return {"type": "string", "maxLength": rule.most_bytes}
        case _:
            return {"type": "boolean"}


def _meanings() -> dict[str, str]:
    """What the classes say of their attributes."""
    said = "\n".join(inspect.getdoc(kind) or "" for kind in SamplingParams.__mro__)
    return {
        name: " ".join(meaning.split())
        for match in _ATTRIBUTE.finditer(said)
        for meaning in (match[2],)
        for name in match[1].split(", ")
    }
