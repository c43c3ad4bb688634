"""What `cluster nodes` shows of the machines of a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.status import Health


@dataclass(frozen=True, slots=True)
class NodeDevice:
    """A device of a node, as it is now."""

    name: str  # such as "CPU" or "CUDA0"
    kind: str
    memory_total_bytes: int
    memory_free_bytes: int
    bytes_per_s: float | None = None  # weights that one stage on it reads in a step of one row; None: never measured


@dataclass(frozen=True, slots=True)
class NodeLink:
    """What lies between a node and another one, measured over the wire that stages use."""

    node: str
    round_trip_ms: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A row of `cluster nodes`. Of a node that does not answer, only name, host and health are known."""

    name: str
    host: str
    health: Health
    version: str = ""  # of this package there
    num_cores: int = 0
    devices: tuple[NodeDevice, ...] = ()
    links: tuple[NodeLink, ...] = ()
    stages: tuple[int, ...] = ()  # those that run there
    is_head: bool = False
