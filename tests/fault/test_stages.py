"""Stages that are killed under eight streams, where `up` stays and repairs: the streams only pause.

Numbers in names are those of the list of fault tests in docs/reliability.md.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

import cluster
from cluster.api.results import TokenEvent
from tests.conftest import CliHome
from tests.fakes.wire_backends import wait_until

NUM_STREAMS = 8
NUM_TOKENS = 160


@dataclass
class Stream:
    """What one client was told, and when. It is read in a thread of its own."""

    events: list[TokenEvent] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    error: Exception | None = None

    def read(self, client: cluster.Client, prompt: str, seed: int) -> None:
        params = {"max_tokens": NUM_TOKENS, "temperature": 0.8, "seed": seed, "ignore_eos": True}
        try:
            for event in client.stream(prompt, **params):
                self.events.append(event)
                self.times_s.append(time.monotonic())
        except Exception as error:
            self.error = error

    @property
    def tokens(self) -> list[int]:
        return [event.token for event in self.events if event.token is not None]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events)

    @property
    def gap_s(self) -> float:
        return max(later - earlier for earlier, later in zip(self.times_s, self.times_s[1:], strict=False))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliHome]:
    home = CliHome(tmp_path_factory.mktemp("fault"))
    with home.start("up", "--demo", "--stages", "3", "--foreground", "--no-http") as process:
        try:
            wait_until(lambda: home.state_file.exists() and bool(home.state()["ready"]), 90)
            yield home
        finally:
            process.send_signal(signal.SIGTERM)
            print(process.communicate(timeout=60)[1])
            home.run("down")


def streams_of(home: CliHome, during: object = None) -> list[Stream]:
    """Eight streams, read to their ends; `during` is called while they run."""
    streams = [Stream() for _ in range(NUM_STREAMS)]
    with cluster.connect(home.address, home.client_secret) as client:
        threads = [
            threading.Thread(target=stream.read, args=(client, f"Once upon a time number {place}", place))
            for place, stream in enumerate(streams)
        ]
        for thread in threads:
            thread.start()
        if callable(during):
            wait_until(lambda: all(len(stream.tokens) > 20 for stream in streams), 60)
            during()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
    return streams


def check(streams: list[Stream]) -> None:
    """Indices without a gap, one end, and text that is that of the tokens."""
    for stream in streams:
        assert stream.error is None
        last = stream.events[-1]
        assert last.finish_reason == "length"
        assert last.timings is not None
        assert last.timings.num_tokens == len(stream.tokens) == NUM_TOKENS
        assert sum(event.finish_reason is not None for event in stream.events) == 1


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_fault_01_kill_9_under_eight_streams(stage: int, home: CliHome) -> None:
    def kill() -> None:
        with cluster.connect(home.address, home.client_secret) as client:
            os.kill(client.status().stages[stage].pid, signal.SIGKILL)

    undisturbed = streams_of(home)
    check(undisturbed)
    disturbed = streams_of(home, kill)
    check(disturbed)
    print(f"stage {stage}: the longest pause {max(stream.gap_s for stream in disturbed):.2f} s")
    with cluster.connect(home.address, home.client_secret) as client:
        for stream in disturbed:
            assert client.detokenize(stream.tokens) == stream.text
        # Steps of other numbers of rows are rounded otherwise, so that a draw near a border may be another one.
        alike = [before.tokens[:20] == after.tokens[:20] for before, after in zip(undisturbed, disturbed, strict=True)]
        assert sum(alike) > NUM_STREAMS // 2
        assert client.status().num_slots_used == 0
