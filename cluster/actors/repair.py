"""What a remembered cluster needs: decided from what was found of it, without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cluster.api.status import ClusterStatus


class Remedy(Enum):
    """From the least to the most that is done."""

    NOTHING = "nothing"
    REPAIR = "repair"  # what lives keeps its weights
    REBUILD = "rebuild"  # what is left is ended, and all is started anew


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found of a cluster."""

    is_up: bool  # it answers, or might once its stages are repaired
    ray_trouble: str | None  # why the Ray that it lives in cannot be asked for anything; None if it can
    trouble: str  # empty where nothing is wrong
    has_secrets: bool  # it can be spoken to

    def remedy(self) -> Remedy:
        """Without Ray nothing can be repaired, and one that is dead would be waited for."""
        if not self.is_up or self.ray_trouble is not None:
            return Remedy.REBUILD
        if not self.trouble:
            return Remedy.NOTHING
        return Remedy.REPAIR if self.has_secrets else Remedy.REBUILD


def is_due(status: ClusterStatus, ray_trouble: str | None) -> bool:
    """Whether a watched cluster with this status is to be repaired now.

    Where Ray alone is dead, whoever is being answered is answered to the end first.
    """
    if status.health.is_ready:
        return False
    is_served = all(stage.facts.health.is_ready for stage in status.stages) and status.num_slots_used > 0
    return ray_trouble is None or not is_served
