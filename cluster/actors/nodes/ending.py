"""Ends what a cluster has on other machines, by asking the process that attends to each: Ray is not needed for it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cluster.api.errors import ClusterError
from cluster.membership.registry_file import read_registry
from cluster.membership.serving import attendant_of
from cluster.messages.membership import NodeState
from cluster.node.home import Home

NUM_ASKED = 16  # nodes at once


def end_nodes(home: Home, reason: str) -> list[str]:
    """Tell all members of the cluster whose head has this home. Returns, for people, who could not be reached."""
    members = [one for one in read_registry(home.folder).all if one.state is NodeState.MEMBER]
    return end_each(home, [(one.name, one.host) for one in members], reason)


def end_each(home: Home, nodes: Sequence[tuple[str, str]], reason: str) -> list[str]:
    """The same for these: (name, host)."""
    if not nodes:
        return []
    with ThreadPoolExecutor(NUM_ASKED, thread_name_prefix="end-node") as pool:
        failures = pool.map(lambda node: _end(home, node[0], node[1], reason), nodes)
    return [failure for failure in failures if failure]


def _end(home: Home, name: str, host: str, reason: str) -> str:
    try:
        with attendant_of(home, name, host) as attendant:
            attendant.end(reason)
    except ClusterError as error:
        return f"{name}: {str(error).partition(';')[0]}"
    return ""
