"""The Ray of a machine that joined a cluster: started for what the head runs now, watched, and ended."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from pathlib import Path

from cluster.actors.ray_side.start.node import start_node
from cluster.api.errors import UnreachableError
from cluster.membership.preflight import check_tls
from cluster.messages.membership import Grant
from cluster.node.home import Home
from cluster.node.joined_state import JoinedState, read_joined, write_joined
from cluster.node.processes import end_marked, members, start_ticks
from cluster.node.ray_health import RayProcess, answers, find_ray_processes, ray_trouble
from cluster.node.run_folder import make_run_folder, remove_run_folder, run_folder_path
from cluster.wire.transport.channel import host_of, port_of


class JoinedRay:
    """Implements `membership.participant.NodeRay`. One process at a time has one for a home."""

    def __init__(self, home: Path) -> None:
        """What an earlier process left there is ended."""
        self._home = home
        self._processes: tuple[RayProcess, ...] = ()
        self.end()

    def start(self, home: Home, grant: Grant) -> None:
        """Start Ray here as a node of the head's. ClusterError, and nothing is left of it."""
        instance = secrets.token_hex(8)  # this node's own: processes of the head's instance are not ours to end
        run_folder = run_folder_path(instance)
        state = replace(
            _attended(),
            instance=instance,
            run_folder=str(run_folder),
            ray_address=grant.gcs_address,
            namespace=grant.namespace,
        )
        write_joined(self._home, state)
        try:
            make_run_folder(run_folder)
            _check_head(home, grant)
            num_cpus = len(os.sched_getaffinity(0))
            start_node(instance, run_folder, home, grant.gcs_address, grant.ray_token, num_cpus)
            self._processes = find_ray_processes(instance)
        except BaseException:
            self.end()
            raise

    def joined(self, summary: str) -> None:
        """The head has found it to be of use."""
        state = read_joined(self._home)
        if state is not None:
            write_joined(self._home, replace(state, summary=summary, members=members(state.instance)))

    def trouble(self) -> str | None:
        return ray_trouble(self._processes)

    def end(self) -> None:
        """End all processes of the cluster on this machine, and remove what they wrote. It may be repeated."""
        state = read_joined(self._home)
        self._processes = ()
        if state is not None and state.instance:
            end_marked(state.instance, state.members)
            remove_run_folder(Path(state.run_folder))
        write_joined(self._home, _attended())


def _check_head(home: Home, grant: Grant) -> None:
    """Ray waits very long for a head that is not there, or does not believe us, and says nothing of use."""
    if grant.is_secure:
        check_tls(home, host_of(grant.gcs_address), port_of(grant.gcs_address))
    elif not answers(grant.gcs_address):
        raise UnreachableError(f"Ray at {grant.gcs_address}: nothing answers; see that the port is open on the head")


def _attended() -> JoinedState:
    """Nothing was started yet, and this process attends to the node."""
    pid = os.getpid()
    return JoinedState(pid, start_ticks(pid) or 0)
