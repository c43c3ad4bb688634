"""Codex and Claude Code, each with a task that needs a tool: the agent runs a command, and tells what it said."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.http.clients import environments
from tests.http.scripted import Scripted

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.clients]
conformance = pytest.mark.conformance

TASK_S = 300
CODEX_CONFIG = """\
model = "demo"
model_provider = "local"
model_context_window = 65536

[model_providers.local]
name = "local"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "LOCAL_KEY"
request_max_retries = 0
stream_max_retries = 0
"""


def tools_of(prompt: str) -> dict[str, dict[str, object]]:
    """What the model was told that it may call: parameters by name."""
    listed = prompt.partition("<tools>\n")[2].partition("\n</tools>")[0]
    functions = [json.loads(line)["function"] for line in listed.splitlines()]
    return {function["name"]: function["parameters"] for function in functions}


def call_of(name: str, arguments: Mapping[str, object]) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def results_of(prompt: str) -> list[str]:
    return re.findall(r"<tool_response>\n(.*?)\n</tool_response>", prompt, re.DOTALL)


def ran(command: list[str], folder: Path, more: Mapping[str, str]) -> str:
    """What the program wrote. It sees no key, no proxy and no home but these."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "NO_COLOR": "1", **more}
    done = subprocess.run(
        command,
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TASK_S,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def codex(scripted: Scripted, folder: Path, task: str) -> str:
    program = environments.program("codex")
    home = folder / "codex"
    home.mkdir()
    (home / "config.toml").write_text(CODEX_CONFIG.format(url=scripted.url))
    options = ["exec", "--skip-git-repo-check", "--ephemeral", "-s", "danger-full-access"]
    return ran([str(program), *options, task], folder, {"CODEX_HOME": str(home), "LOCAL_KEY": "none"})


def claude(scripted: Scripted, folder: Path, task: str, *options: str) -> str:
    program = environments.program("claude")
    settings = {
        "ANTHROPIC_BASE_URL": scripted.url,
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_MODEL": "demo",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CONFIG_DIR": str(folder / "claude"),
    }
    return ran([str(program), "-p", task, *options], folder, settings)


@conformance(row=27, client="Codex")
@conformance(row=28, client="Codex")
@conformance(row=5, client="Codex")
@conformance(row=16, client="Codex")
@conformance(row=20, client="Codex")
@conformance(row=21, client="Codex")
@conformance(row=42, client="Codex")
@conformance(row=52, client="Codex")
def test_codex_runs_three_commands_and_tells_what_they_said(scripted: Scripted, tmp_path: Path) -> None:
    """With its whole prompt and all its tools, which are about forty kilobytes."""

    def answer(prompt: str) -> str:
        results = results_of(prompt)
        if len(results) == 3:
            said = [next(line for line in result.splitlines() if line.startswith("green-owl")) for result in results]
            return f"They said {', '.join(said)}."
        return call_of("exec_command", {"cmd": f"echo green-owl-{len(results)}"})

    scripted.script.answers(answer)
    said = codex(scripted, tmp_path, "Run three commands, and tell what they said.")
    assert "They said green-owl-0, green-owl-1, green-owl-2." in said
    assert len(scripted.script.prompts) == 4
    assert "exec_command" in tools_of(scripted.script.prompts[0])


@conformance(row=43, client="Codex")
def test_codex_is_told_that_its_prompt_does_not_fit(scripted: Scripted, tmp_path: Path) -> None:
    """And does not ask again and again."""
    with pytest.raises(AssertionError, match="context window"):
        codex(scripted, tmp_path, "7x " * 40_000)
    assert scripted.script.prompts == []


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
