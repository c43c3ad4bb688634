"""The machines that a plan is for: those of the cluster that this one is the head of, or this one alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cluster.node.home import read_home
from cluster.node.joined_state import read_joined
from cluster.node.state import read_state, state_folder

if TYPE_CHECKING:
    from cluster.planning.nodes import Nodes


@contextmanager
def planned_for() -> Iterator[Nodes | None]:
    """All nodes that answer, on the head of a cluster of several machines that is up; None elsewhere.

    UnreachableError where the Ray of that cluster does not answer.
    """
    folder = state_folder()
    state = read_state()
    is_head = read_home(folder).record is not None and read_joined(folder) is None
    if not is_head or state is None or not state.ray_address:
        yield None
        return
    from cluster.actors.asking.listing import launch_here

    with launch_here(folder) as launch:
        launch.agents.look()
        yield launch.agents
