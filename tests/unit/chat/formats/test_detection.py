"""A family is known by what its template writes of a call, not by a literal that may stand there for other reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.chat.formats.detection import format_of
from cluster.chat.formats.table import FORMATS
from cluster.chat.templates.templates import ChatTemplates
from tests.unit.chat.test_model import INFO, VOCABULARY

HERMES = """
{%- if tools %}Tools: {{ tools | tojson }}{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}
{%- for call in message.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}"""
MISTRAL = """
{%- for message in messages %}{% if message.role == "user" %}[INST]{{ message.content }}[/INST]
{%- elif message.tool_calls %}{% for call in message.tool_calls -%}
[TOOL_CALLS]{{ call.function.name }}[ARGS]{{ call.function.arguments | tojson }}
{%- endfor %}{% else %}{{ message.content }}{% endif %}{% endfor %}"""


def found(template: str) -> str | None:
    templates = ChatTemplates.of(replace(INFO, chat_templates={"": template}), VOCABULARY)
    try:
        form = format_of(templates)
    finally:
        templates.close()
    return None if form is None else form.id


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (HERMES, "hermes"),
        (MISTRAL, "mistral_args"),
        (HERMES.replace("tool_call>", "call>"), None),
        (HERMES.replace('"arguments"', '"args"'), None),
        ("<tool_call> {{ messages[0].content }}", None),
        ("{{ messages[0].content }}", None),
    ],
)
def test_what_a_template_writes_decides(template: str, expected: str | None) -> None:
    assert found(template) == expected


def test_no_two_families_of_one_name_but_by_their_literals() -> None:
    told_apart = {(form.id, form.has) for form in FORMATS}
    assert len(told_apart) == len(FORMATS)
