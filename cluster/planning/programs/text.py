"""The same of a program that makes text: what its stages and its coordinator are told, as those of any such model."""

from __future__ import annotations

from cluster.cutting.programs.text import ProgramText
from cluster.planning.coordinator_specs import text_coordinator
from cluster.planning.model_plan import ModelPlan
from cluster.planning.programs.inventory import ProgramInventory
from cluster.planning.stage_specs import text_stage_specs
from cluster.stage.spec import TextOptions
from ggml.programs.graph import Graph


def plan_text(found: ProgramInventory, text: ProgramText, bounds: tuple[int, ...], is_kept: bool) -> ModelPlan:
    """Stages between these bounds, each with buffers for every slot."""
    options = text_options(found.model.graph, text, found.most_tokens)
    stages = text_stage_specs(found, bounds, options, found.context_length)
    coordinator = text_coordinator(
        found,
        found.model,
        context_length=found.context_length,
        row_bytes=found.row_bytes,
        can_truncate=text.can_truncate,
        plan=why_there(found, is_kept),
    )
    return ModelPlan(stages, coordinator, bounds, found.device_names, found.warnings)


def why_there(found: ProgramInventory, is_kept: bool) -> str:
    """Why the units are where they are."""
    if is_kept:
        return "cuts: as they were before the repair, whose stages keep their weights"
    return f"cuts: the program may be cut at {len(found.cuts)} places; each stage is to compute about as much"


def text_options(graph: Graph, text: ProgramText, most_tokens: int) -> TextOptions:
    """How the units of such a program are computed, with at most so many tokens in one call."""
    form = text.form
    return TextOptions(
        tokens=form.ids,
        positions=form.positions,
        symbols=form.meanings(graph) or (),
        most_tokens=most_tokens,
        context_length=form.context_length or 0,
        row_width=text.row_width,
        vocab_size=text.vocab_size,
        last_logits_only=text.last_logits_only,
        can_truncate=text.can_truncate,
    )
