"""Why the layers of a cluster are where they are, in a few sentences that its status tells."""

from __future__ import annotations

from cluster.planning.explain import chosen_cuts
from cluster.planning.inventory import Inventory
from cluster.planning.profiles import Profiles


def why(found: Inventory, profiles: Profiles | None, is_kept: bool) -> str:
    """One sentence a line. `is_kept`: the cuts are those of the cluster that was there before."""
    if is_kept:
        return "cuts: as they were before the repair, whose stages keep their weights"
    return "\n".join([chosen_cuts(found), *_paces(found, profiles)])


def _paces(found: Inventory, profiles: Profiles | None) -> list[str]:
    if found.config.layers or found.config.tensor_split:
        return []
    if profiles is None:
        return ["balance: the devices are alike, so that each stage reads about as much in a step"]
    num_rows = found.fullest_rows
    return [
        f"balance: with {num_rows} rows in a step, all stages are to take about as long",
        *(
            f"stage {stage}: {place.device.name} of {place.node.name} was measured to read "
            f"{profile.speed(num_rows) / 1e9:.1f} GB/s of weights"
            for stage, (place, profile) in enumerate(zip(found.places, profiles.devices, strict=True))
        ),
    ]
