"""Suite: every row in turn; with peers, ours and theirs one right after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from statistics import median

from cluster.bench.machine import Machine, this_machine
from cluster.bench.measure import Sample, Subject
from cluster.bench.peers.lineup import Lineup, Peer, running_peers
from cluster.bench.peers.orders import WholeOrders
from cluster.bench.serve import ServeFigures, serve, serve_figures
from cluster.bench.settings import BenchSettings
from cluster.bench.steps import StepFigures, step_figures
from cluster.bench.subject import measured_cluster
from cluster.bench.workload import Workload, workloads
from cluster.errors import ClusterError
from cluster.messages import ClusterStatus

Note = Callable[[str], None]
QUIET_CORES = 0.1


@dataclass(frozen=True, slots=True)
class PeerResult:
    """A peer's runs of one workload; the n-th was made right after our n-th."""

    name: str
    tokens_per_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A row of the table."""

    workload: Workload
    tokens_per_s: tuple[float, ...]
    figures: StepFigures
    peers: tuple[PeerResult, ...]


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Everything that was found, and of what."""

    settings: BenchSettings
    command: str
    date: str
    machine: Machine
    model_bytes: int
    status: ClusterStatus  # of the measured cluster, before the first row
    num_threads: int  # per stage
    results: tuple[Result, ...]
    serve: ServeFigures | None
    missing: tuple[str, ...]  # peers that could not be had, and why


def run_suite(settings: BenchSettings, command: str, date: str, note: Note) -> BenchReport:
    """Measure all that `settings` ask for on a cluster of its own. Raises what `cluster up` and the client raise."""
    machine = this_machine()
    if machine.busy_cores_before > QUIET_CORES:
        note(f"warning: {machine.busy_cores_before:.1f} cores are busy with something else; the figures will show it")
    note("starting a cluster of its own")
    with measured_cluster(settings) as subject:
        status = subject.client.status()
        orders = _orders(settings, status)
        peers = running_peers(orders, status.stages, note) if settings.compares else nullcontext(Lineup((), ()))
        with peers as lineup:
            results, lost = _rows(settings, subject, status, lineup.peers, note)
        figures = _serve(settings, subject, note)
        return BenchReport(
            settings=settings,
            command=command,
            date=date,
            machine=machine,
            model_bytes=os.path.getsize(settings.model),
            status=status,
            num_threads=settings.threads or max(1, machine.num_cores // len(status.stages)),
            results=tuple(results),
            serve=figures,
            missing=(*lineup.missing, *lost),
        )


def measure_row(
    workload: Workload, repetitions: int, subject: Subject, nodes: list[str], peers: list[Peer]
) -> tuple[Result, list[str]]:
    """One row. A peer that fails is taken out of `peers` and named in what is returned beside the row."""
    lost: list[str] = []
    times_s: dict[str, list[float]] = {peer.name: [] for peer in peers}
    subject.run(workload.shortened())
    for peer in tuple(peers):
        _run_peer(peer, workload.shortened(), [], peers, lost)
    samples: list[Sample] = []
    for _ in range(repetitions):
        samples.append(subject.run(workload))
        for peer in tuple(peers):
            _run_peer(peer, workload, times_s[peer.name], peers, lost)
    num_tokens = workload.num_counted_tokens
    complete = [(name, times) for name, times in times_s.items() if len(times) == repetitions]
    result = Result(
        workload,
        tuple(num_tokens / sample.seconds for sample in samples),
        step_figures([sample.steps for sample in samples], nodes),
        tuple(PeerResult(name, tuple(num_tokens / time_s for time_s in times)) for name, times in complete),
    )
    return result, lost


def _rows(
    settings: BenchSettings, subject: Subject, status: ClusterStatus, found: tuple[Peer, ...], note: Note
) -> tuple[list[Result], list[str]]:
    results, lost, peers = [], [], list(found)
    nodes = [stage.node for stage in status.stages]
    for workload in workloads(settings):
        note(f"{workload.name}: {settings.repetitions} runs" + (f", each beside {len(peers)} peers" if peers else ""))
        result, failures = measure_row(workload, settings.repetitions, subject, nodes, peers)
        note(_row_line(result))  # at once: an interrupted bench has told what it found
        results.append(result)
        lost += failures
    return results, lost


def _row_line(result: Result) -> str:
    """Medians in tokens per second, ours first."""
    peers = "".join(f"; {peer.name}: {median(peer.tokens_per_s):.1f}" for peer in result.peers)
    return f"  ours: {median(result.tokens_per_s):.1f} t/s{peers}"


def _run_peer(peer: Peer, workload: Workload, times_s: list[float], peers: list[Peer], lost: list[str]) -> None:
    try:
        times_s.append(peer.run(workload))
    except ClusterError as error:
        peers.remove(peer)
        lost.append(f"{peer.name}: from {workload.name} on: {error}")


def _serve(settings: BenchSettings, subject: Subject, note: Note) -> ServeFigures | None:
    if settings.serve is None:
        return None
    note(f"serving {settings.serve.num_prompts} requests")
    warm_up = replace(settings.serve, num_prompts=1, concurrency=1, request_rate=None)
    serve(subject.client, subject.vocab_size, warm_up)
    return serve_figures(serve(subject.client, subject.vocab_size, settings.serve))


def _orders(settings: BenchSettings, status: ClusterStatus) -> WholeOrders:
    """What the peers are told: the same context, slots and cache as our stages have."""
    return WholeOrders(
        model=settings.model,
        context_length=status.context_length,
        num_slots=status.num_slots,
        num_threads=1,
        type_k=settings.cache_type_k or "f16",
        type_v=settings.cache_type_v or "f16",
        flash_attn=settings.flash_attn or "auto",
        uses_gpu=any(stage.device != "CPU" for stage in status.stages),
    )
