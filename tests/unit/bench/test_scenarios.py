"""Gaps, prefixes, chunks and memory of known numbers; and what happens when a part of a bench fails."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.api.errors import ClusterError, UsageError
from cluster.api.status import ClusterStatus, Condition, Health, StageActivity, StageFacts, StageStatus
from cluster.bench import suite
from cluster.bench.client_pool import client_pool
from cluster.bench.options import ChunkingSettings, GapsSettings, PrefixSettings, SoakSettings
from cluster.bench.peers.baselines import check_room
from cluster.bench.request import RequestTimes
from cluster.bench.scenarios.chunking import chunking_lengths, fits_twice, order_of
from cluster.bench.scenarios.gaps import GapsRun, gaps_figures
from cluster.bench.scenarios.prefix import PrefixRun, prefix_figures
from cluster.bench.scenarios.soak import MemorySample, memory_sample, soak_figures
from cluster.bench.settings import BenchSettings
from cluster.bench.summary import BenchReport
from cluster.messages.step import StepId, StepTiming
from cluster.node.machine import Machine, available_bytes
from cluster.node.ports import listening_pid
from cluster.node.processes import MARK

FACTS = StageFacts(0, "node", "CPU", 0, 4, Health(), 1, 700, 200, 100, 1)
STAGE = StageStatus(FACTS, StageActivity(), "127.0.0.1:1")
STATUS = ClusterStatus("m.gguf", "ab", "llama", Health(), "127.0.0.1:1", 1, 256, 8, 0, 0, 0, 0, 1.0, 100, (STAGE,))
MACHINE = Machine("Some CPU", 2, 2**34, (), "Linux 6.1", 0.0, ())


def test_gaps_before_lie_between_and_gaps_during_overlap() -> None:
    """The prompt is sent at 3.5 and answered at 6.5; the stream was warm at 0.5."""
    run = GapsRun(((0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0), (0.6, 0.9)), 0.5, 3.5, 6.5, 100.0)
    assert run.before_ms == pytest.approx([1000, 1000, 300])  # not that from 0 to 1, nor that in which it was sent
    assert run.during_ms == pytest.approx([2000, 1000, 1000])
    figures = gaps_figures(GapsSettings(2, 64), [run, run])
    assert figures.ratio is not None
    assert figures.ratio.median == pytest.approx(1.98)
    assert figures.first_token_ms is not None
    assert figures.first_token_ms.median == pytest.approx(3000)
    assert (figures.before_ms and figures.before_ms.median) == pytest.approx(1000)


def test_gaps_of_nothing() -> None:
    figures = gaps_figures(GapsSettings(1, 64), [GapsRun(((1.0,),), 0.0, 2.0, 3.0, 1.0)])
    assert (figures.before_ms, figures.during_ms, figures.ratio) == (None, None, None)


def test_prefix_figures_show_the_worst_cached_counts_and_unequal_texts() -> None:
    def run(cached: tuple[int, int], texts: tuple[int, int]) -> PrefixRun:
        warm, cold = (
            RequestTimes(8, 0.0, (time_s,), (text,), count)
            for time_s, text, count in zip((0.1, 0.8), texts, cached, strict=True)
        )
        return PrefixRun(warm, cold)

    figures = prefix_figures(PrefixSettings(4), [run((4, 0), (1, 1)), run((3, 2), (1, 2))])
    assert (figures.warm_cached_tokens, figures.cold_cached_tokens) == (3, 2)
    assert (figures.num_equal_texts, figures.num_runs) == (1, 2)
    assert figures.ratio is not None
    assert figures.ratio.median == pytest.approx(8)


@pytest.mark.parametrize(
    ("asked", "trained", "context", "length"),
    [(8192, 16384, 8448, 8192), (8192, 1024, 1024, 1023), (8192, 8192, 8192, 8191), (600, 1000, 768, 600)],
)
def test_chunking_takes_what_the_context_holds(asked: int, trained: int, context: int, length: int) -> None:
    assert chunking_lengths(asked, trained) == (context, length)


def test_chunking_swaps_the_order_so_that_one_cluster_is_kept_each_time() -> None:
    flat = [arm for repetition in range(4) for arm in order_of(repetition)]
    assert flat == [True, False, False, True, True, False, False, True]


def test_two_clusters_only_where_memory_is_known_to_hold_both() -> None:
    assert fits_twice(STATUS, 1251)
    assert not fits_twice(STATUS, 1250)
    assert not fits_twice(replace(STATUS, stages=(replace(STAGE, facts=replace(FACTS, device="CUDA0")),)), 10**12)
    assert available_bytes() > 2**20


def test_a_peer_without_room_is_named() -> None:
    check_room([STAGE, STAGE], 1800)
    check_room([STAGE], 0)  # nobody said how much is free
    with pytest.raises(ClusterError, match="of memory are needed"):
        check_room([STAGE, STAGE], 1799)


def test_growth_leaves_the_first_tenth_out() -> None:
    samples = [MemorySample(10, (0, 0), 0)]  # before all was read
    samples += [MemorySample(count, (10**8, 10**8 + 4000 * count), 10**6) for count in range(100, 1001, 100)]
    steps = [StepTiming(StepId(1, 0, 0), stage, 4, 0, 10**6 * (stage + 1), 0) for stage in (0, 1)]
    figures = soak_figures(SoakSettings(1000), 1.0, samples, steps, [], 2)
    assert figures.stage_mb_per_500 == pytest.approx((0.0, 2.0))
    assert figures.coordinator_mb_per_500 == 0
    assert [found.median for found in figures.first_step_ms if found] == [1.0, 2.0]
    assert figures.last_step_ms == (None, None)


def test_a_stage_that_does_not_answer_is_asked_again() -> None:
    """A status in which a stage says nothing of its memory is no sample of 0 bytes."""
    lost = replace(FACTS, rss_bytes=0, health=Health(Condition.LOST, "slow"))
    silent = replace(STATUS, stages=(replace(STAGE, facts=lost),))
    answers = [silent, silent, replace(STATUS, num_requests=30)]
    subject: Any = SimpleNamespace(client=SimpleNamespace(status=lambda: answers.pop(0) if answers else silent))
    found = memory_sample(subject, 10, os.getpid())
    assert (found.num_requests, found.stage_bytes) == (20, (1,))
    assert found.coordinator_bytes > 2**20
    with pytest.raises(ClusterError, match=r"stage 0 does not tell its memory \(lost: slow\)"):
        memory_sample(subject, 10, os.getpid())


def test_who_listens() -> None:
    script = (
        "import socket, sys; server = socket.create_server(('127.0.0.1', 0)); "
        "print(server.getsockname()[1], flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, MARK: "bench-test"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child, socket.create_server(("127.0.0.1", 0)) as ours:
        assert child.stdin is not None
        assert child.stdout is not None
        port = int(child.stdout.readline())
        assert listening_pid("bench-test", f"127.0.0.1:{port}") == child.pid
        with pytest.raises(ClusterError, match="no process of the cluster"):
            listening_pid("bench-test", f"127.0.0.1:{ours.getsockname()[1]}")
        child.stdin.close()


def test_a_crowd_that_fails_drops_what_waits() -> None:
    ran: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    def work(number: int) -> None:
        started.set()
        go_on.wait(10)
        ran.append(number)

    with pytest.raises(UsageError), client_pool(1) as threads:
        for number in range(5):
            threads.submit(work, number)
        started.wait(10)
        threading.Timer(0.05, go_on.set).start()
        raise UsageError("x")
    assert ran == [0]


def run_suite_with(monkeypatch: pytest.MonkeyPatch, measure: Any, chunk: Any) -> tuple[BenchReport, list[str]]:
    """The suite with its two halves replaced: what they find and how they end is what is tested."""
    notes: list[str] = []
    monkeypatch.setattr(suite, "this_machine", lambda: MACHINE)
    monkeypatch.setattr(suite, "_measure", measure)
    monkeypatch.setattr(suite, "run_chunking", chunk)
    settings = BenchSettings(__file__, chunking=ChunkingSettings())
    return suite.run_suite(settings, "cluster bench", "2020-01-01", notes.append), notes


def found_serving(report: BenchReport, note: Any) -> None:
    from cluster.bench.scenarios.serve import serve_figures

    report.serve = serve_figures([RequestTimes(3, 0.0, (0.5, 0.75))])


def test_a_scenario_that_fails_is_named_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def chunk(settings: Any, note: Any) -> Any:
        raise ClusterError("stage 0: gone; look")

    report, notes = run_suite_with(monkeypatch, found_serving, chunk)
    assert report.serve is not None
    assert report.failed == ["chunking: stage 0: gone; look"]
    assert "  failed: stage 0: gone; look" in notes


def test_an_interrupt_keeps_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def chunk(settings: Any, note: Any) -> Any:
        signal.raise_signal(signal.SIGINT)

    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        report, _ = run_suite_with(monkeypatch, found_serving, chunk)
        assert report.interrupted
        assert report.serve is not None
        assert "interrupted" in report.failed[0]
        with pytest.raises(KeyboardInterrupt):
            run_suite_with(monkeypatch, lambda report, note: None, chunk)
    finally:
        signal.signal(signal.SIGINT, old)
