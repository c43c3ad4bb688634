"""A Ray that somebody else started, and that the user named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cluster.actors.foreign import Asked, running_ray
from cluster.actors.ground.ground import Progress
from cluster.api.errors import ClusterError, UnreachableError
from cluster.node.state import ClusterState

if TYPE_CHECKING:
    from cluster.actors.launch import Launch
    from cluster.planning.nodes import Nodes


@dataclass(frozen=True, slots=True)
class AttachedRay:
    """Implements `Ground`."""

    progress: Progress
    asked: Asked
    address: str
    owns_ray: bool = False
    is_alone: bool = True

    @classmethod
    def at(cls, asked: Asked, progress: Progress) -> AttachedRay:
        """The Ray that `asked` leads to. UsageError, or UnreachableError if it does not answer."""
        return cls(progress, asked, running_ray(asked))

    def begin(self, state: ClusterState, num_stages: int) -> ClusterState:
        self.progress.note(f"attaching to Ray at {self.address}")
        return replace(state, ray_address=self.address)

    def nodes(self, launch: Launch, *, waits: bool) -> Nodes | None:
        return None

    def explained(self, error: ClusterError) -> ClusterError:
        return self.asked.unreachable(error) if isinstance(error, UnreachableError) else error
