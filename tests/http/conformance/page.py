"""Writes docs/conformance.md from the tests there are: `python -m tests.http.conformance`; --check only compares.

A test says with the marker `conformance(row=, client=)` what it shows. Slow tests count, too.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from tests.http.conformance.rows import CLIENTS, ROWS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "conformance.md"
BEGIN, END = "<!-- generated: the matrix -->\n", "<!-- end of what is generated -->\n"
Shown = dict[tuple[int, str], list[str]]  # names of tests, by row and client


class Collector:
    """A plugin of pytest's, which notes what the tests that were collected show."""

    def __init__(self) -> None:
        self.shown: Shown = defaultdict(list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for marker in item.iter_markers("conformance"):
                cell = (marker.kwargs["row"], marker.kwargs["client"])
                name = item.nodeid.partition("[")[0]
                if cell[0] not in ROWS or cell[1] not in CLIENTS:
                    raise pytest.UsageError(f"{name}: there is no row or client {cell}; see rows.py")
                if name not in self.shown[cell]:
                    self.shown[cell].append(name)


def collect() -> Shown:
    """What the tests show. Nothing is run."""
    collector = Collector()
    said = StringIO()
    with redirect_stdout(said):
        code = pytest.main(
            ["--collect-only", "-q", "-m", "", "-p", "no:cacheprovider", str(ROOT / "tests" / "http")], [collector]
        )
    if code != pytest.ExitCode.OK:
        raise SystemExit(said.getvalue())
    return collector.shown


def matrix(shown: Shown) -> str:
    """A table of rows and clients, whose cells hold numbers of the tests in the list below it."""
    names = sorted({name for tests in shown.values() for name in tests})
    numbers = {name: place + 1 for place, name in enumerate(names)}
    lines = [f"| | {' | '.join(CLIENTS)} |", f"|---|{'---|' * len(CLIENTS)}"]
    for row, title in ROWS.items():
        cells = (", ".join(str(numbers[name]) for name in shown.get((row, client), [])) for client in CLIENTS)
        lines.append(f"| {row} {title} | {' | '.join(cells)} |")
    lines += ["", *(f"{numbers[name]}. `{name}`" for name in names)]
    return "\n".join(lines) + "\n"


def written(page: str, table: str) -> str:
    """The page with another table in it."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.http.conformance", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="end with 1 if the page is not what it would be")
    is_check = parser.parse_args().check
    page = PAGE.read_text()
    new = written(page, matrix(collect()))
    if new == page:
        return 0
    if is_check:
        print(f"{PAGE}: not what the tests show; run python -m tests.http.conformance", file=sys.stderr)
        return 1
    PAGE.write_text(new)
    return 0
