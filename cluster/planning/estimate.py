"""Where the layers of a model go on the places of an inventory, and how fast that will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from cluster.api.errors import ClusterError
from cluster.engine.cost.decode import PipelineCosts
from cluster.engine.cost.forecast import Forecast, forecast
from cluster.messages.stage import StageCosts
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layout, Layouts, offers_of
from cluster.planning.links import Links, Route, find_links
from cluster.planning.profiles import Profiles, find_profiles
from cluster.planning.rehearsals import rehearsed
from cluster.planning.search.placement import DeviceOffer
from cluster.planning.search.sizes import LayerSizes
from cluster.planning.stage_costs import Rehearsed


@dataclass(frozen=True, slots=True)
class Estimate:
    """A layout whether or not it fits, and what it will do. Stages of one machine were rehearsed, if they could be."""

    offers: tuple[DeviceOffer, ...]
    profiles: Profiles
    layout: Layout
    sizes: LayerSizes
    seen: Rehearsed | None
    route: Route
    costs: PipelineCosts
    speed: Forecast

    def hops_ms(self, num_rows: int) -> list[float]:
        """From each stage to the next: what messages between nodes take, or what a rehearsal has shown."""
        if len(set(self.route.nodes)) == 1:
            return [self.costs.hop_ms] * (len(self.route.nodes) - 1)
        return self.route.hops_ms(num_rows)


def estimate(found: Inventory, layouts: Layouts, links: Links, *, rehearse: bool = True) -> Estimate:
    """Measures devices where that was not done before. UsageError and ClusterError as for a plan.

    `rehearse`: stages of one machine, where that was not done before; what is compared with a plan over several nodes
    is not. UnreachableError where nodes of neighbouring stages do not reach each other.
    """
    profiles = find_profiles(found, measure=True)
    assert profiles is not None, "they were measured"
    offers = profiles.offers(offers_of(found), found.fullest_rows)
    is_possible = layouts.fits(offers, found.context)
    layout = layouts.lay_out(offers, found.context, within_memory=is_possible)
    sizes = layouts.layer_sizes(found.context, [offer.device for offer in offers])
    route = Route(found.node_names, found.head.name, links, found.row_bytes)
    seen = _rehearsed(found, layout, sizes) if rehearse and found.is_on_head else None
    known: PipelineCosts | None
    if seen is not None:
        costs, known = seen.costs(layout.ranges), seen.known(layout.ranges)
    elif rehearse and found.is_on_head:
        costs, known = profiles.costs(layout.ranges, sizes), None
    else:
        stages = with_lent_cores(found, profiles.costs(layout.ranges, sizes).stages)
        costs, known = route.costs(stages), PipelineCosts(stages)
    speed = forecast(costs, found.context.n_slots, profiles.sample_row_ms, known)
    return Estimate(offers, profiles, layout, sizes, seen, route, costs, speed)


def links_among(found: Inventory) -> Links:
    """All links between the nodes of a plan, the head among them: what a plan without one of them would use, too."""
    if found.links is not None:
        return found.links
    return find_links(found.nodes, combinations(sorted({found.head.name, *found.node_names}), 2))


def _rehearsed(found: Inventory, layout: Layout, sizes: LayerSizes) -> Rehearsed | None:
    """None where the model cannot be rehearsed here: then devices and links alone say what steps cost."""
    try:
        return rehearsed(found, layout.ranges, sizes)
    except ClusterError:
        return None


def with_lent_cores(found: Inventory, stages: Sequence[StageCosts]) -> tuple[StageCosts, ...]:
    """The costs with the cores that stages of one node lend each other, as they will say when they are loaded."""
    return tuple(
        StageCosts.of(costs.decode_ms, found.threads_exclusive(stage) / found.num_threads(stage))
        for stage, costs in enumerate(stages)
    )
