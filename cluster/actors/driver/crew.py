"""The nodes that a plan uses, as Ray knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.actors.ray_side.nodes import RayNode
from cluster.planning.nodes import THIS_NODE


@dataclass(frozen=True, slots=True)
class Crew:
    """The nodes that a plan uses, by name, and where the actors on them find who they are."""

    nodes: Mapping[str, RayNode | None]  # None for a machine alone: wherever Ray has room
    homes: Mapping[str, str]
    coordinator: str  # the node that it is on
    head: RayNode | None = None  # None for a machine alone
    lost: frozenset[str] = frozenset()  # Ray's ids of nodes that it believes to live, but which do not answer

    @property
    def coordinator_home(self) -> str:
        return self.coordinator if self.head else THIS_NODE
