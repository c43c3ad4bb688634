"""What each stage of a plan is told, whatever it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from cluster.planning.survey import Survey
from cluster.stage.spec import Options, StageSpec


def text_stage_specs(
    found: Survey, bounds: Sequence[int], options: Options, context_length: int
) -> tuple[StageSpec, ...]:
    """The same of a model that makes text, for all of its slots. All stages have the same `options`."""
    config = found.config
    return tuple(
        replace(
            spec,
            context_length=context_length,
            num_slots=config.parallel,
            ubatch_size=config.ubatch_size,
            num_threads_exclusive=found.threads_exclusive(spec.stage),
            keep_bytes=(config.replay_ram << 20) if config.patience_s else 0,
        )
        for spec in stage_specs(found, bounds, [options] * len(found.places))
    )


def stage_specs(found: Survey, bounds: Sequence[int], options: Sequence[Options]) -> tuple[StageSpec, ...]:
    """One for each of the places, with one of the `options`. Each takes one row of one sequence at a time."""
    return tuple(
        StageSpec(
            stage=stage,
            num_stages=len(found.places),
            node=place.node.name,
            source=found.source,
            model_hash=found.model_hash,
            first=first,
            end=end,
            device=place.device.name,
            context_length=1,
            num_slots=1,
            ubatch_size=1,
            local_sockets=found.config.local_sockets,
            num_threads=found.num_threads(stage),
            num_threads_exclusive=found.num_threads(stage),
            first_core=found.first_core(stage),
            options=own,
        )
        for stage, (place, (first, end), own) in enumerate(zip(found.places, pairwise(bounds), options, strict=True))
    )
