"""Report of the serving block and the scenarios: one table each. Pure."""

from __future__ import annotations

from cluster.bench.report.vllm import VLLM_LEGEND, vllm_block
from cluster.bench.scenarios.chunking import ChunkingFigures
from cluster.bench.scenarios.gaps import GapsFigures
from cluster.bench.scenarios.http import HttpFigures
from cluster.bench.scenarios.prefix import PrefixFigures
from cluster.bench.scenarios.soak import MB, PER_REQUESTS, SoakFigures
from cluster.bench.serving import ServeFigures
from cluster.bench.spread import Spread
from cluster.bench.summary import BenchReport

Table = list[list[str]]
GAPS_LEGEND = (
    "Gaps are the times between two tokens of a stream at its client, those of all runs together. Before: no prompt "
    "was under way. During: from the prompt sent to its first token. The ratio is of one run: its p99 during to its "
    "median before."
)
PREFIX_LEGEND = (
    "Warm: another prompt with the same prefix came just before. Cold: the same prompt, after every slot had held "
    "something else. Greedy texts of both are compared token by token."
)
HTTP_LEGEND = (
    "Server-sent events of /v1/completions beside streams of the client for asyncio, from one process, the two one "
    "right after the other and swapped from run to run. The first token, as `vllm bench serve` takes it, is the first "
    "chunk that has choices; of a lone stream. Memory: of the server's process, while that many connections are open."
)
SOAK_LEGEND = (
    f"Growth of resident memory by least squares, in MB (10^6 bytes) per {PER_REQUESTS} requests, without the first "
    "tenth of the run. Steps: median (p99) of the computing time during the first and the last tenth of the requests."
)


def scenario_tables(report: BenchReport) -> list[tuple[Table, str]]:
    """A table with its legend for everything that was found beside the rows."""
    found: list[tuple[Table, str]] = []
    if report.serve is not None:
        found.append((serve_rows(report.serve), ""))
    if report.gaps is not None:
        found.append((gaps_rows(report.gaps), GAPS_LEGEND))
    if report.prefix is not None:
        found.append((prefix_rows(report.prefix), PREFIX_LEGEND))
    if report.chunking is not None:
        found.append((chunking_rows(report.chunking), _chunking_legend(report.chunking)))
    if report.http is not None:
        found.append((http_rows(report.http), f"{HTTP_LEGEND}\n\n{_http_block(report.http)}"))
    if report.soak is not None:
        found.append((soak_rows(report.soak), SOAK_LEGEND))
    return found


def serve_rows(figures: ServeFigures) -> Table:
    """What `vllm bench serve` prints, as a table."""
    rows = [
        ["serving", "mean", "median", "p99"],
        ["requests", str(figures.num_requests), "", ""],
        ["duration (s)", f"{figures.duration_s:.2f}", "", ""],
        ["input tokens", str(figures.num_input_tokens), "", ""],
        ["generated tokens", str(figures.num_output_tokens), "", ""],
        ["request throughput (req/s)", f"{figures.requests_per_s:.3f}", "", ""],
        ["output token throughput (tok/s)", f"{figures.output_tokens_per_s:.2f}", "", ""],
        ["total token throughput (tok/s)", f"{figures.total_tokens_per_s:.2f}", "", ""],
    ]
    for name, found in (("TTFT", figures.ttft_ms), ("TPOT", figures.tpot_ms), ("ITL", figures.itl_ms)):
        values = (found.mean, found.median, found.p99) if found else ()
        rows.append([f"{name} (ms)", *(f"{value:.2f}" for value in values), *[""] * (3 - len(values))])
    return rows


def gaps_rows(figures: GapsFigures) -> Table:
    """Gaps before and during the prompt, their ratio, and the prompt's first token."""
    return [
        [f"{figures.num_streams} streams, a prompt of {figures.prompt_length} tokens", "median", "p99", "low", "high"],
        _spread_row("gap before (ms)", figures.before_ms),
        _spread_row("gap during (ms)", figures.during_ms),
        _spread_row("p99 during / median before", figures.ratio),
        _spread_row("first token beside the streams (ms)", figures.first_token_ms),
        _spread_row("first token alone (ms)", figures.alone_ms),
    ]


def prefix_rows(figures: PrefixFigures) -> Table:
    """First token cold and warm."""
    head = f"{figures.prefix_length} shared of {figures.prompt_length} tokens"
    return [
        [head, "median", "p99", "low", "high"],
        _spread_row("first token, cold (ms)", figures.cold_ms),
        _spread_row("first token, warm (ms)", figures.warm_ms),
        _spread_row("cold / warm", figures.ratio),
        ["cached tokens, cold (most)", str(figures.cold_cached_tokens), "", "", ""],
        ["cached tokens, warm (least)", str(figures.warm_cached_tokens), "", "", ""],
        ["equal greedy texts", f"{figures.num_equal_texts} of {figures.num_runs}", "", "", ""],
    ]


def chunking_rows(figures: ChunkingFigures) -> Table:
    """First token with several chunks in flight, and with one."""
    return [
        [f"a prompt of {figures.prompt_length} tokens, {figures.num_chunks} chunks", "median", "p99", "low", "high"],
        _spread_row("first token, several chunks in flight (ms)", figures.pipelined_ms),
        _spread_row("first token, one chunk at a time (ms)", figures.single_ms),
        _spread_row("one / several", figures.ratio),
    ]


def http_rows(figures: HttpFigures) -> Table:
    """Throughput and first token each way, and what idle connections take."""
    return [
        [f"{figures.num_streams} streams of {figures.num_tokens} tokens", "median", "p99", "low", "high"],
        _spread_row("HTTP (tok/s)", figures.http_tokens_per_s),
        _spread_row("client (tok/s)", figures.client_tokens_per_s),
        _spread_row("HTTP / client", figures.ratio, 3),
        _spread_row("first token, HTTP (ms)", figures.http_first_ms),
        _spread_row("first token, client (ms)", figures.client_first_ms),
        _spread_row("HTTP - client (ms)", figures.first_difference_ms),
        [f"{figures.num_idle} idle connections (MB)", f"{figures.idle_mb:.1f}", "", "", ""],
    ]


def _http_block(figures: HttpFigures) -> str:
    return f"```text\n{vllm_block(figures.serving)}\n```\n\n{VLLM_LEGEND}"


def soak_rows(figures: SoakFigures) -> Table:
    """Growth and step time of each process."""
    title = f"{figures.num_requests} requests, {figures.concurrency} at a time, {figures.duration_s:.0f} s"
    rows = [[title, "memory (MB)", "growth (MB)", "first steps (ms)", "last steps (ms)"]]
    last = figures.samples[-1]
    steps = zip(figures.first_step_ms, figures.last_step_ms, strict=True)
    for stage, (early, late) in enumerate(steps):
        memory = f"{last.stage_bytes[stage] / MB:.1f}"
        growth = f"{figures.stage_mb_per_500[stage]:+.3f}"
        rows.append([f"stage {stage}", memory, growth, _step(early), _step(late)])
    growth = f"{figures.coordinator_mb_per_500:+.3f}"
    return [*rows, ["coordinator", f"{last.coordinator_bytes / MB:.1f}", growth, "", ""]]


def _chunking_legend(figures: ChunkingFigures) -> str:
    way = "Both clusters were up, and the runs alternate" if figures.interleaved else "One cluster was up at a time"
    return f"{way}; which of the two comes first is swapped from run to run. Each pair has the same prompt."


def _spread_row(name: str, found: Spread | None, num_digits: int = 2) -> list[str]:
    values = (found.median, found.p99, found.low, found.high) if found else ()
    return [name, *(f"{value:.{num_digits}f}" for value in values), *["-"] * (4 - len(values))]


def _step(found: Spread | None) -> str:
    return f"{found.median:.2f} ({found.p99:.2f})" if found else "-"
