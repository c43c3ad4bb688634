"""The machines of a cluster: do they answer, have they the same version, and what lies between them."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.api.nodes import NodeStatus
from cluster.doctor.check import Check, fail, ok, warn
from cluster.doctor.link import judge_link
from cluster.planning.measure.link import LinkFigures


def check_survey(nodes: Sequence[NodeStatus], version: str) -> list[Check]:
    """A line for each node, and for each link. `version`: of this package here."""
    checks: list[Check] = []
    for node in nodes:
        checks.append(_check_node(node, version))
    names = [node.name for node in nodes]
    for node in nodes:
        for link in node.links:
            if names.index(node.name) < names.index(link.node):  # each is listed at both of its ends
                figures = LinkFigures(link.round_trip_ms / 1e3, link.bytes_per_s)
                checks += judge_link(f"{node.name} - {link.node}", figures)
    return checks


def _check_node(node: NodeStatus, version: str) -> Check:
    name = f"{node.name} in Ray"
    if not node.health.is_ready:
        if node.stages:
            return fail(name, str(node.health), "run cluster up to repair")
        return warn(name, str(node.health), f"start cluster join there, or forget it: cluster nodes rm {node.name}")
    if node.version != version:
        return fail(name, f"{node.version} is installed there, {version} here", "install the same version on both")
    devices = ", ".join(device.name for device in node.devices)
    return ok(name, f"ready at {node.host}: {node.num_cores} cores, {devices}")
