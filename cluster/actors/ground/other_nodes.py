"""All machines of a cluster but one, which is about to go. Implements planning's `Nodes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.planning.measure.link import LinkFigures
    from cluster.planning.measure.profile import DeviceProfile
    from cluster.planning.nodes import NodeFacts, Nodes


@dataclass(frozen=True, slots=True)
class OtherNodes:
    """`nodes` without the one called `name`."""

    nodes: Nodes
    name: str

    @property
    def facts(self) -> tuple[NodeFacts, ...]:
        return tuple(facts for facts in self.nodes.facts if facts.name != self.name)

    def profile(
        self, node: str, device: str, kind: str, num_threads: int, num_sharers: int, *, measure: bool
    ) -> DeviceProfile | None:
        return self.nodes.profile(node, device, kind, num_threads, num_sharers, measure=measure)

    def link(self, node: str, other: str) -> LinkFigures:
        return self.nodes.link(node, other)
