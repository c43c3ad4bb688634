"""Seats: which rank runs on which node. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.actors.ray_side.nodes import RayNode
from cluster.api.errors import UsageError


@dataclass(frozen=True, slots=True)
class Seat:
    """Where one rank runs. `node` is None on a Ray of our own, which is this machine."""

    rank: int
    world_size: int
    local_rank: int  # among those of its node
    local_world_size: int
    node: RayNode | None = None


def seats_here(num_workers: int) -> list[Seat]:
    """All on this machine."""
    return [Seat(rank, num_workers, rank, num_workers) for rank in range(num_workers)]


def seats_over(nodes: Sequence[RayNode], num_workers: int) -> list[Seat]:
    """Ranks that follow each other sit on one node, as torchrun has them; nodes differ by one worker at most.

    UsageError for fewer workers than nodes, which would leave one without any.
    """
    if num_workers < len(nodes):
        raise UsageError(
            f"--workers: {num_workers} for {len(nodes)} nodes; give at least one for each, or fewer --nodes"
        )
    found: list[Seat] = []
    for place, node in enumerate(nodes):
        share = num_workers // len(nodes) + (place < num_workers % len(nodes))
        for local_rank in range(share):
            found.append(Seat(len(found), num_workers, local_rank, share, node))
    return found
