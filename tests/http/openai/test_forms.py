"""Answers of openai-python in a form that was asked for."""

from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest

from tests.http.hello import HI
from tests.http.scripted.server import Scripted

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance


class Tale(pydantic.BaseModel):
    hero: str
    pages: int


@conformance(row=13, client="openai")
def test_json_object(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="m", messages=HI, max_tokens=200, seed=3, response_format={"type": "json_object"}
    )
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)
    else:
        assert (answer.choices[0].message.content or "").lstrip().startswith("{")


@conformance(row=14, client="openai")
def test_parse_returns_an_object_of_the_class(client: openai.OpenAI) -> None:
    """The demo model knows no JSON: all structure is the grammar's."""
    schema = {
        "type": "object",
        "properties": {"hero": {"enum": ["fox", "owl"]}, "is_small": {"type": "boolean"}},
        "required": ["hero", "is_small"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "tale", "schema": schema, "strict": True}}
    answer = client.chat.completions.create(model="m", messages=HI, max_tokens=64, response_format=form)
    found = json.loads(answer.choices[0].message.content or "")
    assert found["hero"] in ("fox", "owl")
    assert isinstance(found["is_small"], bool)


@conformance(row=14, client="openai")
def test_parse_of_a_pydantic_class(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers('{"hero": "fox", "pages": 3}')
    answer = actor.chat.completions.parse(model="m", messages=HI, response_format=Tale)
    assert answer.choices[0].message.parsed == Tale(hero="fox", pages=3)
