"""Offers of devices with what one stage on each was measured to do, for a given number of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from cluster.engine.cost.decode import PipelineCosts
from cluster.messages.stage import StageCosts
from cluster.planning.inventory import Inventory
from cluster.planning.measure.profile import DeviceProfile, bench_kind
from cluster.planning.places import Place
from cluster.planning.search.cut_search import Range
from cluster.planning.search.placement import DeviceOffer
from cluster.planning.search.sizes import LayerSizes, Sums


@dataclass(frozen=True, slots=True)
class Profiles:
    """`devices[i]` is the profile of stage i's device with all of its stages at work.

    The search goes by these; and the forecast, where a model cannot be rehearsed.
    """

    devices: tuple[DeviceProfile, ...]
    vocab_size: int

    def offers(self, plain: Sequence[DeviceOffer], num_rows: int) -> tuple[DeviceOffer, ...]:
        """The offers with the figures that the search goes by."""
        return tuple(
            replace(offer, speed=profile.speed(num_rows), sample_s=profile.sample_s(num_rows, self.vocab_size))
            for offer, profile in zip(plain, self.devices, strict=True)
        )

    def costs(self, ranges: Sequence[Range], sizes: LayerSizes) -> PipelineCosts:
        """What steps take on each stage, and messages between them; nothing is known of cores that are lent."""
        sums, stages = Sums(sizes), []
        for (first, end), profile in zip(ranges, self.devices, strict=True):
            num_logits = self.vocab_size if end == sizes.num_layers else 0
            stages.append(StageCosts(profile.steps_ms(sums.read_bytes(first, end), num_logits)))
        return PipelineCosts(tuple(stages))

    @property
    def sample_row_ms(self) -> float:
        """The choice of a token from one row of logits, on the last stage."""
        return 1e3 * self.devices[-1].sample_s(1, self.vocab_size)


def find_profiles(inventory: Inventory, *, measure: bool) -> Profiles | None:
    """Kept figures; those that are missing are measured now, on all nodes at once, or the answer is None."""
    kind = bench_kind(inventory.model.header)
    sharers = Counter(inventory.places)

    def pace(place: Place) -> DeviceProfile | None:
        num_threads = inventory.num_threads(inventory.places.index(place))
        node, device = place.node.name, place.device.name
        return inventory.nodes.profile(node, device, kind, num_threads, sharers[place], measure=measure)

    def paces(places: Sequence[Place]) -> list[DeviceProfile | None]:
        """Of one node: its devices one after the other."""
        return [pace(place) for place in places]

    nodes = [[place for place in sharers if place.node.name == name] for name in dict.fromkeys(inventory.node_names)]
    with ThreadPoolExecutor() as pool:
        found = [pair for pairs in zip(nodes, pool.map(paces, nodes), strict=True) for pair in zip(*pairs, strict=True)]
    full = dict(found)
    devices = tuple(profile for place in inventory.places if (profile := full[place]) is not None)
    if len(devices) < len(inventory.places):
        return None
    return Profiles(devices, inventory.model.vocab_size)
