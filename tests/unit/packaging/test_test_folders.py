"""`make test` runs every folder of tests, side by side or alone."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]


def test_no_folder_of_tests_is_left_out() -> None:
    makefile = (TESTS.parent / "Makefile").read_text(encoding="utf-8")
    named = [
        name for line in re.findall(r"^(?:BESIDE|ALONE) *:= (.*)$", makefile, re.MULTILINE) for name in line.split()
    ]
    folders = {f"tests/{found.relative_to(TESTS).parts[0]}" for found in TESTS.rglob("test_*.py")}
    assert sorted(named) == sorted(folders), "each once"
