"""The nodes of a Ray, by the names that plans and people know them by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.actors.ray_side.start.arguments import LABEL
from cluster.api.errors import UsageError
from cluster.trust.names import check_node_name, node_name_of

HEAD_RESOURCE = "node:__internal_head__"


@dataclass(frozen=True, slots=True)
class RayNode:
    """One node that Ray believes to live. Two of one name are one machine before and after it came back."""

    name: str
    id: str  # Ray's own, new with each start
    host: str
    is_head: bool


def living_nodes(listed: Iterable[Mapping[str, Any]]) -> tuple[RayNode, ...]:
    """Of what `ray.nodes()` lists: the head first, then by name.

    A node that we started is labelled with its name. Of others Ray's name for the node is taken, else that of the
    host, where it can be one and no other node has it.
    """
    living = [node for node in listed if node["Alive"]]
    proposed = {node["NodeID"]: _proposed(node) for node in living}
    times = Counter(proposed.values())
    found = []
    for node in living:
        name = node["Labels"].get(LABEL) or proposed[node["NodeID"]]
        if not name or (LABEL not in node["Labels"] and times[name] > 1):
            name = f"node-{node['NodeID'][:8]}"
        is_head = HEAD_RESOURCE in node["Resources"]
        found.append(RayNode(name, node["NodeID"], node["NodeManagerAddress"], is_head))
    return tuple(sorted(found, key=lambda node: (not node.is_head, node.name, node.id)))


def _proposed(node: Mapping[str, Any]) -> str:
    for name, made in ((node["NodeName"], check_node_name), (node["NodeManagerHostname"], node_name_of)):
        try:
            return made(name)
        except UsageError:
            continue
    return ""
