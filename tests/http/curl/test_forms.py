"""Answers in a form, and prompts that are no chats, with curl."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.http.curl.asking import chat, choice_of, curl
from tests.http.hello import HI
from tests.http.serving import Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance
SCHEMA = {
    "type": "object",
    "properties": {"hero": {"enum": ["fox", "owl"]}, "is_small": {"type": "boolean"}},
    "required": ["hero", "is_small"],
    "additionalProperties": False,
}


@conformance(row=13, client="curl")
def test_any_object(served: Served) -> None:
    """The demo model may not find its end: then what there is begins one."""
    choice = choice_of(chat(served.url, max_tokens=120, seed=3, response_format={"type": "json_object"}))
    text = choice["message"]["content"]
    if choice["finish_reason"] == "stop":
        assert isinstance(json.loads(text), dict)
    else:
        assert text.lstrip().startswith("{")


@conformance(row=14, client="curl")
def test_an_object_of_a_schema(served: Served) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "tale", "schema": SCHEMA, "strict": True}}
    found = json.loads(choice_of(chat(served.url, max_tokens=64, response_format=form))["message"]["content"])
    assert found["hero"] in ("fox", "owl")
    assert isinstance(found["is_small"], bool)


@conformance(row=25, client="curl")
def test_completions_of_texts_and_of_token_ids(served: Served) -> None:
    text = "Once upon a time"
    ids = curl(f"{served.url}/tokenize", {"content": text, "add_special": True}).json()["tokens"]
    asked: dict[str, Any] = {"max_tokens": 8, "temperature": 0}
    found = {
        choice_of(curl(f"{served.url}/v1/completions", {"prompt": prompt, **asked}))["text"]
        for prompt in (text, [text], ids, [ids])
    }
    (alone,) = found
    both = curl(f"{served.url}/v1/completions", {"prompt": [text, "The cat"], **asked}).json()["choices"]
    assert [choice["index"] for choice in both] == [0, 1]
    assert both[0]["text"] == alone


@conformance(row=49, client="curl")
def test_ollamas_lines(served: Served) -> None:
    options = {"num_predict": 6, "seed": 3}
    for path, body in (
        ("/api/chat", {"messages": HI}),
        ("/api/generate", {"prompt": "Once upon a time", "raw": True}),
    ):
        asked = {"model": "m", "options": options, **body}
        lines = [json.loads(line) for line in curl(served.url + path, asked).content.splitlines()]
        whole = curl(served.url + path, {**asked, "stream": False}).json()
        assert "".join(map(said, lines)) == said(whole) != ""
        assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
        assert (whole["done_reason"], whole["eval_count"]) == ("length", 6)


def said(line: Any) -> str:
    return str(line["message"]["content"] if "message" in line else line["response"])
