"""What the cluster that is remembered here says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.node.kept_secrets import client_secret_path

if TYPE_CHECKING:
    from cluster.api.status import ClusterStatus


def status_at(address: str) -> ClusterStatus:
    """What the cluster at `address` says of itself. UnreachableError, UsageError where its secret is gone."""
    from cluster.client.sync import connect

    with connect(address, client_secret_path()) as client:
        return client.status()
