"""The machines of a cluster as they are now, asked from any of its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.actors.driver.driving import driving
from cluster.api.errors import ClusterError, UsageError
from cluster.api.nodes import NodeDevice, NodeLink, NodeStatus
from cluster.api.status import Condition, Health, StageFacts
from cluster.membership.returning import members_of
from cluster.messages.membership import ListedNode, NodeState
from cluster.node.home import Home, read_home
from cluster.node.joined_state import read_joined
from cluster.node.state import read_state

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch
    from cluster.actors.nodes.agents import Agents
    from cluster.planning.nodes import NodeFacts

PROFILED_KIND = "Q4_0"  # of weights: the speed that is shown, where it was measured


def launch_here(folder: Path) -> AbstractContextManager[Launch]:
    """Ray as a driver on this node, whether it is the head or has joined. `folder`: its home. ClusterError."""
    home = read_home(folder)
    if home.record is None:
        raise UsageError("this machine is no node of a cluster of several; see: cluster status")
    return driving(*ray_of(home), home)


def list_nodes(folder: Path, stages: Sequence[StageFacts], *, measure_links: bool) -> list[NodeStatus]:
    """All nodes, the head first. `stages`: those that run, as the cluster's status has them. ClusterError."""
    known = _known(folder)
    with launch_here(folder) as launch:
        agents = launch.agents
        agents.look()
        facts = {one.name: one for one in agents.facts}
        links = _links(agents, list(facts)) if measure_links else {}
        there = [_living(agents, one, stages, links.get(one.name, ()), known) for one in facts.values()]
    missing = [_missing(name, node, agents.silent.get(name, "")) for name, node in known.items() if name not in facts]
    return [*there, *missing]


def ray_of(home: Home) -> tuple[str, str, str]:
    """Where the Ray of this machine's cluster is, the cluster's namespace in it, and this node's run folder; "" where
    that Ray is somebody else's. UsageError without a cluster."""
    joined = read_joined(home.folder)
    if joined is not None and joined.ray_address:
        return joined.ray_address, joined.namespace, joined.run_folder
    state = read_state()
    if state is None or not state.ray_address:
        raise UsageError("this machine takes part in no cluster now; run cluster up, or cluster join")
    return state.ray_address, state.ray_namespace, state.run_folder if state.owns_ray else ""


def _known(folder: Path) -> Mapping[str, ListedNode]:
    """What the head knows of all nodes beside itself, by name; what it does not answer is not known."""
    try:
        with members_of(read_home(folder)) as members:
            return {node.name: node for node in members.nodes().nodes if node.state is not NodeState.REMOVED}
    except ClusterError:
        return {}


def _links(agents: Agents, names: Sequence[str]) -> dict[str, list[NodeLink]]:
    """Measured now, each pair once. UnreachableError where two nodes do not reach each other."""
    from cluster.planning.links import find_links

    measured = find_links(agents, combinations(names, 2))
    return {
        name: [
            NodeLink(other, 1e3 * figures.round_trip_s, figures.bytes_per_s)
            for other in names
            if (figures := measured.between(name, other)) is not None
        ]
        for name in names
    }


def _living(
    agents: Agents,
    facts: NodeFacts,
    stages: Sequence[StageFacts],
    links: Sequence[NodeLink],
    known: Mapping[str, ListedNode],
) -> NodeStatus:
    from cluster.membership.versions import this_version

    listed = known.get(facts.name)
    return NodeStatus(
        name=facts.name,
        host=facts.host,
        health=Health(),
        version=listed.versions.program if listed else this_version().program,
        num_cores=facts.num_cores,
        devices=tuple(
            NodeDevice(
                device.name,
                device.kind,
                device.memory_total_bytes,
                device.memory_free_bytes,
                _speed(agents, facts, device.name),
            )
            for device in facts.probe.devices
        ),
        links=tuple(links),
        stages=tuple(stage.stage for stage in stages if stage.node == facts.name),
        is_head=facts.name == agents.nodes[0].name,
    )


def _speed(agents: Agents, facts: NodeFacts, device: str) -> float | None:
    """Of one stage with all cores, if that was ever measured there."""
    profile = agents.profile(facts.name, device, PROFILED_KIND, facts.num_cores, 1, measure=False)
    return profile.speed(1) if profile else None


def _missing(name: str, node: ListedNode, silent: str) -> NodeStatus:
    reason = "it has left" if node.state is NodeState.LEFT else silent or "it does not take part now"
    return NodeStatus(name, node.host, Health(Condition.LOST, reason), node.versions.program)
