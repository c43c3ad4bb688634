"""What was found, as JSON and as Markdown."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from tests.gpu.kit.finding import Finding, Value
from tests.gpu.kit.settings import Settings

JSON, MARKDOWN = "results.json", "results.md"


@dataclass(frozen=True, slots=True)
class CaseReport:
    """`ended` is "ok", "not run", or how its process ended otherwise."""

    part: str
    case: str
    seconds: float
    ended: str
    findings: tuple[Finding, ...]


def write_reports(out: Path, settings: Settings, reports: Sequence[CaseReport]) -> None:
    """Both files, each replaced in one step."""
    content = {"settings": asdict(settings), "cases": [asdict(report) for report in reports]}
    _replace(out / JSON, json.dumps(content, indent=1))
    _replace(out / MARKDOWN, markdown(settings, reports))


def markdown(settings: Settings, reports: Sequence[CaseReport]) -> str:
    """A table for each part, what failed first."""
    findings = [finding for report in reports for finding in report.findings]
    counts = [f"{sum(one.verdict == verdict for one in findings)} {verdict}" for verdict in ("pass", "fail", "not run")]
    lines = [f"# {settings.device}, {settings.size} shapes", "", f"{', '.join(counts)}.", ""]
    failed = [(report, one) for report in reports for one in report.findings if one.verdict == "fail"]
    if failed:
        lines += ["## What failed", ""]
        lines += [f"- {report.part}: {report.case}: {one.what}: {one.why}{_told(one)}" for report, one in failed]
        lines += [""]
    for part, group in groupby(reports, key=lambda report: report.part):
        lines += [f"## {part}", "", "| case | what | | values | why |", "|---|---|---|---|---|"]
        for report in group:
            rows = report.findings or (Finding("nothing was told", "not run", {}, report.ended),)
            lines += [_row(report, finding) for finding in rows]
        lines += [""]
    return "\n".join(lines)


def format_value(value: Value) -> str:
    """A number with four digits that count; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _row(report: CaseReport, finding: Finding) -> str:
    values = ", ".join(f"{name} {format_value(value)}" for name, value in finding.values.items())
    cells = (report.case, finding.what, finding.verdict, values, finding.why)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _told(finding: Finding) -> str:
    values = ", ".join(f"{name} {format_value(value)}" for name, value in finding.values.items())
    return f" ({values})" if values else ""


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
