"""The nodes of a Ray that workers run on."""

from __future__ import annotations

import time
from collections.abc import Callable

import ray

from cluster.actors.ray_side.calls import errors_of_ray
from cluster.actors.ray_side.nodes import RayNode, living_nodes
from cluster.api.errors import UnreachableError

WAIT_S = 600.0  # for machines that are still starting, or come back
POLL_S = 0.5


def wait_for_nodes(num_nodes: int | None, note: Callable[[str], None]) -> tuple[RayNode, ...]:
    """The first `num_nodes` that Ray believes to live, once there are as many; None: all that there are now.

    UnreachableError where they do not come within `WAIT_S`.
    """
    end_s, is_told = time.monotonic() + WAIT_S, False
    while True:
        with errors_of_ray():
            nodes = living_nodes(ray.nodes())
        if len(nodes) >= (num_nodes or 1):
            return nodes[:num_nodes]
        if not is_told:
            note(f"waiting for {num_nodes} nodes; Ray has {len(nodes)}")
            is_told = True
        if time.monotonic() > end_s:
            raise UnreachableError(
                f"--nodes: {num_nodes} are wanted, and Ray has {len(nodes)}; give fewer, or start more"
            )
        time.sleep(POLL_S)
