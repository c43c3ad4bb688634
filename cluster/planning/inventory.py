"""What a plan starts from: the model's header, and the devices of the nodes. Reads headers, loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.model import Model
from cluster.cutting.sizes import trained_context
from cluster.engine.cost.decode import most_lanes_of, rows_per_lane
from cluster.planning.links import Links
from cluster.planning.measure.dry_run import Context, DryRun
from cluster.planning.nodes import NodeFacts, Nodes, Surveyed, ThisMachine
from cluster.planning.places import Place, choose_places
from cluster.planning.search.placement import checked_cuts
from cluster.planning.vocabulary import check_vocabulary
from cluster.sources.adapter import OpenAdapter, open_adapter
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.source import ModelSource
from worker_native.probe import DeviceFacts, Probe

DEFAULT_CONTEXT_LENGTH = 4096
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Inventory:
    """`places` holds one per stage, in order, the same one again where stages share it."""

    config: ClusterConfig
    source: ModelSource
    whole_path: Path | None  # the one local file that is the whole model, if there is one
    model: Model
    model_hash: str
    adapters: tuple[OpenAdapter, ...]  # that are added to it
    cuts: tuple[int, ...]
    context: Context
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
    def row_bytes(self) -> int:
        """What one row takes on its way from a stage to the next."""
        return FLOAT_BYTES * self.model.row_width

    def dry_run(self) -> DryRun:
        """Of slices of the model, with their part of the adapters. Close it."""
        return DryRun(self.model, [one.adapter for one in self.adapters])

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

    @property
    def fullest_rows(self) -> int:
        """Rows of a microbatch when all slots are in use and every stage has one."""
        num_slots = self.context.n_slots
        return rows_per_lane(num_slots, most_lanes_of(len(self.devices), num_slots))

    def _num_cpu_stages(self, node: NodeFacts, before: int | None = None) -> int:
        """On the CPU of a node; of the stages in front of `before` only, if that is given."""
        return sum(place.node == node and place.device.kind == "cpu" for place in self.places[:before])


def check_asked(config: ClusterConfig) -> None:
    """Whatever can be found wrong with the model and the settings without looking at any machine. Errors as below."""
    source = resolve(config.model)
    model = open_model(source).model
    _context_length(config, trained_context(model))
    if config.num_stages is not None:
        checked_cuts(model.num_layers, config.num_stages, legal_cuts(model))
    check_vocabulary(model.header, source.shown_name)
    for text in config.lora:
        open_adapter(text, model)


def take_inventory(config: ClusterConfig, nodes: Nodes | None = None) -> Inventory:
    """Check the model and the nodes: by default this machine alone.

    UsageError (ModelFileError, UnsupportedModelError among them), ClusterError.
    """
    source = resolve(config.model)
    opened = open_model(source)
    model = opened.model
    context_length = _context_length(config, trained_context(model))
    nodes, cuts = Surveyed(nodes or ThisMachine()), legal_cuts(model)
    is_alone = len(nodes.facts) == 1
    # Rows of a microbatch where each node has one, as far as slots go around.
    num_rows = rows_per_lane(config.parallel, most_lanes_of(len(nodes.facts), config.parallel))
    # A text model that cannot be cut so often is refused with its reason; an encoder never could be.
    most_stages = model.num_layers if is_alone and not model.row.is_encoder else len(cuts) + 1
    places, links = choose_places(config, nodes, most_stages, num_rows * FLOAT_BYTES * model.row_width)
    context = Context(
        n_ctx=context_length,
        n_slots=config.parallel,
        n_ubatch=config.ubatch_size,
        type_k=config.cache_type_k,
        type_v=config.cache_type_v,
        flash_attn=config.flash_attn,
        use_extra_bufts=all(node.probe.use_extra_bufts for node in nodes.facts),
    )
    return Inventory(
        config=config,
        source=source,
        whole_path=opened.path,
        model=model,
        model_hash=opened.hash,
        adapters=tuple(open_adapter(text, model) for text in config.lora),
        cuts=cuts,
        context=context,
        nodes=nodes,
        places=places,
        links=links,
    )


def _context_length(config: ClusterConfig, trained: int) -> int:
    if config.ctx_size == 0:
        return trained
    asked = config.ctx_size or min(trained, DEFAULT_CONTEXT_LENGTH)
    if asked > trained:
        raise UsageError(f"ctx-size: {asked} is more than the {trained} tokens the model was trained for")
    return asked
