"""Nodes that are only told of: each as large and as fast as a test says, and links as slow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from cluster.api.errors import UnreachableError, UsageError
from cluster.planning.measure.link import LinkFigures
from cluster.planning.measure.profile import ROW_COUNTS, DeviceProfile
from cluster.planning.nodes import NodeFacts
from worker_native.probe import DeviceFacts, Probe

GIB = 2**30
GIGABIT = 117e6  # bytes per second
FAST_LINK = LinkFigures(round_trip_s=0.5e-3, bytes_per_s=GIGABIT)


def fake_node(
    name: str, *devices: str, num_cores: int = 4, free_bytes: int = 16 * GIB, build: str = "fake"
) -> NodeFacts:
    """A node with a CPU, or with the `devices` that are named."""
    found = tuple(
        DeviceFacts(device, "cpu" if device == "CPU" else "gpu", f"fake {device}", 2 * free_bytes, free_bytes)
        for device in devices or ("CPU",)
    )
    return NodeFacts(name, f"{name}.test", num_cores, Probe(build, found, use_extra_bufts=True, warning=""))


@dataclass
class FakeNodes:
    """Implements `cluster.planning.nodes.Nodes`: a device reads `speeds["two:CPU"]` bytes per second with a row."""

    facts: tuple[NodeFacts, ...]
    speeds: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[frozenset[str], LinkFigures] = field(default_factory=dict)
    speed: float = 10e9  # of a device that `speeds` does not name, with one thread
    unreachable: Collection[frozenset[str]] = ()
    is_measured: bool = True  # False: nothing is known until it is measured
    asked: list[str] = field(default_factory=list)  # what was measured, in order

    def profile(
        self, node: str, device: str, kind: str, num_threads: int, num_sharers: int, *, measure: bool
    ) -> DeviceProfile | None:
        """A step takes as long for up to 4 rows as for one, then grows with them; a CPU is as fast as its threads."""
        found = self._named(node).device(device)
        if found is None:
            raise UsageError(f"devices: no {device!r} on {node}")
        if not self.is_measured and not measure:
            return None
        self.asked.append(f"{node}:{device}")
        speed = (
            self.speeds.get(f"{node}:{device}", self.speed) * (num_threads if found.kind == "cpu" else 1) / num_sharers
        )
        return DeviceProfile(ROW_COUNTS, tuple(max(1.0, rows / 4) / speed for rows in ROW_COUNTS), 1e-9)

    def link(self, node: str, other: str) -> LinkFigures:
        self._named(node), self._named(other)
        self.asked.append(f"{node}-{other}")
        if frozenset((node, other)) in self.unreachable:
            raise UnreachableError(f"{other}: nobody answers; open its ports")
        return self.links.get(frozenset((node, other)), FAST_LINK)

    def _named(self, name: str) -> NodeFacts:
        (node,) = (node for node in self.facts if node.name == name)
        return node
