"""What a plan starts from: the model's header, and the devices of the nodes. Reads headers, loads nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.model import Model
from cluster.cutting.sizes import trained_context
from cluster.engine.cost.decode import most_lanes_of, rows_per_lane
from cluster.planning.measure.dry_run import Context, DryRun
from cluster.planning.nodes import Nodes, Surveyed, ThisMachine
from cluster.planning.places import choose_places
from cluster.planning.projectors import beside_encoder, check_projector
from cluster.planning.search.placement import checked_cuts
from cluster.planning.survey import Survey
from cluster.planning.vocabulary import check_vocabulary
from cluster.sources.adapter import OpenAdapter, open_adapter
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.source import ModelSource
from cluster.store.opened import OpenModel

DEFAULT_CONTEXT_LENGTH = 4096
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory(Survey):
    """A model that libllama computes, and where."""

    model: Model
    adapters: tuple[OpenAdapter, ...]  # that are added to it
    context: Context

    @property
    def row_bytes(self) -> int:
        """What one row takes on its way from a stage to the next."""
        return FLOAT_BYTES * self.model.row_width

    def dry_run(self) -> DryRun:
        """Of slices of the model, with their part of the adapters. Close it."""
        return DryRun(self.model, [one.adapter for one in self.adapters])

    @property
    def rounding(self) -> str:
        """How the stages round otherwise than the whole model; empty: they do not."""
        return self.model.rounded.how if self.model.rounded is not None and len(self.places) > 1 else ""

    @property
    def fullest_rows(self) -> int:
        """Rows of a microbatch when all slots are in use and every stage has one."""
        num_slots = self.context.n_slots
        return rows_per_lane(num_slots, most_lanes_of(len(self.devices), num_slots))


def check_asked(config: ClusterConfig, opened: OpenModel) -> None:
    """Whatever can be found wrong with the model and the settings without looking at any machine. Errors as below."""
    model = opened.gguf
    _context_length(config, model)
    if config.num_stages is not None:
        cuts = legal_cuts(model, config.allow_rounding)
        _check_rounding(model, cuts, config.num_stages)
        checked_cuts(model.num_layers, config.num_stages, cuts)
    check_vocabulary(model, opened.name)
    for text in config.lora:
        open_adapter(text, model)
    check_projector(config.mmproj, model, config.ubatch_size)


def take_inventory(config: ClusterConfig, nodes: Nodes | None = None) -> Inventory:
    """Check the model and the nodes: by default this machine alone.

    UsageError (ModelFileError, UnsupportedModelError among them), ClusterError.
    """
    source = resolve(config.model)
    return inventory_of(config, source, open_model(source), nodes)


def inventory_of(
    config: ClusterConfig, source: ModelSource, opened: OpenModel, nodes: Nodes | None = None
) -> Inventory:
    """The same, of a model that is open."""
    model = opened.gguf
    context_length = _context_length(config, model)
    check_projector(config.mmproj, model, config.ubatch_size)
    nodes = beside_encoder(config, Surveyed(nodes or ThisMachine()))
    cuts = legal_cuts(model, config.allow_rounding)
    is_alone = len(nodes.facts) == 1
    # Rows of a microbatch where each node has one, as far as slots go around.
    num_rows = rows_per_lane(config.parallel, most_lanes_of(len(nodes.facts), config.parallel))
    # A text model that cannot be cut so often is refused with its reason; an encoder never could be.
    most_stages = model.num_layers if is_alone and not model.row.is_encoder else len(cuts) + 1
    places, links = choose_places(config, nodes, most_stages, num_rows * FLOAT_BYTES * model.row_width)
    _check_rounding(model, cuts, len(places))
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


def _check_rounding(model: Model, cuts: Collection[int], num_stages: int) -> None:
    """UsageError where there are too many stages for `cuts`, and would not be if they might round otherwise."""
    if len(cuts) + 1 < num_stages <= len(legal_cuts(model, allow_rounding=True)) + 1:
        why = next(filter(None, (place.refusal_unless(False) for place in model.places)))
        raise UsageError(f"stages: {num_stages}, but {why}, or --stages 1 to serve it whole")


def context_within(config: ClusterConfig, most: int, what: str) -> int:
    """Tokens of a slot, of `most` that are possible, which is `what`. UsageError for more."""
    if config.ctx_size == 0:
        return most
    asked = config.ctx_size or min(most, DEFAULT_CONTEXT_LENGTH)
    if asked > most:
        raise UsageError(f"ctx-size: {asked} is more than the {most} tokens {what}")
    return asked


def _context_length(config: ClusterConfig, model: Model) -> int:
    return context_within(config, trained_context(model), "the model was trained for")
