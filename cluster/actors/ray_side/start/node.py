"""Starts Ray on a machine that joined a cluster."""

from __future__ import annotations

from pathlib import Path

from cluster.actors.ray_side.start.arguments import check_ports, node_ports, shared_arguments
from cluster.actors.ray_side.start.command import run_ray_start
from cluster.actors.ray_side.start.environment import keep_token, node_environment
from cluster.node.home import Home


def start_node(instance: str, run_folder: Path, home: Home, gcs_address: str, token: str, num_cpus: int) -> None:
    """Start Ray here as a node of the head whose GCS answers at `gcs_address`. It outlives this process.

    `instance`: the node's own, not the cluster's: its processes are ended by it. `token`: what the head granted.
    Whoever calls has shaken hands with the GCS before, since Ray waits long for one that does not believe us.
    ClusterError, UsageError for a port that is in use.
    """
    assert home.record is not None, "a machine that joined is a node"
    check_ports(home.record.host, node_ports(home.record.ports))
    keep_token(run_folder, token)
    arguments = [f"--address={gcs_address}", *shared_arguments(home.record, num_cpus)]
    run_ray_start(run_folder, arguments, node_environment(instance, run_folder, home))
