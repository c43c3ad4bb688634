"""LiteLLM, LangChain and instructor, each in a process of an environment of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.http.clients import environments
from tests.http.clients.running import ran
from tests.http.scripted.calling import call_of
from tests.http.scripted.server import Scripted

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.clients]
conformance = pytest.mark.conformance

SCRIPTS = Path(__file__).parent / "scripts"
TALE = {"hero": "fox", "pages": 3}


def answer(prompt: str) -> str:
    """A call of the tool there is, or what is to be said to its result; JSON where that is asked for; else a story."""
    if "<tool_response>" in prompt:
        return "It is kept."
    if "<tools>" in prompt:
        tool = json.loads(prompt.partition("<tools>\n")[2].partition("\n")[0])["function"]
        arguments = {name: TALE[name] for name in tool["parameters"]["properties"]}
        return call_of(tool["name"], arguments)
    return json.dumps(TALE) if "json" in prompt.lower() else "Once upon a time."


def told(name: str, scripted: Scripted, home: Path) -> Any:
    """What the script printed."""
    scripted.script.answers(answer)
    # LiteLLM would fetch a list of prices, and both would send what they measure.
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}
    said = ran([environments.python(), SCRIPTS / f"{name}_chat.py", scripted.url], home, quiet)
    return json.loads(said.splitlines()[-1])


@conformance(row=2, client="litellm")
@conformance(row=3, client="litellm")
@conformance(row=4, client="litellm")
@conformance(row=16, client="litellm")
@conformance(row=21, client="litellm")
@conformance(row=43, client="litellm")
def test_litellm(scripted: Scripted, tmp_path: Path) -> None:
    assert told("litellm", scripted, tmp_path) == {
        "chat": "Once upon a time.",
        "vllm": "Once upon a time.",
        "stream": "Once upon a time.",
        "has_usage": True,
        "call": ["keep_tale", {"hero": "fox"}],
        "after": "It is kept.",
        "overflow": "ContextWindowExceededError",
    }


@conformance(row=2, client="langchain")
@conformance(row=3, client="langchain")
@conformance(row=14, client="langchain")
@conformance(row=16, client="langchain")
@conformance(row=21, client="langchain")
@conformance(row=43, client="langchain")
def test_langchain(scripted: Scripted, tmp_path: Path) -> None:
    assert told("langchain", scripted, tmp_path) == {
        "chat": "Once upon a time.",
        "stream": "Once upon a time.",
        "schema": TALE,
        "call": ["keep_tale", {"hero": "fox"}],
        "after": "It is kept.",
        "overflow": "OpenAIContextOverflowError",
    }


@conformance(row=13, client="instructor")
@conformance(row=14, client="instructor")
@conformance(row=18, client="instructor")
def test_instructor(scripted: Scripted, tmp_path: Path) -> None:
    assert told("instructor", scripted, tmp_path) == {"TOOLS": TALE, "JSON": TALE, "JSON_SCHEMA": TALE}
