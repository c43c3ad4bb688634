"""docs/conformance.md says what the tests show."""

from __future__ import annotations

import subprocess
import sys

from tests.http.conformance.page import BEGIN, END, ROOT, matrix, written
from tests.http.conformance.rows import CLIENTS, ROWS


def test_the_page_is_what_the_tests_show() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.http.conformance", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_cell_has_the_number_of_its_test() -> None:
    table = matrix({(2, "openai"): ["b", "a"], (52, "curl"): ["a"]}).splitlines()
    assert len(table) == 2 + len(ROWS) + 1 + 2
    assert table[3] == "| 2 chat | 2, 1 |" + "  |" * (len(CLIENTS) - 1)
    assert table[-2:] == ["1. `a`", "2. `b`"]


def test_what_people_wrote_around_the_table_stays() -> None:
    page = f"Before.\n{BEGIN}\nold\n{END}After.\n"
    assert written(page, "new\n") == f"Before.\n{BEGIN}\nnew\n\n{END}After.\n"
