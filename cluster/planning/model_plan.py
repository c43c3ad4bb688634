"""What `cluster up` needs to know: a spec for each stage and for the coordinator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.coordinator.spec import AnySpec, CoordinatorSpec, ProgramSpec
from cluster.planning.coordinator_specs import text_coordinator
from cluster.planning.former import Former
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layouts, offers_of
from cluster.planning.profiles import Profiles, find_profiles
from cluster.planning.stage_specs import text_stage_specs
from cluster.planning.staying import stay
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


def plan_survey(found: Inventory, bounds: Sequence[int] = (), former: Former | None = None) -> ModelPlan:
    """Of what was found already. Arguments and errors as for `plan_model`."""
    if bounds:
        return _plan(found, tuple(bounds), why(found, None, is_kept=True))
    if former is not None:
        taken = stay(found, former)
        found, bounds = taken.found, taken.layout.plan.bounds
        kept = former.told(bounds, found.device_names)
        return _plan(found, bounds, f"{why(found, taken.profiles, is_kept=False)}\nrepair: {kept}")
    # By measured paces where they are known, or where stages differ in device, so that they matter.
    profiles = find_profiles(found, measure=len(set(found.places)) > 1)
    return _plan(found, _place(found, profiles), why(found, profiles, is_kept=False))


def _plan(found: Inventory, bounds: tuple[int, ...], reasons: str) -> ModelPlan:
    adapters = tuple(one.source for one in found.adapters)
    return ModelPlan(
        _stages(found, bounds, adapters),
        _coordinator(found, reasons, adapters),
        bounds,
        found.device_names,
        (*found.warnings, *_rounding(found)),
    )


def _rounding(found: Inventory) -> tuple[str, ...]:
    return (f"rounding: {found.rounding}: numbers differ in their last digits",) if found.rounding else ()


def _place(found: Inventory, profiles: Profiles | None) -> tuple[int, ...]:
    offers = offers_of(found)
    if profiles is not None:
        offers = profiles.offers(offers, found.fullest_rows)
    with found.dry_run() as dry_run:
        return Layouts(found, dry_run).lay_out(offers, found.context).plan.bounds


def _coordinator(found: Inventory, plan: str, adapters: Sequence[AdapterSource]) -> CoordinatorSpec:
    model, config = found.model, found.config
    spec = text_coordinator(
        found,
        model,
        context_length=found.context.n_ctx,
        row_bytes=found.row_bytes,
        can_truncate=model.can_truncate,
        plan=plan,
    )
    return replace(
        spec,
        pooling=model.pooling,
        embeds=config.embeddings,
        is_encoder=model.row.is_encoder,
        decoder_start=model.decoder_start,
        adapters=tuple(adapter.info for adapter in adapters),
        mmproj=config.mmproj,
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
    return text_stage_specs(found, bounds, options, found.context.n_ctx)
