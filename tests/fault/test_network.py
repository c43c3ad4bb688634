"""Links between the coordinator and its stages that are slow, crumble, break or say nothing: streams only pause.

Real stages and a real coordinator in this process; all that they say to each other passes a road that can be bad.
"""

from __future__ import annotations

import dataclasses
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import cluster
from cluster.coordinator.service import CoordinatorService
from cluster.coordinator.spec import CoordinatorSpec, StageEndpoint
from cluster.messages.stage import StageAddress, Wiring
from cluster.node.processes import rss_bytes
from cluster.sources.opening import open_model
from cluster.stage.loading import load_stage
from cluster.stage.service import StageService
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.keys import Keys
from tests.fakes.bad_road import BadRoad, Trouble
from tests.fakes.wire_backends import SECRET, wait_until
from tests.fault.streams import Stream
from tests.fault.table import NUM_RUNS
from tests.unit.coordinator.test_recovery import CONTEXT, NUM_LAYERS, NUM_SLOTS, Cluster
from tests.unit.stage.test_service import SOURCE, SPEC

NUM_TOKENS = 40
PATIENCE_S = 60.0
NUM_RESETS = 12 * NUM_RUNS
LOSSY_S = 60.0 * NUM_RUNS
NUM_LOSSY = 16  # streams at a time
MIB = 2**20
KEYS = Keys(SECRET).meeting(False)  # Unix sockets would pass the roads by


@dataclass
class Roads:
    """Two stages and their coordinator, all links of which pass roads."""

    cluster: Cluster
    trouble: Trouble
    roads: list[BadRoad] = field(default_factory=list)

    def reset(self) -> int:
        return sum(road.reset() for road in self.roads)

    @property
    def num_passed(self) -> int:
        return sum(road.num_passed for road in self.roads)

    @property
    def address(self) -> str:
        return self.cluster.address

    @property
    def num_epochs(self) -> int:
        return self.cluster.coordinator.epoch - self.cluster.epoch


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[StageService]]:
    with pytest.MonkeyPatch.context() as monkeypatch, ExitStack() as stack:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        spec = dataclasses.replace(
            SPEC, num_stages=2, end=4, context_length=CONTEXT, num_slots=NUM_SLOTS, num_threads_exclusive=1
        )
        loading = [
            StageService(dataclasses.replace(spec, stage=stage, first=first, end=end), load_stage, KEYS.for_stages)
            for stage, first, end in ((0, 0, 4), (1, 4, NUM_LAYERS))
        ]
        for stage in loading:
            stack.callback(stage.stop)
            stage.start_loading()
        wait_until(lambda: all(stage.progress().phase in ("ready", "failed") for stage in loading), 60)
        yield loading


@pytest.fixture
def roads(stages: list[StageService]) -> Iterator[Roads]:
    spec = CoordinatorSpec(
        "demo", SOURCE, open_model(SOURCE).hash, "llama", CONTEXT, NUM_SLOTS, 2, 16, 16, True, "127.0.0.1", 0
    )
    coordinator = CoordinatorService(
        dataclasses.replace(spec, patience_s=PATIENCE_S),
        KEYS,
        Listener(SECRET.for_clients),
    )
    found = Cluster(coordinator, stages, coordinator.start(), 1 + max(stage.wired_epoch for stage in stages))
    trouble = Trouble()
    opened = Roads(found, trouble)
    try:
        hellos = [found.hello(stage, found.epoch) for stage in range(2)]
        last = StageAddress(stages[1].wire(Wiring(hellos[1])), hellos[1])
        opened.roads.append(BadRoad(last.address, trouble))
        last = dataclasses.replace(last, address=opened.roads[-1].address)
        first = stages[0].wire(Wiring(hellos[0], last, last))
        opened.roads.append(BadRoad(first, trouble))
        ends = []
        for stage, hello, address in zip(stages, hellos, (opened.roads[-1].address, last.address), strict=True):
            ready = stage.progress().loaded
            assert ready is not None
            ends.append(StageEndpoint(address, hello, ready.facts, ready.costs))
        coordinator.wire(found.epoch, tuple(ends))
        yield opened
    finally:
        coordinator.stop()
        for road in opened.roads:
            road.close()


def read_all(roads: Roads, streams: list[Stream]) -> list[threading.Thread]:
    """Each in a thread, with a client of its own."""

    def read(stream: Stream, place: int) -> None:
        with cluster.connect(roads.address, SECRET.for_clients.text) as client:
            stream.read(client, "Once upon a time", place, NUM_TOKENS)

    threads = [threading.Thread(target=read, args=(stream, place)) for place, stream in enumerate(streams)]
    for thread in threads:
        thread.start()
    return threads


def check(roads: Roads, streams: list[Stream]) -> None:
    with cluster.connect(roads.address, SECRET.for_clients.text) as client:
        for stream in streams:
            if stream.error is not None:
                raise stream.error
            assert len(stream.tokens) == NUM_TOKENS
            assert [event.finish_reason is not None for event in stream.events[-2:]] == [False, True]
            assert client.detokenize(stream.tokens) == stream.text
        wait_until(lambda: client.status().num_slots_used == 0, 20)


def undisturbed(roads: Roads) -> list[Stream]:
    streams = [Stream() for _ in range(NUM_SLOTS)]
    for thread in read_all(roads, streams):
        thread.join(60)
    check(roads, streams)
    return streams


def test_fault_13_crumbs_change_nothing(roads: Roads) -> None:
    """Hidden rows in pieces of 1 to 64 bytes."""
    with cluster.connect(roads.address, SECRET.for_clients.text) as client:
        before = client.logits([1, 2, 3, 4])
        roads.trouble.most_bytes = 64
        after = client.logits([1, 2, 3, 4])
    assert before.tobytes() == after.tobytes()
    assert roads.num_epochs == 0


def test_fault_14_resets_at_any_byte(roads: Roads) -> None:
    alone = undisturbed(roads)
    chance = random.Random(14)
    num_resets = 0
    streams: list[Stream] = []
    while num_resets < NUM_RESETS:
        now = [Stream() for _ in range(NUM_SLOTS)]
        threads = read_all(roads, now)
        while any(thread.is_alive() for thread in threads) and num_resets < NUM_RESETS:
            at = roads.num_passed + chance.randint(1, 60_000)
            while roads.num_passed < at and any(thread.is_alive() for thread in threads):
                time.sleep(0.001)
            num_resets += roads.reset() > 0
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        streams += now
    check(roads, streams)
    print(f"{num_resets} resets, {roads.num_epochs} epochs, {len(streams)} streams")
    for place, stream in enumerate(streams):
        assert stream.tokens[:1] == alone[place % NUM_SLOTS].tokens[:1]


@pytest.mark.parametrize("is_one_way", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_fault_15_and_16_a_black_hole_is_noticed_and_healed(is_one_way: bool, roads: Roads) -> None:
    streams = [Stream() for _ in range(NUM_SLOTS)]
    threads = read_all(roads, streams)
    wait_until(lambda: all(stream.tokens for stream in streams), 30)
    roads.trouble.is_one_way = is_one_way
    roads.trouble.is_black_hole = True
    begin_s = time.monotonic()
    wait_until(lambda: bool(roads.cluster.coordinator.trouble), 15)
    noticed_s = time.monotonic() - begin_s
    time.sleep(max(0.0, 6.0 - noticed_s))
    roads.trouble.is_black_hole = False
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    check(roads, streams)
    assert roads.num_epochs > 0
    assert roads.cluster.coordinator.status().num_replayed == 0, "all stages hold what they held"
    print(f"noticed after {noticed_s:.1f} s; the longest pause {max(stream.gap_s for stream in streams):.1f} s")


@pytest.mark.slow
def test_fault_11_a_long_way(roads: Roads) -> None:
    """No deadline of ours is passed, and nobody takes a long way for a dead peer."""
    roads.trouble.delay_s, roads.trouble.jitter_s = 0.05, 0.02
    streams = [Stream() for _ in range(NUM_SLOTS)]
    for thread in read_all(roads, streams):
        thread.join(120)
    check(roads, streams)
    assert roads.num_epochs == 0


def test_fault_12_a_narrow_road_is_waited_for(roads: Roads) -> None:
    """Megabytes of logits, and prompts whose rows wait for their turn: as many are under way as the pipeline holds."""
    prompts = [[1 + (place * 61 + number) % 200 for number in range(CONTEXT - 4)] for place in range(5)]

    def ask(prompt: list[int]) -> bytes:
        with cluster.connect(roads.address, SECRET.for_clients.text) as client:
            return client.logits(prompt).tobytes()

    wide = [ask(prompt) for prompt in prompts]
    before_bytes, most_bytes = rss_bytes(), 0
    roads.trouble.bytes_per_s, begin_s, num_before = 1e6, time.monotonic(), roads.num_passed
    streams = [Stream() for _ in range(NUM_SLOTS)]
    threads = read_all(roads, streams)
    with ThreadPoolExecutor(len(prompts)) as pool:
        asked = [pool.submit(ask, prompt) for prompt in prompts]
        while not all(one.done() for one in asked):
            most_bytes = max(most_bytes, rss_bytes())
            time.sleep(0.02)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    took_s, num_passed = time.monotonic() - begin_s, roads.num_passed - num_before
    print(f"{num_passed / 1e6:.1f} MB within {took_s:.1f} s; {(most_bytes - before_bytes) / MIB:+.1f} MiB at most")
    assert num_passed > sum(map(len, wide)) > 1e6
    assert took_s > sum(map(len, wide)) / 1e6, "the road was as wide as before"
    assert [one.result() for one in asked] == wide
    assert roads.num_epochs == 0, "nobody takes a narrow road for a dead peer"
    assert most_bytes - before_bytes < 32 * MIB
    check(roads, streams)


@pytest.mark.slow
def test_fault_18_packets_are_lost_and_overtake_each_other(roads: Roads) -> None:
    """What the kernel's TCP makes of that: all comes, and in order, but late. 16 streams, renewed for a minute a run.

    A kernel with netem would lose the packets themselves; TCP hides that from both ends, which see the delays.
    """
    undisturbed(roads)
    roads.trouble.lost, roads.trouble.swapped = 0.01, 0.05
    until_s = time.monotonic() + LOSSY_S
    streams: list[Stream] = []
    before: tuple[int, int, int] | None = None

    def read_on(place: int) -> list[Stream]:
        found = list[Stream]()
        with cluster.connect(roads.address, SECRET.for_clients.text) as client:
            while time.monotonic() < until_s:
                found.append(Stream())
                found[-1].read(client, "Once upon a time", 100 * place + len(found), NUM_TOKENS)
        return found

    with ThreadPoolExecutor(NUM_LOSSY) as pool:
        readers = [pool.submit(read_on, place) for place in range(NUM_LOSSY)]
        time.sleep(LOSSY_S / 4)  # until then all is there that is made once
        before = held()
        time.sleep(LOSSY_S / 2)
        after = held()
        for reader in readers:
            streams += reader.result(120)
    check(roads, streams)
    grown = [later - earlier for earlier, later in zip(before, after, strict=True)]
    print(f"{len(streams)} streams, {roads.num_epochs} epochs; grown by {grown[0] / MIB:.2f} MiB, {grown[1:]}")
    assert len(streams) > NUM_LOSSY
    assert roads.num_epochs == 0
    assert grown[0] < 8 * MIB
    assert max(grown[1:]) <= 4, "threads and files are not left behind"


def held() -> tuple[int, int, int]:
    """Bytes, threads and open files of this process."""
    return rss_bytes(), threading.active_count(), len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))
