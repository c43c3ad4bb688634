"""Weights travel once, each to the node that computes with them, and stages work at the same time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import pytest

from cluster.node.port_plan import PortPlan
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.net.conftest import NUM_NODES, made_hosts
from tests.net.hosts import Hosts
from tests.net.sniffer import HEADERS_BYTES, Sniffer
from tests.net.together import Together

MIB = 2**20
OWN = PortPlan().own
STEPS = """
from concurrent.futures import ThreadPoolExecutor
from cluster.bench.measure import recorded_steps
params = cluster.SamplingParams(temperature=0.0, max_tokens=32, ignore_eos=True)
with ThreadPoolExecutor(8) as threads:
    list(threads.map(lambda prompt: client.generate(prompt, params), ["abc"] * 8))
answer = [[step.stage, step.start_ns, step.end_ns] for step in recorded_steps(client)]
"""
WEIGHTS = "answer = {stage.node: stage.weight_bytes for stage in client.status().stages}"


@dataclass(frozen=True)
class Moved:
    """Bytes that came to each node, by its name, from the ports of the others that are ours, and so not Ray's."""

    by_node: dict[str, int]

    @classmethod
    def heard(cls, sniffer: Sniffer, hosts: Hosts) -> Moved:
        names = {host.address: host.name for host in hosts}
        by_node = dict.fromkeys(names.values(), 0)
        for (_, port, there, _), count in sniffer.volumes().items():
            if port in OWN:
                by_node[names[there]] += count
        return cls(by_node)


@dataclass(frozen=True)
class Twice:
    """The same cluster, started for the first time and again."""

    first: Moved
    again: Moved
    weight_bytes: dict[str, int]  # by node, as it was planned
    steps: list[tuple[int, int, int]]  # stage, [start, end)


@pytest.fixture(scope="module")
def twice(has_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twice]:
    root = tmp_path_factory.mktemp("slices")
    shape = TinyModel(num_layers=9, width=768, num_heads=12, feed_forward=2048, kind="Q8_0")
    model = write_tiny(root / "model.gguf", shape)
    arguments = ("/tmp/model.gguf", "--layers", "0-2,3-5,6-8", "-c", "128", "-np", "8", "-t", "1")
    with made_hosts(root, NUM_NODES) as hosts:
        shutil.copy(model, hosts[1].disk)
        with Sniffer(hosts, root / "first.pcap", HEADERS_BYTES) as first:
            together = Together.start(hosts, *arguments, "--no-lend-cores", num_nodes=NUM_NODES)
        weight_bytes = together.ask(WEIGHTS)
        steps = together.ask(STEPS)
        together.down()
        with Sniffer(hosts, root / "again.pcap", HEADERS_BYTES) as again:
            together = Together.start(hosts, *arguments, "--no-lend-cores", num_nodes=NUM_NODES, again=True)
        together.down()
        yield Twice(Moved.heard(first, hosts), Moved.heard(again, hosts), weight_bytes, steps)


def test_each_node_got_its_own_slice(twice: Twice) -> None:
    assert twice.first.by_node["one"] < MIB, "the model was there"
    for node in ("two", "three"):
        planned = twice.weight_bytes[node]
        assert planned > 10 * MIB
        assert planned <= twice.first.by_node[node] <= 1.01 * planned + MIB, (node, twice)


def test_what_is_there_does_not_travel_again(twice: Twice) -> None:
    assert max(twice.again.by_node.values()) < MIB


def overlap_ns(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> int:
    """Time that both lists of [start, end) intervals cover."""
    return sum(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in one for b in other)


def test_the_stages_work_at_once(twice: Twice) -> None:
    """Hosts of one machine have one clock."""
    by_stage = [[(start, end) for stage, start, end in twice.steps if stage == number] for number in range(NUM_NODES)]
    assert min(len(intervals) for intervals in by_stage) > 32
    busy_ns = [sum(end - start for start, end in intervals) for intervals in by_stage]
    for one, other in combinations(range(NUM_NODES), 2):
        # Taking turns would give none. There may be fewer cores here than stages.
        assert overlap_ns(by_stage[one], by_stage[other]) > 0.1 * min(busy_ns[one], busy_ns[other])
