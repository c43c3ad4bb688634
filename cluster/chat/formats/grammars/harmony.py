"""What gpt-oss may write: reasoning in channels of its own, then a call or the answer."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.chat.formats.grammars.arguments import arguments
from cluster.chat.formats.grammars.lark import Lark
from cluster.chat.formats.table import HARMONY
from cluster.chat.messages import Tool

_NEXT = "<|end|><|start|>assistant"


def channels(lark: Lark, tools: Sequence[Tool], answer: str, must_call: bool) -> str:
    """`answer`: an expression for the final channel's text; empty if there must be a call."""
    aside = " | ".join(lark.literal(f"<|channel|>{name}<|message|>") for name in ("analysis", "commentary"))
    asides = f"(({aside}) {lark.text} {lark.literal(_NEXT)})*"
    last = [_call(lark, tool) for tool in tools]
    if not must_call:
        json_follows = f"({lark.literal(' <|constrain|>json')})?"
        last.append(f"{lark.literal('<|channel|>final')} {json_follows} {lark.literal('<|message|>')} {answer}")
    return f"{asides} ({' | '.join(last)})"


def _call(lark: Lark, tool: Tool) -> str:
    """With the recipient before the channel, as templates write it, or behind, as the model does."""
    json_follows = f"({lark.literal(' <|constrain|>json')} | {lark.literal(' json')})?"
    headers = (
        lark.literal(f" to=functions.{tool.name}<|channel|>commentary"),
        lark.literal(f"<|channel|>commentary to=functions.{tool.name}"),
    )
    body = f"{lark.literal('<|message|>')} {arguments(lark, HARMONY, tool)}"
    return lark.rule("call", f"({' | '.join(headers)}) {json_follows} {body}")
