"""Streams that run while something dies, and what has to be true of them afterwards.

Letters and numbers in names are those of docs/reliability.md.
"""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import cluster
from cluster.actors.supervising.pace import STEADY_S
from cluster.api.results import TokenEvent
from tests.conftest import CliHome
from tests.fakes.wire_backends import wait_until
from tests.fault.table import NUM_RUNS, Incident, Table
from tests.proc import marked

NUM_STREAMS = 8
NUM_TOKENS = 160
NUM_BEFORE = 20  # tokens that each stream has when it happens
LOOK_S = 0.005  # between two looks at whether it was noticed
SOON_S = 1.0  # what a signal takes, and a command does not


@dataclass
class Stream:
    """What one client was told, and when. It is read in a thread of its own."""

    events: list[TokenEvent] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    error: Exception | None = None

    def read(self, client: cluster.Client, prompt: str | list[int], seed: int, num_tokens: int = NUM_TOKENS) -> None:
        params = {"max_tokens": num_tokens, "temperature": 0.8, "seed": seed, "ignore_eos": True}
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


def streams_of(
    home: CliHome, during: Callable[[], object] | None = None, num_tokens: int = NUM_TOKENS, address: str = ""
) -> list[Stream]:
    """Eight streams, read to their ends; `during` is called while they run. `address`: of a way to the cluster."""
    streams = [Stream() for _ in range(NUM_STREAMS)]
    with cluster.connect(address or home.address, home.client_secret) as client:
        threads = [
            threading.Thread(target=stream.read, args=(client, f"Once upon a time number {place}", place, num_tokens))
            for place, stream in enumerate(streams)
        ]
        for thread in threads:
            thread.start()
        if during is not None:
            wait_until(lambda: all(len(stream.tokens) > NUM_BEFORE for stream in streams), 60)
            during()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
    return streams


def check(home: CliHome, streams: Sequence[Stream], num_tokens: int = NUM_TOKENS) -> None:
    """I1 to I4, I7: no gap, one end and nothing behind it, text that is that of the tokens, slots that are free."""
    with cluster.connect(home.address, home.client_secret) as client:
        for stream in streams:
            check_one(client, stream, num_tokens)
        wait_until(lambda: client.status().num_slots_used == 0, 10)


def check_one(client: cluster.Client, stream: Stream, num_tokens: int) -> None:
    """I1 to I4 of one that has ended."""
    if stream.error is not None:
        raise stream.error
    last = stream.events[-1]
    assert last.finish_reason == "length"
    assert last.timings is not None
    assert last.timings.num_tokens == len(stream.tokens) == num_tokens
    assert sum(event.finish_reason is not None for event in stream.events) == 1
    assert client.detokenize(stream.tokens) == stream.text


def check_alike(undisturbed: Sequence[Stream], disturbed: Sequence[Stream]) -> None:
    """What was told before is what would have been told anyway.

    Steps of other numbers of rows are rounded otherwise, so that a draw near a border may be another one.
    """
    pairs = zip(undisturbed, disturbed, strict=True)
    alike = [before.tokens[:NUM_BEFORE] == after.tokens[:NUM_BEFORE] for before, after in pairs]
    assert sum(alike) > len(alike) // 2


def happen(
    home: CliHome, table: Table, what: str, cause: Callable[[], object], num_tokens: int = NUM_TOKENS
) -> list[Stream]:
    """Eight streams under which `cause` is called; they are checked, and what it cost is in the table."""
    if NUM_RUNS > 1:
        time.sleep(STEADY_S + 1)  # so many repairs in a row would be given up
    with cluster.connect(home.address, home.client_secret) as client:
        num_before = client.status().num_replayed
    times_s, away_s = list[float](), list[float]()

    def during() -> None:
        with _looking(home, away_s):
            times_s.append(time.time())
            cause()
            times_s.append(time.time())

    streams = streams_of(home, during, num_tokens)
    num_broken = sum(stream.error is not None or len(stream.tokens) != num_tokens for stream in streams)
    with cluster.connect(home.address, home.client_secret) as client:
        num_replayed = max(0, client.status().num_replayed - num_before)  # a new coordinator counts anew
    pause_s = max((stream.gap_s for stream in streams if len(stream.times_s) > 1), default=0.0)
    # A command that takes its time is noticed before it has ended: that says nothing.
    begun_s, happened_s = times_s
    seen_s = _told_lost_s(home, happened_s) if happened_s < begun_s + SOON_S else []
    late_s = [later - happened_s for later in seen_s + away_s if later >= happened_s]
    noticed_ms = 1e3 * min(late_s) if late_s else None
    table.add(what, Incident(pause_s, noticed_ms, num_replayed, num_broken))
    noticed = "" if noticed_ms is None else f", noticed after {noticed_ms:.0f} ms"
    print(f"{what}: the longest pause {pause_s:.2f} s{noticed}, {num_replayed} tokens again")
    check(home, streams, num_tokens)
    return streams


@contextmanager
def _looking(home: CliHome, away_s: list[float]) -> Iterator[None]:
    """Beside the block and after it: when the coordinator first does not answer, by the system's clock."""
    client = cluster.connect(home.address, home.client_secret)

    def look() -> None:
        deadline_s = time.monotonic() + 20
        while time.monotonic() < deadline_s:
            try:
                client.status(timeout_s=5)
            except cluster.ClusterError:
                away_s.append(time.time())
                break
            time.sleep(LOOK_S)
        client.close()

    threading.Thread(target=look, daemon=True).start()
    yield


def _told_lost_s(home: CliHome, happened_s: float) -> list[float]:
    """When, by its log, the coordinator knew that something was lost after `happened_s`.

    To ask it would tell later: it answers once all stages have answered.
    """
    said = home.run("logs", "coordinator", "-n", "1000").stdout
    times = re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) WARNING stage \d+ is lost", said)
    found_s = (datetime.fromisoformat(time).timestamp() + 1e-3 for time in times)  # it leaves out what is below 1 ms
    return [at_s for at_s in found_s if at_s >= happened_s]


def processes(home: CliHome, *names: bytes) -> set[int]:
    """Those of the cluster that Ray shows by one of these names."""
    return set(marked(str(home.state()["instance"]), *names))


def stage_pids(home: CliHome) -> list[int]:
    with cluster.connect(home.address, home.client_secret) as client:
        return [stage.pid for stage in client.status().stages]


def wait_ready(home: CliHome) -> None:
    """Until all is as it was, a process that is started ahead included."""

    def is_ready() -> bool:
        try:
            with cluster.connect(home.address, home.client_secret) as client:
                return client.status().state == "ready"
        except cluster.ClusterError:
            return False

    wait_until(is_ready, 60)
    wait_until(lambda: bool(processes(home, b"ray::IDLE")), 60)


def health(base: str) -> int:
    """The status that the HTTP server at `base` gives of itself; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"{base}/health", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
