"""Calls of tools as the scripted model's template writes them, and what a prompt says of tools. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping


def tools_of(prompt: str) -> dict[str, dict[str, object]]:
    """What the model was told that it may call: parameters by name."""
    listed = prompt.partition("<tools>\n")[2].partition("\n</tools>")[0]
    functions = [json.loads(line)["function"] for line in listed.splitlines()]
    return {function["name"]: function["parameters"] for function in functions}


def call_of(name: str, arguments: Mapping[str, object]) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def results_of(prompt: str) -> list[str]:
    return re.findall(r"<tool_response>\n(.*?)\n</tool_response>", prompt, re.DOTALL)
