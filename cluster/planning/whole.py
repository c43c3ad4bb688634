"""The model on one device, without a cut: what a split has to be compared with."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import ClusterError
from cluster.engine.cost.decode import PipelineCosts
from cluster.engine.cost.forecast import forecast
from cluster.messages.stage import StageCosts
from cluster.planning.inventory import THIS_NODE, Inventory
from cluster.planning.layout import Layouts
from cluster.planning.measure.profile import bench_kind, measured_profile
from cluster.planning.rehearsals import whole_costs
from cluster.planning.search.placement import LayerSizes, Sums
from cluster.planning.stage_costs import Rehearsed
from worker_native.probe import DeviceFacts


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


def whole_report(inventory: Inventory, layouts: Layouts, split: Rehearsed | None) -> tuple[WholeReport, ...]:
    """For each device of the plan; `split`: what a rehearsal of the plan has shown."""
    return tuple(_on(inventory, layouts, device, split) for device in dict.fromkeys(inventory.devices))


def _on(inventory: Inventory, layouts: Layouts, device: DeviceFacts, split: Rehearsed | None) -> WholeReport:
    (memory,) = layouts.measure([(0, inventory.model.num_layers)], [device.name], inventory.context)
    usable = int(device.memory_free_bytes * (1 - inventory.config.headroom))

    sizes = layouts.layer_sizes(inventory.context, [device.name])
    try:
        costs = whole_costs(inventory, device, sizes, split)
    except ClusterError:
        costs = _device_costs(inventory, device, sizes)
    speed = forecast(costs, inventory.context.n_slots)
    return WholeReport(
        node=THIS_NODE,
        device=device.name,
        total_bytes=memory.total_bytes,
        usable_bytes=usable,
        one_request_tokens_per_s=speed.one_request_tokens_per_s,
        all_slots_tokens_per_s=speed.all_slots_tokens_per_s,
    )


def _device_costs(inventory: Inventory, device: DeviceFacts, sizes: LayerSizes) -> PipelineCosts:
    """By what the device does with any model, where this one cannot be rehearsed."""
    num_threads = inventory.config.threads or inventory.num_cores
    profile = measured_profile(inventory.probe, device, bench_kind(inventory.model.header), num_threads, 1)
    assert profile is not None, "it was measured"
    read_bytes = Sums(sizes).read_bytes(0, sizes.num_layers)
    return PipelineCosts((StageCosts(profile.steps_ms(read_bytes, inventory.model.vocab_size)),), 0.0)
