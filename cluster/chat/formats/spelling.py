"""The text of calls as a family writes them: for the history of models whose templates do not, and for proofs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.chat.formats.format import Literal, ToolFormat, Values, Variable, steps
from cluster.chat.messages import ToolCall


def spelled(form: ToolFormat, calls: Sequence[ToolCall]) -> str:
    """All calls of one message; arguments that are no JSON object are taken as they are."""
    texts = [_call(form, call, form.first_index + place) for place, call in enumerate(calls)]
    return form.calls.replace("{calls}", form.between.join(texts))


def is_written_by(form: ToolFormat, call: ToolCall, text: str) -> bool:
    """Whether `text` has the call as the family spells it, whatever its id and its white space."""
    own = spelled(form, [ToolCall("\0", call.name, call.arguments)])
    pattern = re.escape(_dense(own)).replace("\0", r"[^\"\[\]<>]+")
    return re.search(pattern, _dense(text)) is not None


def _call(form: ToolFormat, call: ToolCall, index: int) -> str:
    brought = {
        "name": call.name,
        "arguments": _arguments(form, call.arguments),
        "id": call.id,
        "index": str(index),
    }
    return _filled(form.call, brought)


def _arguments(form: ToolFormat, text: str) -> str:
    try:
        arguments = json.loads(text)
    except ValueError:
        return text
    if not isinstance(arguments, dict) or form.values is Values.JSON:
        return json.dumps(arguments, ensure_ascii=False) if form.values is Values.JSON else text
    if form.values is Values.GEMMA:
        return _gemma(arguments)
    separator = ", " if form.values is Values.PYTHON else ""
    return separator.join(_argument(form, key, value) for key, value in arguments.items())


def _argument(form: ToolFormat, key: str, value: Any) -> str:
    is_text = isinstance(value, str)
    if form.values is Values.PYTHON:
        spelled_value = repr(value)
    else:
        spelled_value = value if is_text else json.dumps(value, ensure_ascii=False)
    brought = {"key": key, "value": spelled_value, "type": _type(value)}
    return _filled(form.text_argument if is_text and form.text_argument else form.argument, brought)


def _gemma(value: Any) -> str:
    if isinstance(value, str):
        return f'<|"|>{value}<|"|>'
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_gemma(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_gemma(item) for item in value) + "]"
    return json.dumps(value)


def _type(value: Any) -> str:
    """JSON's name of what a value is."""
    names = ((bool, "boolean"), (str, "string"), (int | float, "number"), (dict, "object"), (list, "array"))
    return next((name for kind, name in names if isinstance(value, kind)), "null")


def _filled(spelling: str, brought: Mapping[str, str]) -> str:
    return "".join(step.text if isinstance(step, Literal) else _of(brought, step) for step in steps(spelling))


def _of(brought: Mapping[str, str], variable: Variable) -> str:
    return brought[variable.name]


def _dense(text: str) -> str:
    return re.sub(r"\s+", "", text)
