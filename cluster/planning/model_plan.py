"""What `cluster up` needs to know: a spec for each stage and for the coordinator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.coordinator.spec import AnySpec, CoordinatorSpec, ProgramSpec
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layouts, offers_of
from cluster.planning.profiles import Profiles, find_profiles
from cluster.planning.stage_specs import stage_specs
from cluster.planning.why import why
from cluster.sources.source import AdapterSource
from cluster.stage.spec import GgufOptions, StageSpec


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """Everything the actors are told, and what the operator should know."""

    stages: tuple[StageSpec, ...]
    coordinator: AnySpec
    bounds: tuple[int, ...]  # layers at which the slices begin, and the end of the last
    devices: tuple[str, ...]  # the device of each stage, as ``--devices`` takes it: "two:CUDA0"
    warnings: tuple[str, ...]

    @property
    def is_program(self) -> bool:
        """Whether what is served takes and gives arrays; all else makes text, or vectors of it."""
        return isinstance(self.coordinator, ProgramSpec)


def plan_survey(found: Inventory, bounds: Sequence[int] = ()) -> ModelPlan:
    """The same, of what was found already."""
    # By measured paces where they are known, or where stages differ in device, so that they matter.
    profiles = None if bounds else find_profiles(found, measure=len(set(found.places)) > 1)
    adapters = tuple(one.source for one in found.adapters)
    coordinator = _coordinator(found, why(found, profiles, is_kept=bool(bounds)), adapters)
    bounds = tuple(bounds) or _place(found, profiles)
    return ModelPlan(
        _stages(found, bounds, adapters),
        coordinator,
        bounds,
        found.device_names,
        found.warnings,
    )


def _place(found: Inventory, profiles: Profiles | None) -> tuple[int, ...]:
    offers = offers_of(found)
    if profiles is not None:
        offers = profiles.offers(offers, found.fullest_rows)
    with found.dry_run() as dry_run:
        return Layouts(found, dry_run).lay_out(offers, found.context).plan.bounds


def _coordinator(found: Inventory, plan: str, adapters: Sequence[AdapterSource]) -> CoordinatorSpec:
    config = found.config
    return CoordinatorSpec(
        model=found.source.display_name,
        source=found.source,
        model_hash=found.model_hash,
        architecture=found.model.architecture,
        context_length=found.context.n_ctx,
        num_slots=config.parallel,
        num_stages=len(found.devices),
        ubatch_size=config.ubatch_size,
        max_waiting=config.max_waiting,
        pipeline_prompts=config.pipeline_prompts,
        host=config.host,
        port=config.port,
        can_truncate=found.model.can_truncate,
        patience_s=config.patience_s,
        row_bytes=found.row_bytes,
        plan=plan,
        num_parameters=found.model.header.num_parameters,
        weight_bytes=found.model.header.weight_bytes,
        pooling=found.model.pooling,
        embeds=config.embeddings,
        is_encoder=found.model.row.is_encoder,
        adapters=tuple(adapter.info for adapter in adapters),
    )


def _stages(found: Inventory, bounds: Sequence[int], adapters: tuple[AdapterSource, ...]) -> tuple[StageSpec, ...]:
    config = found.config
    options = GgufOptions(
        config.cache_type_k,
        config.cache_type_v,
        config.flash_attn,
        embeds=config.embeddings,
        adapters=adapters,
    )
    return tuple(
        replace(
            spec,
            context_length=found.context.n_ctx,
            num_slots=config.parallel,
            ubatch_size=config.ubatch_size,
            num_threads_exclusive=found.threads_exclusive(spec.stage),
        )
        for spec in stage_specs(found, bounds, [options] * len(found.places))
    )
