"""Continue's cn, with a task that needs its tools: it reads files, and tells what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.http.clients import environments
from tests.http.clients.reading import TASK, TOLD, files_in, reading
from tests.http.clients.running import ran, work_of
from tests.http.scripted.model import CONTEXT_LENGTH
from tests.http.scripted.server import Scripted

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.clients]
conformance = pytest.mark.conformance


def cn(scripted: Scripted, folder: Path, task: str) -> str:
    """What it says to a task, with the server as its only model."""
    model = {
        "name": "demo",
        "model": "demo",
        "provider": "openai",
        "apiBase": f"{scripted.url}/v1",
        "apiKey": "none",
        "roles": ["chat"],
        "capabilities": ["tool_use"],
        "defaultCompletionOptions": {"contextLength": CONTEXT_LENGTH, "maxTokens": 1024},
    }
    config = folder / "config.yaml"
    config.write_text(json.dumps({"name": "local", "version": "1.0.0", "schema": "v1", "models": [model]}))
    quiet = {"CONTINUE_TELEMETRY_ENABLED": "0"}
    return ran([environments.program("cn"), "-p", task, "--config", str(config), "--auto"], folder, quiet)


@conformance(row=2, client="cn")
@conformance(row=3, client="cn")
@conformance(row=4, client="cn")
@conformance(row=5, client="cn")
@conformance(row=16, client="cn")
@conformance(row=20, client="cn")
@conformance(row=21, client="cn")
@conformance(row=52, client="cn")
def test_cn_reads_three_files_and_tells_what_they_say(scripted: Scripted, tmp_path: Path) -> None:
    """With its whole prompt and all its tools, which are about eight kilobytes."""
    files = files_in(work_of(tmp_path))
    scripted.script.answers(reading("Read", "filepath", files))
    assert TOLD in cn(scripted, tmp_path, TASK)
    assert len(scripted.script.prompts) == len(files) + 1
    assert "<|im_start|>system\n" in scripted.script.prompts[-1]
    (kept,) = [file for file in (tmp_path / ".continue" / "sessions").iterdir() if file.name != "sessions.json"]
    usage = json.loads(kept.read_text())["usage"]
    assert usage["promptTokens"] > usage["completionTokens"] > 0


@conformance(row=22, client="cn")
def test_cn_tells_the_answer_without_what_was_thought(scripted: Scripted, tmp_path: Path) -> None:
    scripted.script.answers("<think>\nLet me see.\n</think>\n\nYes.")
    assert cn(scripted, tmp_path, "Ready?").strip() == "Yes."
