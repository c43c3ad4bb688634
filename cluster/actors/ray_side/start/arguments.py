"""With what `ray start` is called for a node among several: everything that listens has a port of the node's plan."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from cluster.node.home import NodeRecord
from cluster.node.port_plan import PortPlan
from cluster.wire.transport.channel import check_port_free

LABEL = "ggml-cluster/node"
MIN_CPUS = 32  # what Ray counts as CPUs bounds the stages of a node, which the plan decides
NUM_AGENT_PORTS = 3  # that a Ray with its dashboard installed opens on each node


def shared_arguments(record: NodeRecord, num_cpus: int) -> list[str]:
    """What a head and a node that joins it have in common."""
    ports = record.ports
    workers, agents = ports.workers[:-NUM_AGENT_PORTS], ports.workers[-NUM_AGENT_PORTS:]
    listen, grpc, metrics = agents
    return [
        f"--node-ip-address={record.host}",
        f"--node-name={record.name}",
        f"--labels={LABEL}={record.name}",
        f"--num-cpus={max(num_cpus, MIN_CPUS)}",
        f"--node-manager-port={ports.node_manager}",
        f"--object-manager-port={ports.object_manager}",
        f"--runtime-env-agent-port={ports.runtime_env}",
        f"--min-worker-port={workers[0]}",
        f"--max-worker-port={workers[-1]}",
        f"--dashboard-agent-listen-port={listen}",
        f"--dashboard-agent-grpc-port={grpc}",
        f"--metrics-export-port={metrics}",
    ]


def check_ports(host: str, ports: Iterable[int]) -> None:
    """UsageError for the first of `ports` that something listens on: Ray would fail much later, in other words.

    Ray listens at all addresses of the machine, whatever it is told.
    """
    wildcard = "::" if ":" in host or socket.has_dualstack_ipv6() else "0.0.0.0"
    for port in ports:
        for where in (host, wildcard):
            check_port_free(where, port)


def node_ports(ports: PortPlan) -> tuple[int, ...]:
    """Those that a node which joined needs for its Ray."""
    return (ports.node_manager, ports.object_manager, ports.runtime_env)
