"""The model on one device, without a cut: what a split has to be compared with."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import ClusterError
from cluster.engine.cost.decode import PipelineCosts
from cluster.engine.cost.forecast import forecast
from cluster.messages.stage import StageCosts
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layouts
from cluster.planning.links import Links, Route
from cluster.planning.measure.profile import bench_kind
from cluster.planning.places import Place
from cluster.planning.rehearsals import whole_costs
from cluster.planning.search.sizes import LayerSizes, Sums
from cluster.planning.stage_costs import Rehearsed


@dataclass(frozen=True, slots=True)
class WholeReport:
    """All layers on `device`, with all cores of its node."""

    node: str
    device: str
    total_bytes: int
    usable_bytes: int
    one_request_tokens_per_s: float
    all_slots_tokens_per_s: float

    @property
    def fits(self) -> bool:
        return self.total_bytes <= self.usable_bytes

    @property
    def name(self) -> str:
        return f"{self.node}/{self.device}"


def whole_report(
    inventory: Inventory, layouts: Layouts, split: Rehearsed | None, links: Links
) -> tuple[WholeReport, ...]:
    """For each device of the plan; `split`: what a rehearsal of the plan has shown.

    Where the plan could not be rehearsed, neither is the whole model: one would be compared with the other.
    """
    return tuple(_on(inventory, layouts, place, split, links) for place in dict.fromkeys(inventory.places))


def _on(inventory: Inventory, layouts: Layouts, place: Place, split: Rehearsed | None, links: Links) -> WholeReport:
    device = place.device
    (memory,) = layouts.measure([(0, inventory.model.num_layers)], [device.name], inventory.context)
    usable = int(device.memory_free_bytes * (1 - inventory.config.headroom))

    sizes = layouts.layer_sizes(inventory.context, [device.name])
    try:
        costs = whole_costs(inventory, place, sizes, split)
    except ClusterError:
        costs = _device_costs(inventory, place, sizes, links)
    speed = forecast(costs, inventory.context.n_slots)
    return WholeReport(
        node=place.node.name,
        device=device.name,
        total_bytes=memory.total_bytes,
        usable_bytes=usable,
        one_request_tokens_per_s=speed.one_request_tokens_per_s,
        all_slots_tokens_per_s=speed.all_slots_tokens_per_s,
    )


def _device_costs(inventory: Inventory, place: Place, sizes: LayerSizes, links: Links) -> PipelineCosts:
    """By what the device does with any model, where this one cannot be rehearsed."""
    num_threads, kind = inventory.config.threads or place.node.num_cores, bench_kind(inventory.model.header)
    profile = inventory.nodes.profile(place.node.name, place.device.name, kind, num_threads, 1, measure=True)
    assert profile is not None, "it was measured"
    read_bytes = Sums(sizes).read_bytes(0, sizes.num_layers)
    stages = (StageCosts(profile.steps_ms(read_bytes, inventory.model.vocab_size)),)
    if inventory.is_on_head:
        return PipelineCosts(stages, 0.0)
    return Route((place.node.name,), inventory.head.name, links, inventory.row_bytes).costs(stages)
