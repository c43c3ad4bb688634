"""opencode, with a task that needs its tools: it reads files, and tells what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.http.clients import environments
from tests.http.clients.reading import TASK, TOLD, files_in, reading
from tests.http.clients.running import ran, work_of
from tests.http.scripted.model import CONTEXT_LENGTH
from tests.http.scripted.server import Scripted

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.clients]
conformance = pytest.mark.conformance
# Else it asks for a list of models, and for its own newest version.
QUIET = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}


def opencode(scripted: Scripted, folder: Path, task: str) -> list[Any]:
    """The events of a task, with the server as its only provider."""
    limit = {"context": CONTEXT_LENGTH, "output": 1024}
    local = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{scripted.url}/v1", "apiKey": "none"},
        "models": {"demo": {"reasoning": True, "limit": limit}},
    }
    config = {"model": "local/demo", "provider": {"local": local}}
    (work_of(folder) / "opencode.json").write_text(json.dumps(config))
    said = ran([environments.program("opencode"), "run", "--format", "json", "--thinking", task], folder, QUIET)
    return [json.loads(line) for line in said.splitlines()]


@conformance(row=2, client="opencode")
@conformance(row=3, client="opencode")
@conformance(row=4, client="opencode")
@conformance(row=5, client="opencode")
@conformance(row=16, client="opencode")
@conformance(row=20, client="opencode")
@conformance(row=21, client="opencode")
@conformance(row=52, client="opencode")
def test_opencode_reads_three_files_and_tells_what_they_say(scripted: Scripted, tmp_path: Path) -> None:
    """With its whole prompt and all its tools, which are about thirty kilobytes."""
    files = files_in(work_of(tmp_path))
    scripted.script.answers(reading("read", "filePath", files))
    events = opencode(scripted, tmp_path, TASK)
    texts = [event["part"]["text"] for event in events if event["type"] == "text"]
    assert texts == [TOLD]
    ends = [event["part"] for event in events if event["type"] == "step_finish"]
    assert [end["reason"] for end in ends] == ["tool-calls"] * len(files) + ["stop"]
    for end in ends:
        tokens = end["tokens"]
        assert tokens["total"] == tokens["input"] + tokens["cache"]["read"] + tokens["output"]
        assert tokens["output"] > 0
    assert "<|im_start|>system\n" in scripted.script.prompts[-1]


@conformance(row=22, client="opencode")
@conformance(row=23, client="opencode")
def test_opencode_tells_and_sends_back_what_was_thought(scripted: Scripted, tmp_path: Path) -> None:
    thought = "<think>\nI should read it.\n</think>\n\n"
    files = files_in(work_of(tmp_path))
    script = reading("read", "filePath", files)
    scripted.script.answers(lambda prompt: thought + script(prompt))
    events = opencode(scripted, tmp_path, TASK)
    told = [event["part"]["text"] for event in events if event["type"] == "reasoning"]
    assert told == ["I should read it."] * (len(files) + 1)
    assert [event["part"]["text"] for event in events if event["type"] == "text"] == [TOLD]
    assert scripted.script.prompts[-1].count(thought) == len(files)


@conformance(row=43, client="opencode")
def test_opencode_is_told_that_its_prompt_does_not_fit(scripted: Scripted, tmp_path: Path) -> None:
    """By an error that it has a name of its own for; it tries to shorten the chat, and gives up."""
    with pytest.raises(AssertionError, match=f"maximum context length is {CONTEXT_LENGTH} tokens"):
        opencode(scripted, tmp_path, "7x " * 40_000)
    assert scripted.script.prompts == []
