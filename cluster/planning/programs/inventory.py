"""What a plan for a program starts from: its units and what they take, and the devices of the nodes."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.cutting.programs.model import ProgramModel
from cluster.cutting.servable import cuts_of
from cluster.planning.inventory import FLOAT_BYTES, context_within
from cluster.planning.nodes import Nodes, Surveyed, ThisMachine
from cluster.planning.places import choose_places
from cluster.planning.search.placement import checked_cuts
from cluster.planning.search.sizes import LayerSizes, Scratch
from cluster.planning.survey import Survey
from cluster.planning.vocabulary import check_vocabulary
from cluster.sources.source import ModelSource
from cluster.store.opened import OpenModel
from ggml.generation.running import pieces
from ggml.programs.slices.memory import compute_bytes
from ggml.programs.slices.sizes import unit_sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramInventory(Survey):
    """A program, and where."""

    model: ProgramModel

    @property
    def row_bytes(self) -> int:
        """The most that a call takes on its way from one stage to the next, for the example's shapes; of a program that
        makes text, what a token takes."""
        return _carried_bytes(self.model)

    @property
    def context_length(self) -> int:
        """Tokens of a slot; 0 of a program that makes no text."""
        return _context_length(self.config, self.model)

    @property
    def num_slots(self) -> int:
        """Each of which has the buffers that calls change."""
        return self.config.parallel if self.model.text else 1

    @property
    def most_tokens(self) -> int:
        """Of one call of a program that makes text: a power of two."""
        assert self.model.text is not None
        most = self.model.text.form.most_tokens
        return pieces(min(self.config.ubatch_size, most or self.config.ubatch_size), self.config.ubatch_size)[0]

    @property
    def fullest_call(self) -> tuple[int, ...]:
        """The extents by which memory is planned: the example's, or those of as many tokens as go at a time."""
        graph, text = self.model.graph, self.model.text
        symbols = graph.hints if text is None else text.form.symbols(graph, 1, self.most_tokens)
        assert symbols is not None
        return symbols

    def sent_bytes(self, unit: int) -> int:
        """What such a call takes on its way over the place in front of a unit; 0 behind the last one."""
        if unit == self.model.num_layers:
            return 0
        return self.row_bytes * self.most_tokens if self.model.text else self.model.places[unit - 1].num_bytes

    @property
    def stored_bytes(self) -> dict[str, int]:
        """What each tensor takes as it is stored."""
        stored = self.model.stored(self.model.graph)
        return {one.name: info.size_bytes if info else 0 for one, info in stored}

    def sizes(self) -> LayerSizes:
        """For the search: a call's own memory is that of the whole program's, wherever it is cut."""
        graph, text = self.model.graph, self.model.text
        units = unit_sizes(graph, self.model.places, self.stored_bytes)
        # Shorter calls for texts are halves of longer ones, and what each of them takes is kept.
        scratch = compute_bytes(graph, self.fullest_call) * (1 if text is None else 2)
        return LayerSizes(
            layer_bytes=tuple([unit.weight_bytes for unit in units]),
            kv_bytes=tuple([unit.state_bytes * self.num_slots for unit in units]),
            embed_bytes=0,
            head_bytes=0,
            scratch=Scratch(scratch, scratch, scratch, scratch),
            work=tuple([unit.work for unit in units]),
        )


def check_program_asked(config: ClusterConfig, opened: OpenModel, model: ProgramModel) -> None:
    """UsageError for what can be found wrong without looking at any machine."""
    if model.why_no_text:
        raise UsageError(
            f"{opened.name}: its calls change buffers, which are one sequence's, and text cannot be asked of it: "
            f"{model.why_no_text}. Run it with: python -m ggml run"
        )
    _context_length(config, model)
    given = (("lora", config.lora), ("mmproj", config.mmproj), ("embeddings", config.embeddings))
    for name, is_given in given:
        if is_given:
            raise UsageError(f"{name}: {opened.name} is a program, which has no such thing; leave it out")
    if model.text is not None:
        check_vocabulary(model, opened.name)
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


def _context_length(config: ClusterConfig, model: ProgramModel) -> int:
    """UsageError for more than the program's buffers hold, and where nobody says how much that is."""
    if model.text is None:
        return 0
    most = model.text.form.context_length
    if most is not None:
        return context_within(config, most, "that the program's buffers hold")
    if not config.ctx_size:
        raise UsageError("ctx-size: the program does not tell how many tokens its buffers hold; give it")
    return config.ctx_size


def _carried_bytes(model: ProgramModel) -> int:
    if model.text is not None:
        return FLOAT_BYTES * model.text.row_width
    return max((place.num_bytes for place in model.places), default=0)
