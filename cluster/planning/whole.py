"""The model on one device, without a cut: what a split has to be compared with."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.engine.cost.forecast import StepTime, forecast
from cluster.planning.inventory import THIS_NODE, Survey
from cluster.planning.layout import Layouts
from cluster.planning.measure.profile import bench_kind, measured_pace
from cluster.planning.search.placement import Sums
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


def whole_report(survey: Survey, layouts: Layouts) -> tuple[WholeReport, ...]:
    """For each device of the plan."""
    return tuple(_on(survey, layouts, device) for device in dict.fromkeys(survey.devices))


def _on(survey: Survey, layouts: Layouts, device: DeviceFacts) -> WholeReport:
    (memory,) = layouts.measure([(0, survey.model.num_layers)], [device.name], survey.context)
    usable = int(device.memory_free_bytes * (1 - survey.config.headroom))

    def times(num_rows: int) -> list[StepTime]:
        return [_step_time(survey, layouts, device, num_rows)]

    speed = forecast(times, times, survey.context.n_slots)
    return WholeReport(
        node=THIS_NODE,
        device=device.name,
        total_bytes=memory.total_bytes,
        usable_bytes=usable,
        one_request_tokens_per_s=speed.one_request_tokens_per_s,
        all_slots_tokens_per_s=speed.all_slots_tokens_per_s,
    )


def _step_time(survey: Survey, layouts: Layouts, device: DeviceFacts, num_rows: int) -> StepTime:
    num_threads = survey.config.threads or survey.num_cores
    pace = measured_pace(survey.probe, device, bench_kind(survey.model.header), num_threads, 1)
    assert pace is not None, "it was measured"
    sizes = layouts.layer_sizes(survey.context, [device.name])
    read_bytes = Sums(sizes).read_bytes(0, sizes.num_layers)
    return StepTime(read_bytes / pace.speed(num_rows), pace.draw_s(num_rows, survey.model.vocab_size))
