"""Which Ray a cluster is to live in, by its settings, and which it lives in."""

from __future__ import annotations

from cluster.actors.ground.attached import AttachedRay
from cluster.actors.ground.foreign import Asked, asked_for
from cluster.actors.ground.ground import Ground, Progress
from cluster.actors.ground.own import OwnRay
from cluster.actors.ground.shared import SharedRay
from cluster.config import ClusterConfig
from cluster.node.state import ClusterState


def chosen_ground(config: ClusterConfig, progress: Progress) -> Ground:
    """The Ray that a new cluster with these settings is to live in."""
    if config.is_shared and config.address is None:
        return SharedRay.of(config, progress)
    asked = asked_for(config.address)
    return OwnRay(progress) if asked is None else AttachedRay.at(asked, config, progress)


def present_ground(state: ClusterState, config: ClusterConfig, progress: Progress) -> Ground:
    """The Ray that a cluster lives in, whatever the environment of this process names. UnreachableError."""
    if not state.owns_ray:
        return AttachedRay.at(Asked(state.ray_address, "--address"), config, progress)
    return SharedRay.of(config, progress) if config.is_shared else OwnRay(progress)
