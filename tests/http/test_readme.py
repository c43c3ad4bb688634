"""What the README shows of HTTP is what comes out."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from openai import OpenAI

from tests.http.serving import Served

README = Path(__file__).parents[2] / "README.md"
SHOWN = "http://127.0.0.1:8000"


def test_curl(served: Served) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    shown = README.read_text(encoding="utf-8")
    command, answer = re.search(rf"^    \$ (curl -s {SHOWN}.*)\n    (.*)$", shown, re.MULTILINE).groups()  # type: ignore[union-attr]
    said = subprocess.run(
        ["sh", "-c", command.replace(SHOWN, served.url)], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    for part in answer.split("…"):
        assert part in said


def test_an_sdk(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"^```python\n(>>> from openai.*?)^```", README.read_text(encoding="utf-8"), re.S | re.M)
    lines = [line[4:] for line in block.splitlines() if line.startswith(">>> ")]
    made: dict[str, object] = {}
    exec("\n".join(lines).replace(SHOWN, served.url), made)
    said = capsys.readouterr().out
    client = made["client"]
    assert isinstance(client, OpenAI)
    client.close()
    # Which words a story has may depend on the CPU; what was asked for, and is shown, does not.
    assert "Rosa" in said
    assert "kite" in said
