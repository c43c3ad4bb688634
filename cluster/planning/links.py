"""What messages between nodes take: links measured pair by pair, and the way of a row through the stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

from cluster.api.errors import ClusterError, UnreachableError
from cluster.engine.cost.decode import PipelineCosts
from cluster.engine.cost.tuning import HOP_MS, LEAST_LEAD_S
from cluster.messages.stage import StageCosts
from cluster.planning.measure.link import LinkFigures
from cluster.planning.nodes import Nodes

Pair = tuple[str, str]  # in alphabetical order


@dataclass(frozen=True, slots=True)
class Links:
    """What lies between nodes, each pair in one direction; an error where one does not reach the other."""

    figures: Mapping[Pair, LinkFigures | ClusterError]

    def between(self, node: str, other: str) -> LinkFigures | None:
        """None on one node. UnreachableError where there is no way."""
        if node == other:
            return None
        found = self.figures[pair_of(node, other)]
        if isinstance(found, ClusterError):
            raise UnreachableError(f"nodes {node} and {other} do not reach each other: {found}") from found
        return found

    def reaches(self, node: str, other: str) -> bool:
        return node == other or isinstance(self.figures[pair_of(node, other)], LinkFigures)

    def message_ms(self, node: str, other: str, num_bytes: int = 0) -> float:
        """A message with `num_bytes` of rows. UnreachableError where there is no way."""
        link = self.between(node, other)
        return HOP_MS if link is None else max(HOP_MS, 1e3 * link.round_trip_s / 2) + row_ms(link, num_bytes)


def pair_of(node: str, other: str) -> Pair:
    return (node, other) if node < other else (other, node)


def row_ms(link: LinkFigures | None, num_bytes: int) -> float:
    """What rows take longer for their size; on one node that is in what a message takes."""
    return 0.0 if link is None else 1e3 * num_bytes / link.bytes_per_s


def find_links(nodes: Nodes, pairs: Iterable[Pair]) -> Links:
    """Measure the links of these pairs, as many at the same time as have no node in common."""
    found: dict[Pair, LinkFigures | ClusterError] = {}

    def measure(pair: Pair) -> LinkFigures | ClusterError:
        try:
            return nodes.link(*pair)
        except ClusterError as error:
            return error

    with ThreadPoolExecutor() as pool:
        for together in rounds({pair_of(*pair) for pair in pairs}):
            found.update(zip(together, pool.map(measure, together), strict=True))
    return Links(found)


def rounds(pairs: Collection[Pair]) -> Iterator[list[Pair]]:
    """All pairs, in rounds in which each node has one at most."""
    left = sorted(pairs)
    while left:
        busy: set[str] = set()
        together = []
        for pair in left:
            if busy.isdisjoint(pair):
                busy.update(pair)
                together.append(pair)
        left = [pair for pair in left if pair not in together]
        yield together


@dataclass(frozen=True, slots=True)
class Route:
    """The way of rows and tokens: through the nodes of the stages, and from the last one back."""

    nodes: tuple[str, ...]  # of each stage
    head: str
    links: Links
    row_bytes: int

    def costs(self, stages: Sequence[StageCosts]) -> PipelineCosts:
        """The costs of a pipeline of `stages` on these nodes. UnreachableError where a link is missing."""
        if len(stages) == 1:
            return PipelineCosts(tuple(stages), max(HOP_MS, self._late_ms))
        forward_ms = sum(self.hops_ms())
        back_ms = self.links.message_ms(self.nodes[-1], self.nodes[0])
        mean_ms = (forward_ms + back_ms) / len(self.nodes)
        rows_ms = [row_ms(self.links.between(*hop), self.row_bytes) for hop in pairwise(self.nodes)]
        return PipelineCosts(
            tuple(stages),
            mean_ms,
            # So that hops and the way back through the coordinator add up to what they take.
            self._turn_ms + forward_ms - (len(self.nodes) - 1) * mean_ms,
            sum(rows_ms),
            max(rows_ms, default=0.0),
        )

    def hops_ms(self, num_rows: int = 0) -> list[float]:
        """From each stage to the next, with what so many rows take for their size."""
        return [self.links.message_ms(*hop, num_rows * self.row_bytes) for hop in pairwise(self.nodes)]

    @property
    def _late_ms(self) -> float:
        """How long a lone stage waits for its next step.

        That is sent ahead of the end of the one before, but comes late if the way there and back takes longer.
        """
        return max(0.0, self._turn_ms - 1e3 * LEAST_LEAD_S) if self.nodes[0] != self.head else 0.0

    @property
    def _turn_ms(self) -> float:
        """From the last stage to the coordinator, and on to the first stage; on one node it is as one message."""
        ways = [(self.nodes[-1], self.head), (self.head, self.nodes[0])]
        return sum(self.links.message_ms(*way) for way in ways if way[0] != way[1]) or HOP_MS


def route_pairs(nodes: Sequence[str], head: str) -> list[Pair]:
    """The links that a round passes."""
    ways = [*pairwise(nodes), (nodes[-1], nodes[0]), (nodes[-1], head), (head, nodes[0])]
    return [pair_of(*way) for way in ways if way[0] != way[1]]
