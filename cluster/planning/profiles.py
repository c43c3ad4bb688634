"""Offers of devices with what one stage on each was measured to do, for a given number of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.engine.cost.forecast import StepTime
from cluster.planning.inventory import Survey
from cluster.planning.measure.link import LinkFigures, loopback_link
from cluster.planning.measure.profile import DevicePace, bench_kind, measured_pace
from cluster.planning.search.cut_search import Range
from cluster.planning.search.placement import DeviceOffer, LayerSizes, Sums
from worker_native.probe import DeviceFacts


@dataclass(frozen=True, slots=True)
class Paces:
    """`devices[i]` is the pace of stage i's device with all of its stages at work, `alone[i]` with this one only.

    A lone request goes from stage to stage, so that only one works at a time. `link` is that between two stages.
    """

    devices: tuple[DevicePace, ...]
    alone: tuple[DevicePace, ...]
    link: LinkFigures
    hidden_width: int
    vocab_size: int

    def offers(self, plain: Sequence[DeviceOffer], num_rows: int) -> tuple[DeviceOffer, ...]:
        """The offers with the figures that the search goes by."""
        hop_s = self.link.hop_s(num_rows, self.hidden_width)
        return tuple(
            replace(offer, speed=pace.speed(num_rows), draw_s=pace.draw_s(num_rows, self.vocab_size), hop_s=hop_s)
            for offer, pace in zip(plain, self.devices, strict=True)
        )

    def full_times(self, ranges: Sequence[Range], sizes: LayerSizes, num_rows: int) -> list[StepTime]:
        """What a microbatch of `num_rows` costs on each stage while all stages work."""
        return self._times(self.devices, ranges, sizes, num_rows)

    def alone_times(self, ranges: Sequence[Range], sizes: LayerSizes, num_rows: int) -> list[StepTime]:
        """What it costs on each stage while the others wait, and may lend their cores."""
        return self._times(self.alone, ranges, sizes, num_rows)

    def _times(
        self, paces: Sequence[DevicePace], ranges: Sequence[Range], sizes: LayerSizes, num_rows: int
    ) -> list[StepTime]:
        sums, hop_s = Sums(sizes), self.link.hop_s(num_rows, self.hidden_width)
        times = []
        for (first, end), pace in zip(ranges, paces, strict=True):
            is_last = end == sizes.num_layers
            read_s = sums.read_bytes(first, end) / pace.speed(num_rows)
            draw_s = pace.draw_s(num_rows, self.vocab_size) if is_last else 0.0
            times.append(StepTime(read_s, draw_s, 0.0 if is_last else hop_s))
        return times


def find_paces(survey: Survey, *, measure: bool) -> Paces | None:
    """Kept figures; those that are missing are measured now, or the answer is None."""
    kind = bench_kind(survey.model.header)
    sharers = Counter(survey.devices)

    def pace(device: DeviceFacts, num_threads: int, num_sharers: int) -> DevicePace | None:
        return measured_pace(survey.probe, device, kind, num_threads, num_sharers, measure=measure)

    full = {device: pace(device, survey.num_threads, num_sharers) for device, num_sharers in sharers.items()}
    alone = {device: pace(device, survey.threads_alone(device), 1) for device in sharers}
    link = loopback_link(measure=measure)
    both = [(full[device], alone[device]) for device in survey.devices]
    known = [(busy, idle) for busy, idle in both if busy is not None and idle is not None]
    if link is None or len(known) < len(both):
        return None
    devices, by_itself = zip(*known, strict=True)
    return Paces(devices, by_itself, link, survey.model.hidden_width, survey.model.vocab_size)
