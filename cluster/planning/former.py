"""Where the layers of a cluster were before it lost some of its devices. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cluster.planning.nodes import NodeFacts
from cluster.planning.places import Place, all_places
from cluster.planning.search.cut_search import Range


@dataclass(frozen=True, slots=True)
class Former:
    """The plan that a cluster was up with, as its state remembers it."""

    bounds: tuple[int, ...]  # layers at which the slices began, and the end of the last
    devices: tuple[str, ...]  # the device of each stage, as ``--devices`` takes it: "two:CUDA0"

    def held(self, device: str) -> tuple[Range, ...]:
        """The layers [first, end) that the device of this name has, a range for each of its stages."""
        ranges = zip(self.devices, pairwise(self.bounds), strict=True)
        return tuple(held for name, held in ranges if name == device)

    def places(self, chosen: Sequence[Place], nodes: Sequence[NodeFacts]) -> tuple[Place, ...]:
        """As many places as were `chosen`, with the devices that are left in the order of their former stages.

        A stage whose device is gone gets one of the chosen that had no layers; where there is none, it shares that of
        its neighbour. Stages beyond those that are wanted are left out where they were lost. () where that leads to no
        plan of this length, or nothing is left.
        """
        there = {place.name: place for place in all_places(nodes)}
        left = [there.get(device) for device in self.devices]
        living = [place for place in left if place is not None]
        if not living:
            return ()
        spare = [place for place in chosen if place.name not in self.devices]
        num_missing = len(chosen) - len(living)
        neighbour, places = living[0], []
        for place in left:
            if place is None and num_missing > 0:
                num_missing -= 1
                places.append(spare.pop(0) if spare else neighbour)
            elif place is not None:
                places.append(place)
                neighbour = place
        return tuple(places) if len(places) == len(chosen) else ()

    def told(self, bounds: Sequence[int], devices: Sequence[str]) -> str:
        """How much of it a plan leaves where it was."""
        num_layers = self.bounds[-1]
        return f"kept {self._num_kept(bounds, devices)} of {num_layers} layers where they were"

    def _num_kept(self, bounds: Sequence[int], devices: Sequence[str]) -> int:
        return sum(
            max(0, min(end, stop) - max(first, start))
            for device, (first, end) in zip(devices, pairwise(bounds), strict=True)
            for start, stop in self.held(device)
        )
