"""Codex, with a task that needs a tool: it runs commands, and tells what they said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.clients import environments
from tests.http.clients.running import ran
from tests.http.scripted.calling import call_of, results_of, tools_of
from tests.http.scripted.server import Scripted

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.clients]
conformance = pytest.mark.conformance
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


def codex(scripted: Scripted, folder: Path, task: str) -> str:
    home = folder / "codex"
    home.mkdir()
    (home / "config.toml").write_text(CODEX_CONFIG.format(url=scripted.url))
    options = ["exec", "--skip-git-repo-check", "--ephemeral", "-s", "danger-full-access"]
    return ran([environments.program("codex"), *options, task], folder, {"CODEX_HOME": str(home), "LOCAL_KEY": "none"})


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
