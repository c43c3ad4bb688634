"""What `up` needs of the Ray that a cluster is to live in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from cluster.api.errors import ClusterError
from cluster.node.state import ClusterState
from cluster.terminal.progress import Bar

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch
    from cluster.planning.nodes import Nodes


class Progress(Protocol):
    """Where notes and loading bars go."""

    def note(self, text: str) -> None: ...

    def bars(self, states: Sequence[Bar]) -> None: ...


class Ground(Protocol):
    """A Ray, and the machines in it. What cannot be is said when one is made, before anything is started."""

    @property
    def owns_ray(self) -> bool:
        """Whether `down` ends it."""
        ...

    @property
    def is_alone(self) -> bool:
        """Whether this machine's devices are all there are, so that the plan comes before Ray."""
        ...

    def begin(self, state: ClusterState, num_stages: int) -> ClusterState:
        """Start Ray, or find it; the state then says where it is. The run folder and the secrets are there.

        `num_stages`: how many are planned; 0 where the plan comes later.
        """
        ...

    def nodes(self, launch: Launch, *, waits: bool) -> Nodes | None:
        """The machines that are there, and, if it `waits`, once all that were asked for are; None: this one alone."""
        ...

    def explained(self, error: ClusterError) -> ClusterError:
        """What went wrong, in words of what the user gave."""
        ...
