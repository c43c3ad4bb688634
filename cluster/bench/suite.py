"""Suite: every row in turn; with peers, ours and theirs one right after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from statistics import median
from typing import TypeVar

from cluster.api.errors import ClusterError
from cluster.api.status import ClusterStatus
from cluster.bench.measure import Sample, Subject
from cluster.bench.peers.baselines import Peer, running_peers
from cluster.bench.peers.commands import WholeOrders
from cluster.bench.scenarios.chunking import run_chunking
from cluster.bench.scenarios.gaps import GapsFigures, gaps_figures, run_gaps
from cluster.bench.scenarios.http import HttpFigures, http_figures, idle_mb, run_http
from cluster.bench.scenarios.prefix import PrefixFigures, prefix_figures, run_prefix
from cluster.bench.scenarios.serve import serve, serve_figures
from cluster.bench.scenarios.soak import SoakFigures, run_soak
from cluster.bench.serving import ServeFigures
from cluster.bench.settings import DEFAULT_UBATCH_SIZE, BenchSettings
from cluster.bench.steps import step_figures
from cluster.bench.subject import cluster_config, measured_cluster, up_arguments
from cluster.bench.summary import BenchReport, PeerResult, Result
from cluster.bench.workload import Workload, workloads
from cluster.node.machine import this_machine
from cluster.planning.rates import forecast_rates
from cluster.terminal.activity import Activity
from ggml.gguf.ours import PROGRAM

Found = TypeVar("Found")
Note = Callable[[str], None]
QUIET_CORES = 0.1


def run_suite(settings: BenchSettings, command: str, date: str, note: Note) -> BenchReport:
    """Measure all that `settings` ask for, on clusters of its own. Raises what `cluster up` and the client raise.

    A row or scenario that fails is named in the report and the next one is tried; an interrupt ends the bench, but
    what was found until then is returned. KeyboardInterrupt if that is nothing.
    """
    machine = this_machine()
    if machine.busy_cores_before > QUIET_CORES:
        note(f"warning: {machine.busy_cores_before:.1f} cores are busy with something else; the figures will show it")
    report = BenchReport(settings, command, date, machine, os.path.getsize(settings.model))
    try:
        if settings.measures_cluster:
            _measure(report, note)
            _forecast(report, note)
        if settings.chunking is not None:
            note(f"chunking: a prompt of {settings.chunking.prompt_length} tokens on clusters of its own")
            if (found := _attempt("chunking", lambda: run_chunking(settings, note), report, note)) is not None:
                report.chunking = found[0]
                if report.status is None:
                    _describe(report, found[1])
    except KeyboardInterrupt:
        if report.is_empty:
            raise
        report.interrupted = True
        report.failed.append("interrupted: what was to come is missing")
    return report


def measure_row(
    workload: Workload,
    runs: Sequence[int],
    subject: Subject,
    nodes: list[str],
    peers: list[Peer],
    begin: Callable[[str], None] = lambda who: None,
) -> tuple[Result, list[str]]:
    """One row; `runs` numbers its runs, the first of which warms up. All subjects compute the same prompts in a run.

    A peer that fails is taken out of `peers` and named in what is returned beside the row. `begin` is told who is
    about to run.
    """
    lost: list[str] = []
    times_s: dict[str, list[float]] = {peer.name: [] for peer in peers}
    warm_up, *counted = runs
    begin("ours, warming up")
    subject.run(workload.shortened(), warm_up)
    for peer in tuple(peers):
        begin(f"{peer.name}, warming up")
        _run_peer(peer, workload.shortened(), warm_up, [], peers, lost)
    samples: list[Sample] = []
    for run in counted:
        begin("ours")
        samples.append(subject.run(workload, run))
        for peer in tuple(peers):
            begin(peer.name)
            _run_peer(peer, workload, run, times_s[peer.name], peers, lost)
    num_tokens = workload.num_counted_tokens
    complete = [(name, times) for name, times in times_s.items() if len(times) == len(counted)]
    result = Result(
        workload,
        tuple(num_tokens / sample.seconds for sample in samples),
        step_figures([sample.steps for sample in samples], nodes),
        tuple(PeerResult(name, tuple(num_tokens / time_s for time_s in times)) for name, times in complete),
    )
    return result, lost


def _measure(report: BenchReport, note: Note) -> None:
    """Rows, serving and the scenarios that share a cluster."""
    settings = report.settings
    note("starting a cluster of its own")
    with ExitStack() as stack:
        with Activity("starting the cluster"):
            subject = stack.enter_context(measured_cluster(up_arguments(settings)))
        status = subject.client.status()
        _describe(report, status)
        _rows(report, subject, status, note)
        report.serve = _attempt("serving", lambda: _serve(settings, subject, note), report, note)
        report.gaps = _attempt("gaps", lambda: _gaps(settings, subject, status, note), report, note)
        report.prefix = _attempt("prefix", lambda: _prefix(settings, subject, status, note), report, note)
        report.http = _attempt("http", lambda: _http(settings, subject, note), report, note)
        report.soak = _attempt("soak", lambda: _soak(settings, subject, note), report, note)


def _forecast(report: BenchReport, note: Note) -> None:
    """What `cluster plan` says of the rows, now that the cluster is down and the machine is quiet again."""
    settings, status = report.settings, report.status
    rows = sorted({_row_of(result) for result in report.results if result.workload.kind == "tg"})
    if not rows or status is None or status.architecture == PROGRAM:  # of which nothing is forecast
        return
    ranges = [(stage.first, stage.end) for stage in status.stages]
    with Activity("forecasting"):
        rates = _attempt(
            "forecast", lambda: forecast_rates(cluster_config(settings, status), ranges, rows), report, note
        )
    if rates is not None:
        report.results[:] = [_with_forecast(result, rates) for result in report.results]
        for result in report.results:
            if result.forecast_tokens_per_s is not None:
                note(f"{result.workload.name}: {result.forecast_tokens_per_s:.1f} t/s were forecast")


def _with_forecast(result: Result, rates: dict[tuple[int, int], float]) -> Result:
    return replace(result, forecast_tokens_per_s=rates[_row_of(result)]) if result.workload.kind == "tg" else result


def _row_of(result: Result) -> tuple[int, int]:
    return result.workload.num_tokens, result.workload.num_streams


def _describe(report: BenchReport, status: ClusterStatus) -> None:
    report.status = status
    report.num_threads = report.settings.threads or max(1, report.machine.num_cores // len(status.stages))


def _attempt(name: str, part: Callable[[], Found | None], report: BenchReport, note: Note) -> Found | None:
    try:
        return part()
    except ClusterError as error:
        report.failed.append(f"{name}: {error}")
        note(f"  failed: {error}")
        return None


def _rows(report: BenchReport, subject: Subject, status: ClusterStatus, note: Note) -> None:
    settings = report.settings
    rows = workloads(settings)
    if not rows:
        return
    nodes = [stage.node for stage in status.stages]
    compared = running_peers(_orders(report, status), status.stages, note) if settings.compares else nullcontext()
    num_runs = settings.repetitions + 1
    with compared as lineup:
        peers = list(lineup.peers) if lineup else []
        report.missing += lineup.missing if lineup else ()
        for number, workload in enumerate(rows):
            runs = range(number * num_runs, (number + 1) * num_runs)
            beside = f", each beside {len(peers)} peers" if peers else ""
            note(f"{workload.name}: {settings.repetitions} runs{beside}")
            # A warm-up is short and counts all the same: the time left is told a little too low at first.
            name = f"{workload.name} (row {number + 1} of {len(rows)})"
            with Activity(name, num_runs * (1 + len(peers))) as activity:
                row = partial(measure_row, workload, runs, subject, nodes, peers, activity.begin)
                found = _attempt(workload.name, row, report, note)
            if found is None:
                continue
            note(_row_line(found[0]))  # at once: an interrupted bench has told what it found
            report.results.append(found[0])
            report.missing += found[1]


def _row_line(result: Result) -> str:
    """Medians in tokens per second, ours first."""
    peers = "".join(f"; {peer.name}: {median(peer.tokens_per_s):.1f}" for peer in result.peers)
    return f"  ours: {median(result.tokens_per_s):.1f} t/s{peers}"


def _run_peer(
    peer: Peer, workload: Workload, run: int, times_s: list[float], peers: list[Peer], lost: list[str]
) -> None:
    try:
        times_s.append(peer.run(workload, run))
    except ClusterError as error:
        peers.remove(peer)
        lost.append(f"{peer.name}: from {workload.name} on: {error}")


def _serve(settings: BenchSettings, subject: Subject, note: Note) -> ServeFigures | None:
    if settings.serve is None:
        return None
    note(f"serving {settings.serve.num_prompts} requests")
    warm_up = replace(settings.serve, num_prompts=1, concurrency=1, request_rate=None)
    with Activity(f"serving {settings.serve.num_prompts} requests"):
        serve(subject.client, subject.vocab_size, warm_up, "warm-up")
        return serve_figures(serve(subject.client, subject.vocab_size, settings.serve))


def _gaps(settings: BenchSettings, subject: Subject, status: ClusterStatus, note: Note) -> GapsFigures | None:
    gaps = settings.gaps
    if gaps is None:
        return None
    note(f"gaps: {gaps.num_streams} streams and a prompt of {gaps.prompt_length} tokens, {settings.repetitions} runs")
    one = partial(run_gaps, subject.client, subject.vocab_size, status.context_length, gaps)
    return gaps_figures(gaps, _repeated("gaps", settings.repetitions, one))


def _prefix(settings: BenchSettings, subject: Subject, status: ClusterStatus, note: Note) -> PrefixFigures | None:
    prefix = settings.prefix
    if prefix is None:
        return None
    note(f"prefix: {prefix.prefix_length} shared tokens, {settings.repetitions} runs")
    one = partial(run_prefix, subject.client, subject.vocab_size, status.num_slots, prefix)
    return prefix_figures(prefix, _repeated("prefix", settings.repetitions, one))


def _http(settings: BenchSettings, subject: Subject, note: Note) -> HttpFigures | None:
    http = settings.http
    if http is None:
        return None
    note(f"http: {http.num_streams} streams each way, {settings.repetitions} runs")
    run_http(subject.http_target, replace(http, num_tokens=8, num_lone=1), -1)
    runs = _repeated("http", settings.repetitions, partial(run_http, subject.http_target, http))
    return http_figures(http, runs, idle_mb(subject.http_target, http.num_idle))


def _soak(settings: BenchSettings, subject: Subject, note: Note) -> SoakFigures | None:
    if settings.soak is None:
        return None
    note(f"soak: {settings.soak.num_requests} requests, {settings.soak.concurrency} at a time")
    with Activity("soak"):
        return run_soak(subject, settings.soak)


def _repeated(name: str, num_runs: int, one: Callable[[int], Found]) -> list[Found]:
    found = []
    with Activity(name, num_runs) as activity:
        for run in range(num_runs):
            activity.begin("run")
            found.append(one(run))
    return found


def _orders(report: BenchReport, status: ClusterStatus) -> WholeOrders:
    """What the peers are told: the same context, slots, cache and microbatch as our stages have."""
    settings = report.settings
    return WholeOrders(
        model=settings.model,
        context_length=status.context_length,
        num_slots=status.num_slots,
        num_threads=1,
        type_k=settings.cache_type_k or "f16",
        type_v=settings.cache_type_v or "f16",
        flash_attn=settings.flash_attn or "auto",
        ubatch_size=settings.ubatch_size or DEFAULT_UBATCH_SIZE,
        use_extra_bufts=report.machine.use_extra_bufts,
        uses_gpu=any(stage.device != "CPU" for stage in status.stages),
    )
