"""A worker of Ray that is started ahead: what takes the place of a dead process need not wait for Python to start.

Ray gives it to the next actor that is started on the node. What that needs is imported by then: `node_environment` says
what all workers import.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import ray
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc

from cluster.node.processes import marked_pids, start_ticks

IDLE = b"ray::IDLE"  # what Ray calls the process of a worker that does nothing
KEPT_S = 10**6  # Ray ends idle ones after a second, but for those that it is told to keep
START_S = 30.0  # after which one that was asked for is not waited for any more
ASK_TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


class Spare:
    """One, on this node, of a Ray of our own. For one thread."""

    def __init__(self, instance: str) -> None:
        """`instance`: the mark of that Ray's processes."""
        self._instance = instance
        self._process: tuple[int, int] | None = None  # pid and start ticks
        self._asked_s = -START_S

    def keep(self) -> None:
        """See to it that there is one. It starts meanwhile."""
        if self._process is not None and _is_idle(*self._process):
            return
        idle = ((pid, start_ticks(pid) or 0) for pid in marked_pids(self._instance))
        self._process = next((process for process in idle if _is_idle(*process)), None)
        now_s = time.monotonic()
        if self._process is None and now_s >= self._asked_s + START_S:
            self._asked_s = now_s
            _start_one()

    def used(self) -> None:
        """An actor was started, and has taken it."""
        self._process, self._asked_s = None, -START_S


def _start_one() -> None:
    request = node_manager_pb2.PrestartWorkersRequest(
        language=common_pb2.PYTHON, num_workers=1, keep_alive_duration_secs=KEPT_S
    )
    try:
        here = ray.get_runtime_context().get_node_id()
        (node,) = (node for node in ray.nodes() if node["NodeID"] == here)
        channel = init_grpc_channel(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}")
        try:
            node_manager_pb2_grpc.NodeManagerServiceStub(channel).PrestartWorkers(request, timeout=ASK_TIMEOUT_S)
        finally:
            channel.close()
    except Exception as error:  # gRPC's own among them, which is not for this room to know
        _log.info("no worker is started ahead, so that a repair takes a second longer: %s", error)


def _is_idle(pid: int, ticks: int) -> bool:
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return title.startswith(IDLE) and start_ticks(pid) == ticks
