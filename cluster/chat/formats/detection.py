"""Which family a template is of: its own literals say so, and what it writes of a call proves it."""

from __future__ import annotations

import contextlib

from cluster.api.errors import UsageError
from cluster.chat.formats.format import ToolFormat
from cluster.chat.formats.spelling import is_written_by
from cluster.chat.formats.table import FORMATS
from cluster.chat.messages import ChatRequest, Message, Role, Tool, ToolCall
from cluster.chat.seam import Templates

# Keys in the order of the alphabet: some templates sort them.
_CALL = ToolCall("probe1234", "cluster_probe", '{"city": "a sentinel", "days": 3}')
_TOOL = Tool(
    _CALL.name,
    "looks into something",
    {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
)


def format_of(templates: Templates) -> ToolFormat | None:
    """The family's format; None if none is known."""
    source = templates.source_text
    fitting = [
        form
        for form in FORMATS
        if all(literal in source for literal in form.has) and not any(literal in source for literal in form.lacks)
    ]
    if not fitting:
        return None
    text = _written(templates) if templates.traits.takes_calls else ""
    return next((form for form in fitting if form.needs_no_proof or is_written_by(form, _CALL, text)), None)


def _written(templates: Templates) -> str:
    """What the template makes of a call in the history, with its answer and without; "" if it refuses both."""
    messages = (
        Message(Role.USER, "Hello"),
        Message(Role.ASSISTANT, tool_calls=(_CALL,)),
        Message(Role.TOOL, "an answer", tool_call_id=_CALL.id, name=_CALL.name),
    )
    written = []
    for shown in (messages, messages[:2]):
        with contextlib.suppress(UsageError):
            written.append(templates.render(ChatRequest(shown, tools=(_TOOL,), add_generation_prompt=False)).text)
    return "\n".join(written)
