"""Finds out what a template can do, by what it makes of conversations that look for one thing each.

Words that stand nowhere else show what became of a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from cluster.chat.templates.traits import CallIds, Source, TemplateTraits

# The text that a template makes of variables; None if it refuses or fails.
Render = Callable[[dict[str, Any]], str | None]

_TOOL = {
    "type": "function",
    "function": {
        "name": "probetool",
        "description": "probedescription",
        "parameters": {"type": "object", "properties": {"probekey": {"type": "string"}}, "required": ["probekey"]},
    },
}
_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "probeschema", "schema": {"type": "object", "title": "probetitle"}},
}
_IDS = {CallIds.ANY: "call_probe1", CallIds.NINE: "probeid12", CallIds.NAMED: "functions.probetool:0"}
_REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")


def find_traits(render: Render, source: Source) -> TemplateTraits:
    """About twenty renders, most of them of one or two messages."""
    in_parts = not _shows(render, [_user("probeuser")]) and _shows(render, [_user(_parts("probeuser"))])

    def turn(role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": _parts(text) if in_parts else text}

    hi, ask, told, system = turn("user", "probehi"), turn("user", "probeask"), turn("assistant", "probetold"), "system"
    takes_system = _shows(render, [turn(system, "probesystem"), hi])
    return TemplateTraits(
        source=source,
        takes_tools=_takes_tools(render, hi),
        takes_system=takes_system,
        takes_system_anywhere=takes_system and _shows(render, [hi, told, turn(system, "probesystem"), ask]),
        takes_users_in_a_row=_shows(render, [hi, ask]),
        takes_response_format="probetitle" in (render({"messages": [hi], "response_format": _FORMAT}) or ""),
        content_in_parts=in_parts,
        **_calls(render, turn),
    )


def _takes_tools(render: Render, hi: dict[str, Any]) -> bool:
    return "probetool" in (render({"messages": [hi], "tools": [_TOOL]}) or "")


def _calls(render: Render, turn: Callable[[str, str], dict[str, Any]]) -> dict[str, Any]:
    """How calls must be written so that the template makes of them what it should."""
    for ids, as_text, null in product(CallIds, (False, True), (False, True)):
        messages = _call_messages(turn, _IDS[ids], as_text, null)
        text = render({"messages": messages, "tools": [_TOOL]})
        if text is not None and _is_sound(text, null):
            found = {"call_ids": ids, "arguments_as_text": as_text, "null_content": null}
            return {**found, "reasoning_key": _reasoning_key(render, messages)}
    messages = [turn("user", "probehi"), turn("assistant", "probetold")]
    return {"takes_calls": False, "reasoning_key": _reasoning_key(render, messages)}


def _call_messages(
    turn: Callable[[str, str], dict[str, Any]], call_id: str, as_text: bool, null: bool
) -> list[dict[str, Any]]:
    arguments = '{"probekey": "probevalue"}' if as_text else {"probekey": "probevalue"}
    call = {"id": call_id, "type": "function", "function": {"name": "probetool", "arguments": arguments}}
    return [
        turn("user", "probehi"),
        {**turn("assistant", ""), "tool_calls": [call]} | ({"content": None} if null else {}),
        # Another name than that of the call, which must be seen for itself.
        {**turn("tool", "proberesult"), "tool_call_id": call_id, "name": "probereply"},
    ]


def _is_sound(text: str, null: bool) -> bool:
    """The call and its result are there, and not as Python or JSON writes what should be something else."""
    _, _, of_call = text.partition("probehi")  # what is before it are tools
    has_all = all(word in of_call for word in ("probetool", "probekey", "probevalue", "proberesult"))
    is_quoted = '\\"probekey' in of_call or "'probekey'" in of_call
    return has_all and not is_quoted and not (null and "None" in of_call)


def _reasoning_key(render: Render, messages: list[dict[str, Any]]) -> str:
    def keys() -> Iterator[str]:
        for key in _REASONING_KEYS:
            thought = [
                message | {key: "probethought"} if "assistant" in message.values() else message for message in messages
            ]
            if "probethought" in (render({"messages": thought, "tools": [_TOOL]}) or ""):
                yield key

    return next(keys(), "")


def _shows(render: Render, messages: list[dict[str, Any]]) -> bool:
    """Whether each content is written, and not as Python writes a list."""
    text = render({"messages": messages}) or ""
    contents = [_text_of(message["content"]) for message in messages]
    return all(content in text for content in contents) and "'type'" not in text


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _text_of(content: Any) -> str:
    return content if isinstance(content, str) else str(content[0]["text"])
