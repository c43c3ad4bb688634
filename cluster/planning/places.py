"""Where stages may run: a device of a node for each of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.planning.links import Links, find_links, route_pairs
from cluster.planning.nodes import NodeFacts, Nodes
from cluster.planning.search.order import best_order
from worker_native.probe import DeviceFacts

DEFAULT_CPU_STAGES = 2
# Of a round, on another order of the nodes than the one they came in: less than that is what measurements vary by.
LEAST_GAIN_MS = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """A device of a node, for one stage; the same one again where stages share it."""

    node: NodeFacts
    device: DeviceFacts

    @property
    def name(self) -> str:
        """As ``--devices`` takes it."""
        return f"{self.node.name}:{self.device.name}"


def choose_places(
    config: ClusterConfig, nodes: Nodes, most_stages: int, row_bytes: int = 0
) -> tuple[tuple[Place, ...], Links | None]:
    """A place for each stage: those named, else the GPUs of all nodes, else their CPUs; the largest, if those are more.

    They are in the order in which messages take the least, for which links are measured where there is a choice.

    Args:
        most_stages: no more are made where none are asked for.
        row_bytes: what a microbatch carries from stage to stage.

    Returns:
        The places, and the links that were measured; None where nobody needed to know.

    Raises:
        UsageError: a device or a node that is not there.
        UnreachableError: nodes that do not reach each other, and no way around them.
    """
    if config.devices:
        return _named(config.devices, nodes.facts), None
    everything = all_places(nodes.facts)
    gpus = [place for place in everything if place.device.kind == "gpu"]
    pool = gpus or [place for place in everything if place.device.kind == "cpu"]
    by_default = len(pool) if gpus or len(pool) > 1 else DEFAULT_CPU_STAGES
    if len(nodes.facts) == 1:
        return _on_one_node(pool, config.num_stages or min(by_default, most_stages)), None
    num_stages = config.num_stages or min(by_default, most_stages)
    pool, links = _in_order(_largest(pool, num_stages), nodes, row_bytes)
    # Stages of one node follow one another: a hop between them costs least.
    return tuple(pool[stage * len(pool) // num_stages] for stage in range(num_stages)), links


def all_places(nodes: Sequence[NodeFacts]) -> list[Place]:
    """Every device of every node."""
    return [Place(node, device) for node in nodes for device in node.probe.devices]


def _on_one_node(pool: Sequence[Place], num_stages: int) -> tuple[Place, ...]:
    return tuple(pool[stage % len(pool)] for stage in range(num_stages))


def _largest(pool: Sequence[Place], count: int) -> list[Place]:
    """The devices with most memory free, in the order in which they came."""
    by_size = sorted(range(len(pool)), key=lambda at: -pool[at].device.memory_free_bytes)[:count]
    return [pool[at] for at in sorted(by_size)]


def _in_order(pool: Sequence[Place], nodes: Nodes, row_bytes: int) -> tuple[list[Place], Links | None]:
    """By node, in the order in which messages take the least."""
    head, names = nodes.facts[0].name, list(dict.fromkeys(place.node.name for place in pool))
    if len(set(names) - {head}) < 2:
        ordered, links = best_order(names, head, _equal, _equal), None
    else:
        links = find_links(nodes, combinations(dict.fromkeys((head, *names)), 2))
        ordered = best_order(names, head, _Cost(links, row_bytes), _Cost(links, 0), LEAST_GAIN_MS)
        # The coordinator hears every stage. What is not reached says why.
        for pair in (*route_pairs(ordered, head), *((head, name) for name in ordered)):
            links.between(*pair)
    return [place for name in ordered for place in pool if place.node.name == name], links


def _equal(node: str, other: str) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a message takes, in milliseconds."""

    links: Links
    num_bytes: int

    def __call__(self, node: str, other: str) -> float:
        if not self.links.reaches(node, other):
            return math.inf
        return self.links.message_ms(node, other, self.num_bytes)


def _named(names: Sequence[str], nodes: Sequence[NodeFacts]) -> tuple[Place, ...]:
    """``two:CUDA0`` is that device; ``CUDA0`` the first of that name, and where it comes again the next one, if any."""
    seen: Counter[str] = Counter()
    places = []
    for name in names:
        matching = [
            place
            for node in nodes
            for device in node.probe.devices
            for place in (Place(node, device),)
            if name in (device.name, place.name)
        ]
        if not matching:
            raise UsageError(_nowhere(name, nodes))
        places.append(matching[seen[name] % len(matching)])
        seen[name] += 1
    return tuple(places)


def _nowhere(name: str, nodes: Sequence[NodeFacts]) -> str:
    if len(nodes) == 1:
        return f"devices: no {name!r} on this machine; there are {', '.join(_devices(nodes[0]))}"
    there = (f"{node.name}:{device}" for node in nodes for device in _devices(node))
    return f"devices: no {name!r} on any node; there are {', '.join(there)}"


def _devices(node: NodeFacts) -> list[str]:
    return [device.name for device in node.probe.devices]
