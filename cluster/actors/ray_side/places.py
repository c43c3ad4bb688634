"""Where Ray keeps room for each stage: a placement group for each, so that one moves without the others.

Ray ends every actor in a group that is removed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

import ray
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

from cluster.actors.ray_side.nodes import RayNode
from cluster.api.errors import CapacityError

PLACE_TIMEOUT_S = 30.0
NODE_ID = "ray.io/node-id"  # the label that Ray gives each node


class Places:
    """The groups of one cluster, by stage."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def keep(self, nodes: Mapping[int, RayNode | None]) -> dict[int, PlacementGroup]:
        """Room for each of these stages on its node, or anywhere; what is there already is used.

        CapacityError if there is none. The nodes live: Ray would wait for ever for one that it does not know.
        """
        kept = {stage: self._kept(stage, node) for stage, node in nodes.items()}
        made = {stage: self._make(stage, nodes[stage]) for stage, group in kept.items() if group is None}
        deadline = time.monotonic() + PLACE_TIMEOUT_S
        for stage, group in made.items():
            if not group.wait(max(0.0, deadline - time.monotonic())):
                free = ray.available_resources().get("CPU", 0)
                for each in made.values():
                    remove_placement_group(each)
                raise CapacityError(_no_place(stage, nodes[stage], len(made), free))
        return {stage: group for stage, group in (kept | made).items() if group is not None}

    def give_back(self) -> None:
        """Remove all groups, and end what is in them."""
        for name in self._names(f"{self._namespace}-"):
            remove_placement_group(ray.util.get_placement_group(name))

    def drop_from(self, num_stages: int) -> None:
        """Remove those of stages that the plan has not any more."""
        for name, stage in self._names(f"{self._namespace}-").items():
            if stage >= num_stages:
                remove_placement_group(ray.util.get_placement_group(name))

    def _kept(self, stage: int, node: RayNode | None) -> PlacementGroup | None:
        """The group of a stage that is where it should be; one that is elsewhere is removed."""
        for name in self._names(f"{self._namespace}-{stage}-"):
            group = ray.util.get_placement_group(name)
            table = placement_group_table(group)
            is_there = node is None or table["bundles_to_node_id"].get(0) == node.id
            if table["state"] == "CREATED" and is_there:
                return group
            remove_placement_group(group)
        return None

    def _make(self, stage: int, node: RayNode | None) -> PlacementGroup:
        # A name of its own: that of a group that was removed just now may still be taken.
        name = f"{self._namespace}-{stage}-{secrets.token_hex(4)}"
        selector = None if node is None else [{NODE_ID: node.id}]
        return placement_group(
            [{"CPU": 1}], strategy="PACK", name=name, lifetime="detached", bundle_label_selector=selector
        )

    def _names(self, prefix: str) -> dict[str, int]:
        """The names of the groups that begin so, and the stages that they are of."""
        found = {}
        for table in placement_group_table().values():
            name = table["name"]
            if name.startswith(prefix) and table["state"] != "REMOVED":
                found[name] = int(name.removeprefix(f"{self._namespace}-").partition("-")[0])
        return found


def _no_place(stage: int, node: RayNode | None, num_wanted: int, num_free: float) -> str:
    if node is not None:
        return (
            f"Ray: no free CPU for stage {stage} on {node.name}, and each stage takes one; "
            f"give that node more (ray start --num-cpus), or place fewer stages there: --devices"
        )
    return (
        f"Ray: {num_wanted} free CPUs are needed, one per stage, and {num_free:g} are there; "
        "use fewer stages or add a node"
    )
