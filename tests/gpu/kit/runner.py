"""Runs cases one after the other within a time, and writes what is known after each."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.gpu.kit.case import Case, cases_of
from tests.gpu.kit.finding import Finding, not_run, read_findings
from tests.gpu.kit.report import CaseReport, write_reports
from tests.gpu.kit.settings import Settings

# What proves comes before what measures; the longest is last, and has all the time that is left.
PARTS = ("devices", "exactness", "slots", "exchange", "memory", "graphs", "blocks", "rows", "throughput")
LEAST_S = 3.0  # with less time left nothing is begun
LOG = "log.txt"


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for. Every process that is started ends with its case."""

    settings: Settings
    parts: Sequence[str]
    budget_s: float
    note: Callable[[str], None]

    def all(self) -> list[CaseReport]:
        """Run everything that there is time for. Results are written to `settings.out` after each case."""
        out = Path(self.settings.out)
        out.mkdir(parents=True, exist_ok=True)
        (out / LOG).unlink(missing_ok=True)
        start_s = time.monotonic()
        reports: list[CaseReport] = []
        for part in self.parts:
            for report in self._part(part, start_s):
                reports.append(report)
                self.note(summary(report))
                write_reports(out, self.settings, reports)
        return reports

    def _part(self, part: str, start_s: float) -> Iterator[CaseReport]:
        try:
            cases = cases_of(part, self.settings)
        except ImportError as error:
            yield CaseReport(part, "all", 0.0, "not run", (not_run("all", f"it cannot be loaded: {error}"),))
            return
        for case in cases:
            yield self._run(part, case, self.budget_s - (time.monotonic() - start_s))

    def _run(self, part: str, case: Case, left_s: float) -> CaseReport:
        if left_s < LEAST_S:
            why = f"no time is left of {self.budget_s:.0f} s"
            return CaseReport(part, case.name, 0.0, "not run", (not_run("all", why),))
        limit_s = min(case.limit_s, left_s)
        findings = self.settings.scratch / f"findings-{part}-{os.getpid()}.jsonl"
        findings.unlink(missing_ok=True)
        start_s = time.monotonic()
        with (Path(self.settings.out) / LOG).open("ab") as log:
            log.write(f"== {part}: {case.name}\n".encode())
            log.flush()
            settings = replace(self.settings, limit_s=limit_s)
            ended = _end_of(_start(part, case, settings, findings, log.fileno()), limit_s)
        seconds = time.monotonic() - start_s
        found = tuple(read_findings(findings))
        findings.unlink(missing_ok=True)
        if ended != "ok" and not any(finding.what == "to its end" for finding in found):
            found = (*found, Finding("to its end", "fail", {}, f"its process {ended}; see {LOG}"))
        return CaseReport(part, case.name, seconds, ended, found)


def summary(report: CaseReport) -> str:
    """One line for the terminal."""
    counts = {verdict: sum(one.verdict == verdict for one in report.findings) for verdict in ("pass", "fail", "figure")}
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number) or "nothing"
    return f"{report.part}: {report.case}: {told} ({report.ended}, {report.seconds:.1f} s)"


def _start(part: str, case: Case, settings: Settings, findings: Path, log: int) -> subprocess.Popen[bytes]:
    scratch = settings.folder
    environment = {
        "XDG_CACHE_HOME": f"{scratch}/cache",
        "XDG_STATE_HOME": f"{scratch}/state",
        "TMPDIR": scratch,
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "tests.gpu.kit.case", part, case.name, settings.to_json(), str(findings)]
    # A session of its own: what the case has started is ended with it.
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _end_of(process: subprocess.Popen[bytes], limit_s: float) -> str:
    """How it ended. Whatever it has left running is ended, too."""
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        code = None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if code is None:
        return f"had not ended after {limit_s:.0f} s"
    return "ok" if code == 0 else f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
