"""A stage in another process that is killed, or stopped, is noticed by its streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import UnreachableError
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.link import StageLink
from cluster.wire.transport import channel
from cluster.wire.transport.channel import KEEPALIVE_TIME_MS, PING_TIMEOUT_MS
from tests.fakes.wire_backends import endpoint, make_batch, make_hello, make_hidden, no_thread_left, wait_until

CHILD = """
import sys
from tests.fakes.wire_backends import SECRET, RecordingStage, make_hello
from cluster.wire.access.endpoint import Listener
from cluster.wire.stage.server import StageServer
server = StageServer(make_hello(), RecordingStage(), Listener(SECRET))
print(server.start(), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def peer() -> Iterator[tuple[subprocess.Popen[str], str]]:
    folder = str(Path(__file__).parents[3])
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": folder},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture(params=[True, False], ids=["unix", "grpc"])
def may_meet(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def open_streams(address: str, lost: list[tuple[str, float]], may_meet: bool) -> tuple[StageLink, EventWatch]:
    def on_lost(reason: str) -> None:
        lost.append((reason, time.monotonic()))

    there = replace(endpoint(address), may_meet=may_meet)
    link = StageLink(there, make_hello(), on_lost)
    watch = EventWatch(there, make_hello(), lambda event: None, on_lost)
    link.open()
    watch.open()
    link.send(make_batch(1), make_hidden())
    return link, watch


def test_a_killed_stage_is_noticed_at_once(peer: tuple[subprocess.Popen[str], str], may_meet: bool) -> None:
    process, address = peer
    lost: list[tuple[str, float]] = []
    with no_thread_left():
        link, watch = open_streams(address, lost, may_meet)
        killed_s = time.monotonic()
        process.kill()
        wait_until(lambda: len(lost) == 2)
        noticed_ms = [(when_s - killed_s) * 1000 for _, when_s in lost]
        assert max(noticed_ms) < 1000, noticed_ms  # milliseconds on an idle machine
        assert all(f"stage 1 at {address}" in reason for reason, _ in lost)
        with pytest.raises(UnreachableError, match="stage 1"):
            link.send(make_batch(2), make_hidden())
        link.close()
        watch.close()
    assert len(lost) == 2


def test_a_stopped_stage_is_noticed_by_keepalive(peer: tuple[subprocess.Popen[str], str], may_meet: bool) -> None:
    process, address = peer
    lost: list[tuple[str, float]] = []
    with no_thread_left():
        link, watch = open_streams(address, lost, may_meet)
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: len(lost) == 2, timeout_s=(KEEPALIVE_TIME_MS + PING_TIMEOUT_MS) / 1000 + 4)
        assert all(f"stage 1 at {address}" in reason for reason, _ in lost)
        link.close()
        watch.close()
    assert len(lost) == 2


def test_an_idle_stage_is_not_taken_for_lost(
    peer: tuple[subprocess.Popen[str], str], may_meet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pings go on without data, and the stage does not mind how many there are."""
    often = [(name, 100 if "keepalive_time" in name else value) for name, value in channel.CHANNEL_OPTIONS]
    monkeypatch.setattr(channel, "CHANNEL_OPTIONS", often)
    _, address = peer
    lost: list[tuple[str, float]] = []
    link, watch = open_streams(address, lost, may_meet)
    time.sleep(1.5)
    assert not lost
    link.send(make_batch(2), make_hidden())
    assert watch.describe().pid == 42
    link.close()
    watch.close()
