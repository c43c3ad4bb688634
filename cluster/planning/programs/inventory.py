"""What a plan for a program starts from: its units and what they take, and the devices of the nodes."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.cutting.programs.model import ProgramModel
from cluster.cutting.servable import cuts_of
from cluster.planning.nodes import Nodes, Surveyed, ThisMachine
from cluster.planning.places import choose_places
from cluster.planning.search.placement import LayerSizes, Scratch, checked_cuts
from cluster.planning.survey import Survey
from cluster.sources.source import ModelSource
from cluster.store.opened import OpenModel
from ggml.programs.slices.memory import compute_bytes
from ggml.programs.slices.sizes import unit_sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramInventory(Survey):
    """A program, and where."""

    model: ProgramModel

    @property
    def row_bytes(self) -> int:
        """The most that a call takes on its way from one stage to the next, for the example's shapes."""
        return _carried_bytes(self.model)

    @property
    def stored_bytes(self) -> dict[str, int]:
        """What each tensor takes as it is stored."""
        stored = self.model.stored(self.model.graph)
        return {one.name: info.size_bytes if info else 0 for one, info in stored}

    def sizes(self) -> LayerSizes:
        """For the search: a call's own memory is that of the whole program's, wherever it is cut."""
        graph = self.model.graph
        units = unit_sizes(graph, self.model.places, self.stored_bytes)
        scratch = compute_bytes(graph, graph.hints)
        return LayerSizes(
            layer_bytes=tuple([unit.weight_bytes for unit in units]),
            kv_bytes=tuple([unit.state_bytes for unit in units]),
            embed_bytes=0,
            head_bytes=0,
            scratch=Scratch(scratch, scratch, scratch, scratch),
            work=tuple([unit.work for unit in units]),
        )


def check_program_asked(config: ClusterConfig, opened: OpenModel, model: ProgramModel) -> None:
    """UsageError for what can be found wrong without looking at any machine."""
    if model.has_state:
        raise UsageError(
            f"{opened.name}: its calls change buffers, which are one sequence's; nobody else could call it. "
            "Run it with: python -m ggml run"
        )
    for name, is_given in (("lora", config.lora), ("embeddings", config.embeddings)):
        if is_given:
            raise UsageError(f"{name}: {opened.name} is a program, which has no such thing; leave it out")
    if config.num_stages is not None:
        checked_cuts(model.num_layers, config.num_stages, cuts_of(model))


def program_inventory(
    config: ClusterConfig, source: ModelSource, opened: OpenModel, model: ProgramModel, nodes: Nodes | None = None
) -> ProgramInventory:
    """Check what is asked, and the nodes: by default this machine alone. UsageError, ClusterError."""
    check_program_asked(config, opened, model)
    nodes = Surveyed(nodes or ThisMachine())
    places, links = choose_places(config, nodes, model.num_layers, _carried_bytes(model))
    return ProgramInventory(
        config=config,
        source=source,
        whole_path=opened.path,
        model_hash=opened.hash,
        cuts=cuts_of(model),
        nodes=nodes,
        places=places,
        links=links,
        model=model,
    )


def _carried_bytes(model: ProgramModel) -> int:
    return max((place.num_bytes for place in model.places), default=0)
