"""A plan for what is left of a cluster: as fast as the best one, or nearly so, with as few weights moved as can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cluster.api.errors import CapacityError
from cluster.engine.cost.decode import PipelineCosts
from cluster.engine.cost.forecast import forecast
from cluster.planning.estimate import with_lent_cores
from cluster.planning.former import Former
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layout, Layouts, offers_of
from cluster.planning.links import Links, Route, find_links, route_pairs
from cluster.planning.places import Place
from cluster.planning.profiles import Profiles, find_profiles
from cluster.planning.search.sizes import LayerSizes, Sums

# How much slower than the best plan one may be that moves less: the share of its tokens/s, and of its slowest stage's
# time. Two measurements of one small model differ by as much (docs/planning.md), so that plans which are nearer than
# that cannot be told apart, while streams do wait for whatever is moved.
SLOWER = 0.15


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan that might be taken."""

    found: Inventory  # with its places
    profiles: Profiles | None
    layout: Layout
    moves: tuple[int, int]  # bytes that are new to their devices; bytes of the stages whose layers change
    rates: tuple[float, ...]  # tokens/s of one request and with all slots; () where no device was measured


def stay(found: Inventory, former: Former) -> Candidate:
    """The plan for the places of `found`, or for those where the layers were before, that moves the fewest bytes.

    CapacityError where none fits.
    """
    chosen = found.places
    # Devices that the user named are taken in the user's order.
    former_places = () if found.config.devices else former.places(chosen, found.nodes.facts)
    everywhere = [places for places in dict.fromkeys((chosen, former_places)) if places]
    links = _links(found, everywhere)
    tried: list[Candidate | CapacityError] = []
    with found.dry_run() as dry_run:
        for places in _within_reach(found, everywhere, links):
            here = replace(found, places=places)
            # What is not measured cannot be compared.
            profiles = find_profiles(here, measure=len(everywhere) > 1 or len(set(places)) > 1)
            tried += _candidates(here, former, profiles, Layouts(here, dry_run), links)
    candidates = [one for one in tried if isinstance(one, Candidate)]
    failures = [one for one in tried if isinstance(one, CapacityError)]
    if not candidates:
        raise failures[0]
    return fewest(candidates)


def fewest(candidates: Sequence[Candidate]) -> Candidate:
    """Of those that are hardly slower than the first one, which is the best there is, the one that moves the least."""
    best = candidates[0]
    near = [
        one
        for one in candidates
        if all(rate >= (1 - SLOWER) * of_best for rate, of_best in zip(one.rates, best.rates, strict=True))
    ]
    return min(near, key=lambda one: one.moves)


def _candidates(
    found: Inventory, former: Former, profiles: Profiles | None, layouts: Layouts, links: Links | None
) -> Iterator[Candidate | CapacityError]:
    """On these places: the best plan, then the one that moves the least; or why it does not fit."""
    offers = offers_of(found)
    if profiles is not None:
        offers = profiles.offers(offers, found.fullest_rows)
    held = [former.held(name) for name in found.device_names]
    sizes = layouts.layer_sizes(found.context, [offer.device for offer in offers])
    sums = Sums(sizes)
    for kept in ((), held):
        try:
            layout = layouts.lay_out(offers, found.context, held=kept, slack=SLOWER)
        except CapacityError as error:
            yield error
            continue
        stages = list(zip(layout.ranges, held, strict=True))
        moved_bytes = sum(sums.moved_bytes(*cut, has) for cut, has in stages)
        loaded_bytes = sum(sums.weight_bytes(*cut) for cut, has in stages if cut not in has)
        rates = _rates(found, profiles, layout, sizes, links) if profiles is not None else ()
        yield Candidate(found, profiles, layout, (moved_bytes, loaded_bytes), rates)


def _rates(
    found: Inventory, profiles: Profiles, layout: Layout, sizes: LayerSizes, links: Links | None
) -> tuple[float, float]:
    """As `cluster plan` forecasts them for several nodes; without what messages take, where they go the same way."""
    known = PipelineCosts(with_lent_cores(found, profiles.costs(layout.ranges, sizes).stages))
    costs = known
    if links is not None:
        costs = Route(found.node_names, found.head.name, links, found.row_bytes).costs(known.stages)
    speed = forecast(costs, found.context.n_slots, profiles.sample_row_ms, known)
    return speed.one_request_tokens_per_s, speed.all_slots_tokens_per_s


def _links(found: Inventory, everywhere: Sequence[Sequence[Place]]) -> Links | None:
    """Those that rows pass on the ways through these places, measured now unless that was done; None for one way."""
    ways = {tuple(place.node.name for place in places) for places in everywhere}
    if len(ways) == 1:
        return None
    pairs = {pair for way in ways for pair in route_pairs(way, found.head.name)}
    known = found.links.figures if found.links is not None else {}
    return Links({**find_links(found.nodes, pairs - known.keys()).figures, **known})


def _within_reach(
    found: Inventory, everywhere: Sequence[tuple[Place, ...]], links: Links | None
) -> list[tuple[Place, ...]]:
    """The places between whose nodes there are links. UnreachableError where there are none such."""
    if links is None:
        return list(everywhere)
    pairs = {places: route_pairs([place.node.name for place in places], found.head.name) for places in everywhere}
    reached = [places for places in everywhere if all(links.reaches(*pair) for pair in pairs[places])]
    if not reached:
        for pair in pairs[everywhere[0]]:
            links.between(*pair)
    return reached
