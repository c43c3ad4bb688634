"""LiteLLM, LangChain and instructor, each in a process of an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.http.clients import environments
from tests.http.scripted import Scripted

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.clients]
conformance = pytest.mark.conformance

SCRIPTS = Path(__file__).parent / "scripts"
TALE = {"hero": "fox", "pages": 3}
SCRIPT_S = 300


def answer(prompt: str) -> str:
    """A call of the tool there is, or what is to be said to its result; JSON where that is asked for; else a story."""
    if "<tool_response>" in prompt:
        return "It is kept."
    if "<tools>" in prompt:
        tool = json.loads(prompt.partition("<tools>\n")[2].partition("\n")[0])["function"]
        arguments = {name: TALE[name] for name in tool["parameters"]["properties"]}
        return f"<tool_call>\n{json.dumps({'name': tool['name'], 'arguments': arguments})}\n</tool_call>"
    return json.dumps(TALE) if "json" in prompt.lower() else "Once upon a time."


def ran(name: str, scripted: Scripted, home: Path) -> Any:
    """What the script printed."""
    scripted.script.answers(answer)
    python = environments.python()
    # LiteLLM would fetch a list of prices, and both would send what they measure.
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false", "HOME": str(home)}
    done = subprocess.run(
        [str(python), str(SCRIPTS / f"{name}_chat.py"), scripted.url],
        env={"PATH": os.environ["PATH"], **quiet},
        capture_output=True,
        text=True,
        timeout=SCRIPT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@conformance(row=2, client="litellm")
@conformance(row=3, client="litellm")
@conformance(row=4, client="litellm")
@conformance(row=16, client="litellm")
@conformance(row=21, client="litellm")
@conformance(row=43, client="litellm")
def test_litellm(scripted: Scripted, tmp_path: Path) -> None:
    assert ran("litellm", scripted, tmp_path) == {
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
    assert ran("langchain", scripted, tmp_path) == {
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
    assert ran("instructor", scripted, tmp_path) == {"TOOLS": TALE, "JSON": TALE, "JSON_SCHEMA": TALE}
