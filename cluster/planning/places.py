"""Where stages may run: a device of a node for each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.planning.nodes import NodeFacts
from worker_native.probe import DeviceFacts

DEFAULT_CPU_STAGES = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A device of a node, for one stage; the same one again where stages share it."""

    node: NodeFacts
    device: DeviceFacts

    @property
    def name(self) -> str:
        """As ``--devices`` takes it."""
        return f"{self.node.name}:{self.device.name}"


def choose_places(config: ClusterConfig, nodes: Sequence[NodeFacts], num_layers: int) -> tuple[Place, ...]:
    """A place for each stage: those named, else the GPUs of all nodes, else their CPUs.

    `nodes`: in the order in which rows are to pass them. UsageError for a device or a node that is not there.
    """
    if config.devices:
        return _named(config.devices, nodes)
    everything = [Place(node, device) for node in nodes for device in node.probe.devices]
    gpus = [place for place in everything if place.device.kind == "gpu"]
    if gpus and config.num_stages in (None, len(gpus)):
        return tuple(gpus)
    pool = gpus or [place for place in everything if place.device.kind == "cpu"]
    by_default = len(pool) if len(pool) > 1 else DEFAULT_CPU_STAGES
    num_stages = config.num_stages or min(by_default, num_layers)
    if len(nodes) == 1:
        return tuple(pool[stage % len(pool)] for stage in range(num_stages))
    if num_stages < len(pool):
        return tuple(pool[:num_stages])
    # Stages of one node follow one another: a hop between them costs least.
    return tuple(pool[stage * len(pool) // num_stages] for stage in range(num_stages))


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
