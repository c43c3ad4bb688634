"""Why the layers are where they are: what `cluster plan --explain` prints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cluster.planning.estimate import Estimate
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layout
from cluster.planning.links import Route
from cluster.planning.profiles import Profiles
from cluster.planning.search.cut_search import Range
from cluster.planning.search.sizes import LayerSizes, Sums


def explain(inventory: Inventory, plan: Estimate) -> tuple[str, ...]:
    """Sentences, from what was asked to what the neighbouring cuts would give."""
    num_rows = inventory.fullest_rows
    return (
        chosen_cuts(inventory),
        *_messages(plan),
        *_stages(plan.profiles, plan.layout, plan.sizes, num_rows),
        *_neighbours(inventory, plan.profiles, plan.layout, plan.sizes, num_rows),
    )


def chosen_cuts(inventory: Inventory) -> str:
    """How many cuts there are, and who chose."""
    config, num_layers = inventory.config, inventory.model.num_layers
    chosen = "as --layers says" if config.layers else "nearest to --tensor-split" if config.tensor_split else "searched"
    places = f"{len(inventory.cuts)} of {num_layers - 1} places between {num_layers} layers"
    return f"cuts: {places} are legal; the cuts are {chosen}"


def _messages(plan: Estimate) -> list[str]:
    route, hop_ms = plan.route, plan.costs.hop_ms
    if len(set(route.nodes)) > 1:
        return [*_order(route), *_hops(plan)]
    hops = f"{hop_ms:.2f} ms from each stage to the next, and from the last one back"
    return [f"messages: {hops if len(route.nodes) > 1 else f'{hop_ms:.2f} ms between two steps'}"]


def _order(route: Route) -> list[str]:
    nodes = list(dict.fromkeys(route.nodes))
    return [f"order: {', '.join(nodes)}, and back to the coordinator on {route.head}"]


def _hops(plan: Estimate) -> list[str]:
    """What lies between stages of different nodes."""
    lines, route = [], plan.route
    num_rows = plan.speed.rows_per_microbatch
    for (node, other), hop_ms in zip(pairwise(route.nodes), route.hops_ms(num_rows), strict=True):
        link = route.links.between(node, other)
        if link is not None:
            lines.append(
                f"link {node} to {other}: {1e3 * link.round_trip_s:.2f} ms there and back, "
                f"{link.bytes_per_s / 1e6:,.0f} MB/s: {num_rows * route.row_bytes / 1e3:,.0f} kB take {hop_ms:.2f} ms"
            )
    return lines


def _stages(profiles: Profiles, layout: Layout, sizes: LayerSizes, num_rows: int) -> list[str]:
    sums, lines = Sums(sizes), []
    steps_ms = profiles.costs(layout.ranges, sizes).steps_ms(num_rows)
    for stage, (cut, step_ms, profile) in enumerate(zip(layout.ranges, steps_ms, profiles.devices, strict=True)):
        sample_ms = num_rows * profiles.sample_row_ms if stage == len(steps_ms) - 1 else 0.0
        what = f" and samples {num_rows} tokens in {sample_ms:.2f} ms" if sample_ms else ""
        speeds = f"{profile.speed(num_rows) / 1e9:.1f} GB/s ({profile.speed(1) / 1e9:.1f} with one row)"
        lines.append(
            f"stage {stage}: reads {sums.read_bytes(*cut) / 1e6:,.1f} MB per step at {speeds} "
            f"in {step_ms - sample_ms:.2f} ms{what}"
        )
    return lines


def _neighbours(
    inventory: Inventory, profiles: Profiles, layout: Layout, sizes: LayerSizes, num_rows: int
) -> list[str]:
    """What each cut would give if it lay at the next legal place on either side."""
    lines = []
    for stage in range(1, len(layout.ranges)):
        here = layout.ranges[stage][0]
        before = max((cut for cut in inventory.cuts if layout.ranges[stage - 1][0] < cut < here), default=None)
        after = min((cut for cut in inventory.cuts if here < cut < layout.ranges[stage][1]), default=None)
        found = [f"{_slowest_ms(layout.ranges, profiles, sizes, num_rows):.2f} ms with the cut before layer {here}"]
        for cut in (before, after):
            if cut is not None:
                moved = _moved(layout.ranges, stage, cut)
                found.append(f"{_slowest_ms(moved, profiles, sizes, num_rows):.2f} ms before layer {cut}")
        lines.append(f"cut {stage}: the slowest stage takes " + ", ".join(found))
    return lines


def _moved(ranges: Sequence[Range], stage: int, cut: int) -> list[Range]:
    return [*ranges[: stage - 1], (ranges[stage - 1][0], cut), (cut, ranges[stage][1]), *ranges[stage + 1 :]]


def _slowest_ms(ranges: Sequence[Range], profiles: Profiles, sizes: LayerSizes, num_rows: int) -> float:
    return max(profiles.costs(ranges, sizes).steps_ms(num_rows))
