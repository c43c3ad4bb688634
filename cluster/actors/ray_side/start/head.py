"""Starts the head of a Ray of our own, below the cluster's run folder: for a machine alone, or for several."""

from __future__ import annotations

import secrets
from pathlib import Path

from cluster.actors.ray_side.start.arguments import MIN_CPUS, check_ports, shared_arguments
from cluster.actors.ray_side.start.command import run_ray_start
from cluster.actors.ray_side.start.environment import keep_token, node_environment
from cluster.actors.ray_side.start.gcs import STORAGE, keep_gcs
from cluster.node.home import Home
from cluster.node.ports import free_port
from cluster.node.run_folder import check_run_folder, ray_folder
from cluster.wire.transport.channel import join_address


def start_head(instance: str, run_folder: Path, num_cpus: int) -> str:
    """Start Ray on the loopback interface and return ``host:port``. It outlives this process. ClusterError."""
    keep_token(run_folder, secrets.token_hex(32))
    arguments = ["--head", "--port=0", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    arguments += [f"--num-cpus={max(num_cpus, MIN_CPUS)}", f"--ray-client-server-port={free_port()}"]
    run_ray_start(run_folder, arguments, node_environment(instance, run_folder))
    check_run_folder(run_folder)
    return (ray_folder(run_folder) / "ray_current_cluster").read_text(encoding="ascii").strip()


def start_shared_head(instance: str, run_folder: Path, home: Home, num_cpus: int) -> str:
    """Start a Ray that other machines join, at the node's address and ports. Returns ``host:port`` of it.

    `home`: the head's, with its record, and its identity unless the cluster is insecure. What Ray knows is on disk
    too, so that `restart_gcs` can bring it back. ClusterError, UsageError for a port that is in use.
    """
    assert home.record is not None, "a head that others join is a node"
    ports = home.record.ports
    check_ports(home.record.host, (ports.gcs, ports.ray_client, ports.node_manager, ports.object_manager))
    keep_token(run_folder, secrets.token_hex(32))
    # Nothing of ours uses Ray's client server or autoscaler: the one cannot be left out, the other can.
    arguments = ["--head", f"--port={ports.gcs}", f"--ray-client-server-port={ports.ray_client}", "--no-monitor"]
    arguments += ["--include-dashboard=false", *shared_arguments(home.record, num_cpus)]
    storage = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(run_folder / STORAGE)}
    run_ray_start(run_folder, arguments, node_environment(instance, run_folder, home) | storage)
    address = join_address(home.record.host, ports.gcs)
    keep_gcs(run_folder, instance, address)
    return address
