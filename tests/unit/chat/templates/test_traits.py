"""What templates can do is found by trying."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.chat.model import ChatModel
from cluster.chat.templates.traits import CallIds, Source, TemplateTraits
from tests.unit.chat.templates import families
from tests.unit.chat.templates.vocabularies import model, templates, vocabulary

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chatml": (families.CHATML, {"takes_tools": False, "takes_calls": False}),
    "qwen": (families.QWEN, {"reasoning_key": "reasoning_content"}),
    "llama 3": (families.LLAMA3, {}),
    "mistral": (
        families.MISTRAL,
        {"takes_system_anywhere": False, "takes_users_in_a_row": False, "call_ids": CallIds.NINE},
    ),
    "gemma 2": (
        families.GEMMA,
        {
            "takes_tools": False,
            "takes_calls": False,
            "takes_system": False,
            "takes_system_anywhere": False,
            "takes_users_in_a_row": False,
        },
    ),
    "deepseek": (families.DEEPSEEK, {"takes_tools": False, "null_content": True, "arguments_as_text": True}),
    "kimi": (families.KIMI, {"takes_tools": False, "call_ids": CallIds.NAMED}),
    "harmony": (families.HARMONY, {"takes_tools": False, "reasoning_key": "thinking"}),
    "parts": (
        families.PARTS,
        {"takes_tools": False, "takes_calls": False, "content_in_parts": True},
    ),
    "a format": (
        "{% for m in messages %}{{ m.role + m.content }}{% endfor %}{{ response_format|tojson if response_format }}",
        {"takes_tools": False, "takes_calls": False, "takes_response_format": True},
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_traits_of_families(family: str) -> None:
    text, wanted = FAMILIES[family]
    with templates(text) as found:
        traits = found.traits
    default = TemplateTraits()
    differing = {one.name: getattr(traits, one.name) for one in fields(traits)}
    assert {name: value for name, value in differing.items() if value != getattr(default, name)} == wanted


def test_a_template_of_no_use_is_refused_with_its_reason() -> None:
    with pytest.raises(UsageError, match=r"^chat: TemplateSyntaxError: .*; give another template with --chat-template"):
        ChatModel.of(model("{% if %}"), vocabulary())


@pytest.mark.parametrize(
    ("given", "override", "source", "text"),
    [
        ({"": "a", "tool_use": "b"}, "", Source.MODEL, "b"),
        ({"tool_use": "b"}, "", Source.MODEL, "b"),
        ({"": "a", "rag": "c"}, "", Source.MODEL, "a"),
        ({"": "a", "tool_use": "b"}, "d", Source.OVERRIDE, "d"),
        ({}, "", Source.FALLBACK, families.CHATML),
        ({"rag": "c"}, "", Source.FALLBACK, families.CHATML),
    ],
)
def test_which_template(given: dict[str, str], override: str, source: Source, text: str) -> None:
    with templates(given, override=override) as found:
        assert found.source_text == text
        assert found.traits.source is source
