"""Claude Code, with a task that needs a tool: it runs commands, and tells what they said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.clients import environments
from tests.http.clients.running import ran
from tests.http.scripted.calling import call_of, results_of, tools_of
from tests.http.scripted.server import Scripted

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.clients]
conformance = pytest.mark.conformance


def claude(scripted: Scripted, folder: Path, task: str, *options: str) -> str:
    settings = {
        "ANTHROPIC_BASE_URL": scripted.url,
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_MODEL": "demo",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CONFIG_DIR": str(folder / "claude"),
    }
    return ran([environments.program("claude"), "-p", task, *options], folder, settings)


@conformance(row=32, client="Claude Code")
@conformance(row=33, client="Claude Code")
@conformance(row=16, client="Claude Code")
@conformance(row=20, client="Claude Code")
@conformance(row=21, client="Claude Code")
@conformance(row=35, client="Claude Code")
@conformance(row=42, client="Claude Code")
@conformance(row=52, client="Claude Code")
def test_claude_code_runs_three_commands_and_tells_what_they_said(scripted: Scripted, tmp_path: Path) -> None:
    """With its whole prompt and all its tools, which are about eighty kilobytes."""

    def answer(prompt: str) -> str:
        results = results_of(prompt)
        if "Bash" not in tools_of(prompt):
            return "Commands"  # what such a program asks beside the task, as for a title
        if len(results) == 3:
            return f"They said {', '.join(result.strip() for result in results)}."
        arguments = {"command": f"echo green-owl-{len(results)}", "description": "Say something"}
        return call_of("Bash", arguments)

    scripted.script.answers(answer)
    said = claude(scripted, tmp_path, "Run three commands, and tell what they said.", "--allowedTools", "Bash")
    assert "They said green-owl-0, green-owl-1, green-owl-2." in said


@conformance(row=34, client="Claude Code")
@conformance(row=23, client="Claude Code")
def test_claude_code_sends_back_what_was_thought(scripted: Scripted, tmp_path: Path) -> None:
    thought = "<think>\nI should say something.\n</think>\n\n"

    def answer(prompt: str) -> str:
        if results_of(prompt):
            return "Done."
        return thought + call_of("Bash", {"command": "echo owl", "description": "Say something"})

    scripted.script.answers(answer)
    options = ("--tools", "Bash", "--allowedTools", "Bash", "--system-prompt", "Be brief.")
    said = claude(scripted, tmp_path, "Say something.", *options)
    assert "Done." in said
    assert "I should say something." in scripted.script.prompts[-1]


@conformance(row=36, client="Claude Code")
def test_claude_code_counts_its_context(scripted: Scripted, tmp_path: Path) -> None:
    said = claude(scripted, tmp_path, "/context")
    assert "Context Usage" in said
    assert scripted.script.prompts == []  # nothing was generated for it
