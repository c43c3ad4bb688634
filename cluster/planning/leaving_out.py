"""Which nodes make a plan slower, and by what: the same model on all others, beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.engine.cost.forecast import Forecast
from cluster.planning.estimate import Estimate, estimate
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layouts
from cluster.planning.links import Links, Pair, route_pairs
from cluster.planning.measure.dry_run import DryRun

LEAST_GAIN = 1.02  # measurements do not tell less apart


@dataclass(frozen=True, slots=True)
class WithoutNode:
    """The plan without the stages of one node, where that fits. Milliseconds are those of a round of one request."""

    node: str
    devices: tuple[str, ...]  # of the stages that are left, as ``--devices`` takes them
    one_request_tokens_per_s: float
    all_slots_tokens_per_s: float
    more_messages_ms: float  # with the node; below zero: it saves them
    more_computing_ms: float
    neighbour: str  # at the other end of the slowest of its links that the plan uses
    round_trip_ms: float  # of that link

    def is_faster_than(self, speed: Forecast) -> bool:
        """Whether anybody gets more tokens than with the node."""
        return (
            self.one_request_tokens_per_s > LEAST_GAIN * speed.one_request_tokens_per_s
            or self.all_slots_tokens_per_s > LEAST_GAIN * speed.all_slots_tokens_per_s
        )


def leave_out(found: Inventory, dry_run: DryRun, links: Links, plan: Estimate) -> tuple[WithoutNode, ...]:
    """For each node of the plan; () where it is on one. A node without which the model does not fit is not told of."""
    names = tuple(dict.fromkeys(found.node_names))
    if len(names) == 1:
        return ()
    tried = (_without(found, dry_run, links, plan, name) for name in names)
    return tuple(one for one in tried if one is not None)


def _without(found: Inventory, dry_run: DryRun, links: Links, plan: Estimate, node: str) -> WithoutNode | None:
    places = tuple(place for place in found.places if place.node.name != node)
    asked = replace(found.config, stages=None, devices=(), layers=None, tensor_split=None)
    fewer = replace(found, places=places, config=asked)
    if not all(links.reaches(*pair) for pair in route_pairs(fewer.node_names, found.head.name)):
        return None
    less = estimate(fewer, Layouts(fewer, dry_run), links, rehearse=False)
    if not less.layout.fits:
        return None
    more_messages_ms = plan.costs.messages_ms(1) - less.costs.messages_ms(1)
    more_ms = 1e3 / plan.speed.one_request_tokens_per_s - 1e3 / less.speed.one_request_tokens_per_s
    neighbour, round_trip_ms = _slowest_link(found, links, node)
    return WithoutNode(
        node=node,
        devices=tuple(place.name for place in places),
        one_request_tokens_per_s=less.speed.one_request_tokens_per_s,
        all_slots_tokens_per_s=less.speed.all_slots_tokens_per_s,
        more_messages_ms=more_messages_ms,
        more_computing_ms=more_ms - more_messages_ms,
        neighbour=neighbour,
        round_trip_ms=round_trip_ms,
    )


def _slowest_link(found: Inventory, links: Links, node: str) -> tuple[str, float]:
    """The neighbour at its other end, and its round trip in milliseconds."""

    def round_trip_ms(pair: Pair) -> float:
        link = links.between(*pair)
        return 0.0 if link is None else 1e3 * link.round_trip_s

    pair = max((pair for pair in route_pairs(found.node_names, found.head.name) if node in pair), key=round_trip_ms)
    return (pair[1] if pair[0] == node else pair[0]), round_trip_ms(pair)
