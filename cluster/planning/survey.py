"""What any plan starts from: a model that can be cut, and the devices of the nodes, in the order of the stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.config import ClusterConfig
from cluster.planning.links import Links
from cluster.planning.nodes import NodeFacts, Nodes
from cluster.planning.places import Place
from cluster.sources.source import ModelSource
from worker_native.probe import DeviceFacts, Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """`places` holds one per stage, in order, the same one again where stages share it."""

    config: ClusterConfig
    source: ModelSource
    whole_path: Path | None  # the one local file that is the whole model, if there is one
    model_hash: str
    cuts: tuple[int, ...]
    nodes: Nodes
    places: tuple[Place, ...]
    links: Links | None  # those that the order of the places was chosen by; None: it was not asked for

    @property
    def head(self) -> NodeFacts:
        """Where the plan is made, and where the coordinator will run."""
        return self.nodes.facts[0]

    @property
    def probe(self) -> Probe:
        """Of the head: all nodes have the same build of the library."""
        return self.head.probe

    @property
    def devices(self) -> tuple[DeviceFacts, ...]:
        """The device of each stage."""
        return tuple(place.device for place in self.places)

    @property
    def is_on_head(self) -> bool:
        """Whether all stages are on the head: then they can be rehearsed where the plan is made."""
        return all(place.node == self.head for place in self.places)

    @property
    def node_names(self) -> tuple[str, ...]:
        """The node of each stage."""
        return tuple(place.node.name for place in self.places)

    @property
    def device_names(self) -> tuple[str, ...]:
        """The device of each stage, as ``--devices`` takes it: "two:CUDA0"."""
        return tuple(place.name for place in self.places)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the libraries of the nodes have against them."""
        nodes = self.nodes.facts
        warned = [node for node in nodes if node.probe.warning]
        return tuple(node.probe.warning if len(nodes) == 1 else f"{node.name}: {node.probe.warning}" for node in warned)

    def num_threads(self, stage: int) -> int:
        """Threads of a CPU stage: those of its node are divided among the stages there."""
        node = self.places[stage].node
        num_stages = sum(place.node == node for place in self.places)
        return self.config.threads or max(1, node.num_cores // num_stages)

    def threads_exclusive(self, stage: int) -> int:
        """A stage that computes alone may use the threads of all stages on its CPU, but no more than that has cores."""
        place, num_threads = self.places[stage], self.num_threads(stage)
        if not self.config.lend_cores or place.device.kind != "cpu":
            return num_threads
        return max(num_threads, min(place.node.num_cores, num_threads * self._num_cpu_stages(place.node)))

    def first_core(self, stage: int) -> int | None:
        """The first of the cores that are a CPU stage's own, where the stages have each core of their node once.

        Elsewhere threads must be free to get out of each other's way: None.
        """
        place, num_threads = self.places[stage], self.num_threads(stage)
        node = place.node
        if place.device.kind != "cpu" or num_threads * self._num_cpu_stages(node) != node.num_cores:
            return None
        return num_threads * self._num_cpu_stages(node, stage)

    def _num_cpu_stages(self, node: NodeFacts, before: int | None = None) -> int:
        """On the CPU of a node; of the stages in front of `before` only, if that is given."""
        return sum(place.node == node and place.device.kind == "cpu" for place in self.places[:before])
