"""Schemas of tools in every spelling of arguments: what follows them is taken and read back, nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.chat.formats.format import ToolFormat
from cluster.chat.formats.grammars.answer import Wanted, grammar_of
from cluster.chat.formats.part import PartKind
from cluster.chat.formats.spelling import spelled
from cluster.chat.formats.splitter import Splitter
from cluster.chat.formats.table import FORMATS
from cluster.chat.messages import Tool, ToolCall, ToolChoice, ToolMode
from tests.unit.chat.formats.matching import Bytes

FORMS = {form.id: form for form in FORMATS if form.id in ("hermes", "glm", "dsml_tool_calls", "gemma4", "python_list")}
WORDS = Bytes()
POINT = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}, "required": ["x"]}

# (schema, arguments that follow it, arguments that do not)
CASES: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    (
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": "string"}}},
        [{}, {"a": "1"}, {"b": "1"}, {"c": "1"}, {"a": "x", "c": "y"}, {"a": "", "b": 'it\'s \\ "so"', "c": "<b>\n&"}],
        [{"d": "1"}],
    ),
    (
        {
            "properties": {"unit": {"enum": ["km", "mile's"]}, "level": {"enum": [1, 2.5, None, True]}},
            "required": ["unit"],
        },
        [{"unit": "km"}, {"unit": "mile's", "level": 1}, {"unit": "km", "level": None}, {"unit": "km", "level": True}],
        [{"unit": "m"}, {"unit": "km", "level": 3}, {"level": 1}],
    ),
    (
        {"type": "object", "properties": {"at": {"$ref": "#/$defs/point"}}, "$defs": {"point": POINT}},
        [{"at": {"x": 1}}, {"at": {"x": -3, "y": 4}}],
        [{"at": {"y": 1}}, {"at": {"x": "1"}}, {"at": {"x": 1, "z": 1}}],
    ),
    (
        {
            "type": "object",
            "properties": {"tags": {"type": "array", "items": {"type": "string"}}, "n": {"type": "number"}},
        },
        [{"tags": []}, {"tags": ["a", "b c"], "n": 1.5}, {"n": -2e3}],
        [{"tags": [1]}, {"n": True}, {"tags": "a"}],
    ),
    (
        {"type": "object", "properties": {"v": {"type": "object", "additionalProperties": {"type": "integer"}}}},
        [{"v": {}}, {"v": {"a": 1, "b-c": 2}}],
        [{"v": {"a": "x"}}, {"v": 1}],
    ),
    (
        {
            "type": "object",
            "properties": {"node": {"$ref": "#/$defs/node"}},
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": {"value": {"type": "boolean"}, "next": {"$ref": "#/$defs/node"}},
                    "required": ["value"],
                }
            },
        },
        [{"node": {"value": True}}, {"node": {"value": False, "next": {"value": True}}}],
        [{"node": {"next": {"value": True}}}, {"node": {"value": 1}}],
    ),
]


def text_of(form: ToolFormat, arguments: Any) -> str:
    return spelled(form, [ToolCall("", "f", json.dumps(arguments, ensure_ascii=False))])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_a_schema_in_every_spelling(form: ToolFormat, case: tuple[dict[str, Any], list[Any], list[Any]]) -> None:
    schema, good, bad = case
    tools = (Tool("f", parameters=schema),)
    grammar = grammar_of(Wanted(form, None, False, tools, ToolChoice(ToolMode.REQUIRED)), WORDS.control)
    for arguments in good:
        text = text_of(form, arguments)
        assert WORDS.takes(grammar, text), (text, WORDS.taken(grammar, text))
        splitter = Splitter(None, False, form, {"f": schema})
        parts = [part for letter in text for part in splitter.push(letter)] + splitter.finish()
        read = "".join(part.text for part in parts if part.kind is PartKind.ARGUMENTS)
        assert json.loads(read) == arguments
    for arguments in bad:
        assert not WORDS.takes(grammar, text_of(form, arguments)), arguments
