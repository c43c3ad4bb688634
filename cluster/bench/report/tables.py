"""Report: what was found as Markdown tables and as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from cluster.bench.report.scenarios import scenario_tables
from cluster.bench.report.vllm import vllm_record
from cluster.bench.spread import Spread, ratios, spread
from cluster.bench.summary import BenchReport, PeerResult, Result
from cluster.terminal.status_record import status_record
from cluster.terminal.table import format_bytes

OURS = (
    "model",
    "size",
    "stages",
    "threads",
    "test",
    "t/s",
    "forecast",
    "ratio",
    "busy %",
    "bubble %",
    "hop ms",
    "turn ms",
    "overhead ms",
)
LEGEND = (
    "forecast: tokens per second by `cluster plan`, for these cuts and slots; ratio: measured to forecast. "
    "busy: share of the run that each stage computed. hop: end of a step at one stage to its rows' arrival at the "
    "next. turn: end at the last stage to the moment when the first had all it needs for the step that followed. "
    "overhead: a step lay there, the stage was free, and did not compute yet (the worst stage). Times are median (p99)."
)
RATIO_LEGEND = (
    "`vs`: our tokens per second to theirs, run beside run with the same prompts: median [lowest, highest]. One "
    "process: llama.cpp with the whole model on all cores. RPC: llama.cpp over one RPC server for each stage, each "
    "with one thread or with all cores."
)


def to_json(report: BenchReport) -> str:
    """The whole report as one JSON object, runs and spreads included; ratios are added to each peer."""
    content: dict[str, Any] = asdict(report)
    content["status"] = status_record(report.status) if report.status else None
    for row, result in zip(content["results"], report.results, strict=True):
        row["test"] = result.workload.name
        row["measured_to_forecast"] = _to_forecast(result)
        for found, peer in zip(row["peers"], result.peers, strict=True):
            compared = ratios(result.tokens_per_s, peer.tokens_per_s)
            found["ratio"] = asdict(compared) if compared else None
    if report.http is not None:
        content["http"]["vllm"] = vllm_record(report.http.serving)
    return json.dumps(content, indent=1)


def to_markdown(report: BenchReport) -> str:
    """The tables, with a line for each peer that is missing and each part that failed."""
    parts = []
    if report.results:
        parts += [markdown_table([OURS, *(_row(report, result) for result in report.results)]), LEGEND]
    if any(result.peers for result in report.results):
        parts += [markdown_table(compare_rows(report.results)), RATIO_LEGEND]
    parts += [f"Not compared: {reason}" for reason in report.missing]
    for table, legend in scenario_tables(report):
        parts += [markdown_table(table), *([legend] if legend else [])]
    parts += [f"Failed: {reason}" for reason in report.failed]
    return "\n\n".join(parts) + "\n"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first being the head, with padded columns."""
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def compare_rows(results: Sequence[Result]) -> list[list[str]]:
    """Tokens per second of all, and the ratios."""
    names = list(dict.fromkeys(peer.name for result in results for peer in result.peers))
    rows = [["test", "t/s", *names, *(f"vs {name}" for name in names)]]
    for result in results:
        by_name = {peer.name: peer for peer in result.peers}
        found = [by_name.get(name) for name in names]
        rows.append(
            [
                result.workload.name,
                _rate(spread(result.tokens_per_s)),
                *(_rate(spread(peer.tokens_per_s)) if peer else "-" for peer in found),
                *(_ratio(result, peer) for peer in found),
            ]
        )
    return rows


def _row(report: BenchReport, result: Result) -> list[str]:
    figures = result.figures
    assert report.status is not None, "a row without a cluster"
    overheads = [found for found in figures.overhead_ms if found is not None]
    return [
        report.status.model,
        format_bytes(report.model_bytes),
        str(len(report.status.stages)),
        str(report.num_threads),
        result.workload.name,
        _rate(spread(result.tokens_per_s)),
        f"{result.forecast_tokens_per_s:.2f}" if result.forecast_tokens_per_s else "-",
        f"{ratio:.2f}" if (ratio := _to_forecast(result)) else "-",
        " / ".join(f"{100 * busy:.0f}" for busy in figures.busy),
        f"{100 * figures.bubble:.0f}",
        _time(figures.hop_ms),
        _time(figures.turn_ms),
        _time(max(overheads, key=lambda found: found.p99, default=None)),
    ]


def _to_forecast(result: Result) -> float | None:
    """Median of the runs, in times of the forecast."""
    forecast = result.forecast_tokens_per_s
    return median(result.tokens_per_s) / forecast if forecast else None


def _rate(found: Spread | None) -> str:
    return f"{found.mean:.2f} ± {found.sd:.2f}" if found else "-"


def _time(found: Spread | None) -> str:
    return f"{found.median:.2f} ({found.p99:.2f})" if found else "-"


def _ratio(result: Result, peer: PeerResult | None) -> str:
    found = ratios(result.tokens_per_s, peer.tokens_per_s) if peer else None
    return f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]" if found else "-"
