"""Figures in the words and the layout of `vllm bench serve`, so that tools and people read both alike. Pure.

Names of rows and of JSON fields are those of `vllm/benchmarks/serve.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.bench.serving import ServeFigures
from cluster.bench.spread import Spread

WIDTH, NAME_WIDTH = 50, 40  # characters
VLLM_LEGEND = (
    "The same answers over HTTP, as `vllm bench serve` prints them: all runs together, one after the other. The first "
    "token is the first chunk that has choices, ITL are the gaps between such chunks, TPOT is the time from the first "
    "to the last of them by the tokens after the first one. The peak of output tokens counts chunks in whole seconds."
)


@dataclass(frozen=True, slots=True)
class _Row:
    name: str  # as it is printed
    key: str  # in JSON
    value: float
    num_digits: int = 2


def vllm_block(figures: ServeFigures) -> str:
    """The lines, without an end of the last one."""
    lines = [f"{' Serving Benchmark Result ':=^{WIDTH}}", *map(_line, _totals(figures))]
    for head, rows in _latencies(figures):
        lines += [f"{head:-^{WIDTH}}", *map(_line, rows)]
    return "\n".join([*lines, "=" * WIDTH])


def vllm_record(figures: ServeFigures) -> dict[str, float]:
    """As `vllm bench serve --save-result` keeps them; times of the fields ending in _ms in milliseconds."""
    rows = [*_totals(figures), *(row for _, rows in _latencies(figures) for row in rows)]
    return {row.key: row.value for row in rows}


def _totals(figures: ServeFigures) -> list[_Row]:
    return [
        _Row("Successful requests", "completed", figures.num_requests, 0),
        _Row("Failed requests", "failed", 0, 0),  # one that fails ends the scenario
        _Row("Benchmark duration (s)", "duration", figures.duration_s),
        _Row("Total input tokens", "total_input_tokens", figures.num_input_tokens, 0),
        _Row("Total generated tokens", "total_output_tokens", figures.num_output_tokens, 0),
        _Row("Request throughput (req/s)", "request_throughput", figures.requests_per_s),
        _Row("Output token throughput (tok/s)", "output_throughput", figures.output_tokens_per_s),
        _Row("Peak output token throughput (tok/s)", "max_output_tokens_per_s", figures.peak_output_tokens_per_s),
        _Row("Peak concurrent requests", "max_concurrent_requests", figures.peak_requests),
        _Row("Total token throughput (tok/s)", "total_token_throughput", figures.total_tokens_per_s),
    ]


def _latencies(figures: ServeFigures) -> list[tuple[str, list[_Row]]]:
    return [
        ("Time to First Token", _spread_rows("TTFT", figures.ttft_ms)),
        ("Time per Output Token (excl. 1st token)", _spread_rows("TPOT", figures.tpot_ms)),
        ("Inter-token Latency", _spread_rows("ITL", figures.itl_ms)),
    ]


def _spread_rows(name: str, found: Spread | None) -> list[_Row]:
    """Where there is nothing to tell, as of gaps of one token, vLLM says 0."""
    mean, median, p99 = (found.mean, found.median, found.p99) if found else (0.0, 0.0, 0.0)
    return [
        _Row(f"{word} {name} (ms)", f"{word.lower()}_{name.lower()}_ms", value)
        for word, value in (("Mean", mean), ("Median", median), ("P99", p99))
    ]


def _line(row: _Row) -> str:
    return f"{row.name + ':':<{NAME_WIDTH}} {row.value:.{row.num_digits}f}"
