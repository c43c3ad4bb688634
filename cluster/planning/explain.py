"""Why the layers are where they are: what `cluster plan --explain` prints."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.planning.inventory import Survey
from cluster.planning.layout import Layout
from cluster.planning.profiles import Paces
from cluster.planning.search.cut_search import Range
from cluster.planning.search.placement import LayerSizes, Sums


def reasons(survey: Survey, paces: Paces, layout: Layout, sizes: LayerSizes, num_rows: int) -> tuple[str, ...]:
    """Sentences, from what was asked to what the neighbouring cuts would give."""
    return (
        _cuts(survey),
        _link(paces, num_rows),
        *_stages(paces, layout, sizes, num_rows),
        *_neighbours(survey, paces, layout, sizes, num_rows),
    )


def _cuts(survey: Survey) -> str:
    config, num_layers = survey.config, survey.model.num_layers
    chosen = "as --layers says" if config.layers else "nearest to --tensor-split" if config.tensor_split else "searched"
    places = f"{len(survey.cuts)} of {num_layers - 1} places between {num_layers} layers"
    return f"cuts: {places} are legal; the cuts are {chosen}"


def _link(paces: Paces, num_rows: int) -> str:
    link = paces.link
    return (
        f"link: {1e3 * link.round_trip_s:.2f} ms round trip, {link.bytes_per_s / 1e6:.0f} MB/s; "
        f"a microbatch of {num_rows} rows is {num_rows * paces.hidden_width * 4 / 1e3:.1f} kB"
    )


def _stages(paces: Paces, layout: Layout, sizes: LayerSizes, num_rows: int) -> list[str]:
    sums, lines = Sums(sizes), []
    times = paces.full_times(layout.ranges, sizes, num_rows)
    for stage, (cut, time, pace) in enumerate(zip(layout.ranges, times, paces.devices, strict=True)):
        last = f"draws {num_rows} tokens in {1e3 * time.draw_s:.2f} ms"
        what = last if time.draw_s else f"passes its rows on in {1e3 * time.hop_s:.2f} ms"
        speeds = f"{pace.speed(num_rows) / 1e9:.1f} GB/s ({pace.speed(1) / 1e9:.1f} with one row)"
        lines.append(
            f"stage {stage}: reads {sums.read_bytes(*cut) / 1e6:,.1f} MB per step at {speeds} "
            f"in {1e3 * time.read_s:.2f} ms and {what}"
        )
    return lines


def _neighbours(survey: Survey, paces: Paces, layout: Layout, sizes: LayerSizes, num_rows: int) -> list[str]:
    """What each cut would give if it lay at the next legal place on either side."""
    lines = []
    for stage in range(1, len(layout.ranges)):
        here = layout.ranges[stage][0]
        before = max((cut for cut in survey.cuts if layout.ranges[stage - 1][0] < cut < here), default=None)
        after = min((cut for cut in survey.cuts if here < cut < layout.ranges[stage][1]), default=None)
        found = [f"{_slowest_ms(layout.ranges, paces, sizes, num_rows):.2f} ms with the cut before layer {here}"]
        for cut in (before, after):
            if cut is not None:
                moved = _moved(layout.ranges, stage, cut)
                found.append(f"{_slowest_ms(moved, paces, sizes, num_rows):.2f} ms before layer {cut}")
        lines.append(f"cut {stage}: the slowest stage takes " + ", ".join(found))
    return lines


def _moved(ranges: Sequence[Range], stage: int, cut: int) -> list[Range]:
    return [*ranges[: stage - 1], (ranges[stage - 1][0], cut), (cut, ranges[stage][1]), *ranges[stage + 1 :]]


def _slowest_ms(ranges: Sequence[Range], paces: Paces, sizes: LayerSizes, num_rows: int) -> float:
    return 1e3 * max(time.total_s for time in paces.full_times(ranges, sizes, num_rows))
