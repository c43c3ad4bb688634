"""The same of a program that makes text: what its stages and its coordinator are told, as those of any such model."""

from __future__ import annotations

from dataclasses import replace

from cluster.coordinator.spec import CoordinatorSpec
from cluster.cutting.programs.text import ProgramText
from cluster.planning.model_plan import ModelPlan
from cluster.planning.programs.inventory import ProgramInventory
from cluster.planning.stage_specs import stage_specs
from cluster.stage.spec import TextOptions
from ggml.programs.expressions import Symbol
from ggml.programs.graph import Graph


def plan_text(found: ProgramInventory, text: ProgramText, bounds: tuple[int, ...], is_kept: bool) -> ModelPlan:
    """Stages between these bounds, each with buffers for every slot."""
    config = found.config
    options = text_options(found.model.graph, text, found.most_tokens)
    stages = tuple(
        replace(
            spec,
            context_length=found.context_length,
            num_slots=found.num_slots,
            ubatch_size=config.ubatch_size,
            num_threads_exclusive=found.threads_exclusive(spec.stage),
        )
        for spec in stage_specs(found, bounds, [options] * len(found.places))
    )
    return ModelPlan(stages, _coordinator(found, text, is_kept), bounds, found.device_names, found.warnings)


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
        symbols=tuple(["batch" if form.batch == Symbol(place) else "count" for place in range(len(graph.symbols))]),
        most_tokens=most_tokens,
        context_length=form.context_length or 0,
        row_width=text.row_width,
        vocab_size=text.vocab_size,
        last_logits_only=text.last_logits_only,
        can_truncate=text.can_truncate,
    )


def _coordinator(found: ProgramInventory, text: ProgramText, is_kept: bool) -> CoordinatorSpec:
    config, header = found.config, found.model.header
    return CoordinatorSpec(
        model=found.source.display_name,
        source=found.source,
        model_hash=found.model_hash,
        architecture=found.model.architecture,
        context_length=found.context_length,
        num_slots=found.num_slots,
        num_stages=len(found.devices),
        ubatch_size=config.ubatch_size,
        max_waiting=config.max_waiting,
        pipeline_prompts=config.pipeline_prompts,
        host=config.host,
        port=config.port,
        can_truncate=text.can_truncate,
        patience_s=config.patience_s,
        row_bytes=found.row_bytes,
        plan=why_there(found, is_kept),
        num_parameters=header.num_parameters,
        weight_bytes=header.weight_bytes,
    )
