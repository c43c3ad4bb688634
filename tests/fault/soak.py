"""Streams that are renewed for ever while one process after another is killed; all of them are checked. Run by hand.

python -m tests.fault.soak [--minutes 30] [--every 30] [--seed 1]

Which process is killed, and what is asked, follows from the seed; when exactly, from the machine.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cluster
from cluster.node.processes import rss_bytes
from tests.conftest import CliHome
from tests.fakes.wire_backends import wait_until
from tests.fault.memory_slopes import Sample, slopes
from tests.fault.streams import NUM_STREAMS, Stream, check_one, processes, wait_ready

NUM_STAGES = 3
LOOK_S = 2.0
TOLD_S = 10.0  # between two lines of how far it is
END_S = 180.0  # for streams that run when the time is over
LEAST_TOKENS, MOST_TOKENS = 50, 400
# By their titles; of those that are killed with how often, of ten times.
VICTIMS = {"a stage": 6, "the coordinator": 2, "the supervisor": 2}
TITLES = {"the coordinator": b"ray::Coordinator", "the supervisor": b"ray::Supervisor", "the raylet": b"/raylet"}
STAGE, CLIENTS = b"ray::StageWorker", "the clients"


@dataclass
class Found:
    """What a run has shown so far. Written to by the threads of the streams, and by the one that kills."""

    begun_s: float = field(default_factory=time.monotonic)
    kills: Counter[str] = field(default_factory=Counter)
    num_ended: int = 0  # streams
    broken: list[str] = field(default_factory=list)
    longest_pause_s: float = 0.0
    num_replayed: int = 0  # tokens, by all coordinators
    samples: list[Sample] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def passed_s(self) -> float:
        return time.monotonic() - self.begun_s

    def ended(self, stream: Stream, client: cluster.Client, num_tokens: int) -> None:
        try:
            check_one(client, stream, num_tokens)
            why = ""
        except (AssertionError, cluster.ClusterError, IndexError) as error:
            why = f"{type(error).__name__}: {str(error) or 'one of I1 to I4'}; {len(stream.tokens)} of {num_tokens}"
        with self.lock:
            self.num_ended += 1
            if len(stream.times_s) > 1:
                self.longest_pause_s = max(self.longest_pause_s, stream.gap_s)
            if why:
                self.broken.append(f"after {self.passed_s:.0f} s: {why}")

    def line(self) -> str:
        killed = ", ".join(f"{what} {number}" for what, number in sorted(self.kills.items())) or "none"
        return (
            f"{self.passed_s / 60:5.1f} min  kills: {killed}; {self.num_ended} streams ended, {len(self.broken)} "
            f"broken; longest pause {self.longest_pause_s:.1f} s; {self.num_replayed} tokens again"
        )

    def table(self, warm_s: float) -> str:
        rows = [
            ("minutes", f"{self.passed_s / 60:.1f}"),
            ("kills", str(self.kills.total())),
            *((f"of {what}", str(number)) for what, number in sorted(self.kills.items())),
            ("streams ended", str(self.num_ended)),
            ("broken invariants", str(len(self.broken))),
            ("longest pause, s", f"{self.longest_pause_s:.2f}"),
            ("tokens computed again", str(self.num_replayed)),
        ]
        for kind, slope in sorted(slopes(self.samples, warm_s).items()):
            rows.append((f"memory of {kind}, MB per minute", "" if slope is None else f"{slope:+.3f}"))
        return "\n".join(("| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)))


def soak(home: CliHome, minutes: float, every_s: float, seed: int, tell: Callable[[str], None]) -> Found:
    """On a cluster that is up. A line is told every ten seconds."""
    found, until_s = Found(), time.monotonic() + 60 * minutes
    threads = [
        threading.Thread(target=_read_on, args=(home, found, random.Random(100 * seed + place), until_s), daemon=True)
        for place in range(NUM_STREAMS)
    ]
    for thread in threads:
        thread.start()
    chance, again = random.Random(seed), _Again()
    next_kill_s, next_line_s = found.begun_s + every_s, found.begun_s + TOLD_S
    while (now_s := time.monotonic()) < until_s:
        found.samples += _looked(home, found.passed_s)
        found.num_replayed = again.counted(home)
        if now_s >= next_kill_s:
            next_kill_s += every_s
            found.kills[_kill(home, chance)] += 1
        if now_s >= next_line_s:
            next_line_s += TOLD_S
            tell(found.line())
        time.sleep(LOOK_S)
    last_s = time.monotonic() + END_S
    for thread in threads:
        while thread.is_alive() and time.monotonic() < last_s:
            thread.join(TOLD_S)
            tell(found.line())
    found.broken += ["a stream hangs" for thread in threads if thread.is_alive()]
    if not found.broken:
        _check_idle(home, found)
    return found


def _read_on(home: CliHome, found: Found, chance: random.Random, until_s: float) -> None:
    """One stream after the other, by one client, until the time is over."""
    with cluster.connect(home.address, home.client_secret) as client:
        while time.monotonic() < until_s:
            stream, num_tokens = Stream(), chance.randint(LEAST_TOKENS, MOST_TOKENS)
            prompt = f"Once upon a time {'very ' * chance.randint(0, 100)}long ago number {chance.randint(0, 999)}"
            stream.read(client, prompt, chance.randint(0, 2**30), num_tokens)
            found.ended(stream, client, num_tokens)


def _kill(home: CliHome, chance: random.Random) -> str:
    """Kill one of those that are there; what it was."""
    (what,) = chance.choices(list(VICTIMS), list(VICTIMS.values()))
    place = chance.random()
    pids = sorted(processes(home, STAGE if what == "a stage" else TITLES[what]))
    if not pids:
        return f"{what}, which was not there"
    with suppress(ProcessLookupError):
        os.kill(pids[int(place * len(pids))], signal.SIGKILL)
    return what


def _looked(home: CliHome, at_s: float) -> list[Sample]:
    titles = {**TITLES, "stages": STAGE}
    pids = [(kind, pid) for kind, title in titles.items() for pid in processes(home, title)]
    samples = [Sample(kind, pid, at_s, rss_bytes(pid)) for kind, pid in [*pids, (CLIENTS, os.getpid())]]
    return [sample for sample in samples if sample.rss_bytes]


@dataclass
class _Again:
    """Tokens that were computed again, by coordinators that each count anew."""

    before: int = 0  # by those that are gone
    now: int = 0

    def counted(self, home: CliHome) -> int:
        with suppress(cluster.ClusterError), cluster.connect(home.address, home.client_secret) as client:
            number = client.status(timeout_s=2).num_replayed
            if number < self.now:
                self.before += self.now
            self.now = number
        return self.before + self.now


def _check_idle(home: CliHome, found: Found) -> None:
    """I7, and that it serves."""
    try:
        wait_ready(home)
        with cluster.connect(home.address, home.client_secret) as client:
            wait_until(lambda: client.status().num_slots_used + client.status().num_waiting == 0, 20)
    except AssertionError as error:
        found.broken.append(f"at the end: it is not idle, or does not serve: {error}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=30, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = CliHome(Path(folder))
        try:
            done = home.run("up", "--demo", "--stages", str(NUM_STAGES), "--no-http")
            assert done.returncode == 0, done.stderr
            wait_ready(home)
            found = soak(home, options.minutes, options.every, options.seed, lambda line: print(line, flush=True))
        finally:
            home.close()
    print("\n".join(("", found.table(min(60.0, 6 * options.minutes)), *found.broken)))
    sys.exit(bool(found.broken))


if __name__ == "__main__":
    main()
