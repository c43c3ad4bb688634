"""The agent of a node: a thin shell around what its machine is asked for. Left undecorated, so that it runs alone."""

from __future__ import annotations

import itertools
import os
import shutil
from functools import cached_property
from pathlib import Path

from cluster.actors.nodes.enrolment import Enrolment, make_home
from cluster.actors.ray_side.start.environment import HOME
from cluster.api.errors import ClusterError
from cluster.node.dated_log import date_log
from cluster.node.heap import return_large_blocks
from cluster.node.home import read_home
from cluster.node.processes import MARK, end_process, marked_pids, start_ticks
from cluster.node.ray_logs import LogFile, RayLogs
from cluster.node.run_folder import remove_run_folder
from cluster.planning.measure.echo import Echo
from cluster.planning.measure.link import LinkFigures, measure_link
from cluster.planning.measure.profile import DeviceProfile
from cluster.planning.nodes import NodeFacts, ThisMachine, survey_this_node
from cluster.store.slices import SliceStore
from cluster.trust.node_key import new_key, signing_request
from cluster.wire.access.keys import Keys, keys_of

OURS = (b"ray::StageWorker", b"ray::Coordinator")  # titles of the processes that a cluster may leave behind


class NodeAgent:
    """Answers for the node that it runs on. Methods may be called on several threads at once."""

    def __init__(self, name: str, host: str) -> None:
        """`name` and `host`: by which the others know this node."""
        date_log()
        return_large_blocks()  # those of measurements, for the rest of its life
        self._name = name
        self._host = host
        self._echoes: dict[int, Echo] = {}
        self._numbers = itertools.count()
        self._key_pem = b""
        self._enrolled = ""

    def pid(self) -> int:
        return os.getpid()

    def home(self) -> str:
        """The folder where actors on this node find who they are. ClusterError where Ray was not told of any."""
        folder = self._enrolled or os.environ.get(HOME, "")
        if not folder:
            raise ClusterError(f"{self._name}: its Ray was not started by us, and nobody has made it a home yet")
        return folder

    def request(self) -> bytes | None:
        """In a Ray that we did not start: a request for a certificate, as PEM. None where this node has a home."""
        if self._enrolled or os.environ.get(HOME):
            return None
        self._key_pem = self._key_pem or new_key()
        return signing_request(self._key_pem, self._name)

    def enrol(self, enrolment: Enrolment) -> str:
        """Make this node a home, and return its folder. ClusterError."""
        self._enrolled = self._enrolled or str(make_home(enrolment, self._key_pem).folder)
        return self._enrolled

    def leave(self) -> None:
        """Remove the home that `enrol` made."""
        if self._enrolled:
            remove_run_folder(Path(self._enrolled).parent)
        self._enrolled = ""

    def facts(self) -> NodeFacts:
        """What this machine has now. ClusterError if its native library cannot be used."""
        return survey_this_node(self._name, self._host)

    def profile(
        self, device: str, kind: str, num_threads: int, num_sharers: int, *, measure: bool
    ) -> DeviceProfile | None:
        """As `Nodes.profile` of this node."""
        machine = ThisMachine(self._name, self._host)
        return machine.profile(self._name, device, kind, num_threads, num_sharers, measure=measure)

    def start_echo(self) -> tuple[int, str]:
        """Something for another node to measure the link to: its number here, and the address it answers at."""
        number, echo = next(self._numbers), Echo(self._keys.listener)
        address = echo.start()
        self._echoes[number] = echo
        return number, address

    def end_echo(self, number: int) -> None:
        echo = self._echoes.pop(number, None)
        if echo is not None:
            echo.stop()

    def measure_link(self, address: str, node: str) -> LinkFigures:
        """The link from here to the echo that `node` has started at `address`. UnreachableError."""
        return measure_link(self._keys.endpoint(address, node))

    def logs(self, pid: int) -> tuple[LogFile, ...]:
        """What there is of the output of the process `pid` of Ray on this node, errors first."""
        return self._logs.of(pid)

    def read_log(self, name: str, offset: int) -> tuple[int, bytes]:
        """As `RayLogs.read`."""
        return self._logs.read(name, offset)

    def free_store_bytes(self) -> int:
        """Room on the disk where this node keeps its slices."""
        root = SliceStore().root
        return shutil.disk_usage(next(path for path in (root, *root.parents) if path.exists())).free

    def end_orphans(self, known: frozenset[int]) -> int:
        """End stages and coordinators of this node's Ray whose pids are not `known`: Ray has forgotten them.

        Returns how many there were. In a Ray that we did not start, we know none of ours without it.
        """
        instance = os.environ.get(MARK, "")
        lost = [pid for pid in marked_pids(instance) if pid not in known and _is_ours(pid)] if instance else []
        return sum(end_process(pid, ticks) for pid in lost if (ticks := start_ticks(pid)) is not None)

    @property
    def _keys(self) -> Keys:
        return keys_of(read_home(Path(self.home()))).for_stages

    @cached_property
    def _logs(self) -> RayLogs:
        """Where Ray writes what its processes print: ours, too."""
        return RayLogs(Path(os.readlink("/proc/self/fd/2")).parent)


def _is_ours(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(OURS)
    except OSError:
        return False
