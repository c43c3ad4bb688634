"""What `cluster plan` says: per stage what it takes and how long it works, how fast that is, and what else to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.api.errors import ClusterError
from cluster.config import ClusterConfig
from cluster.engine.cost.decode import PipelineCosts
from cluster.engine.cost.forecast import Forecast, forecast
from cluster.planning.advice import advise
from cluster.planning.explain import explain
from cluster.planning.inventory import Inventory, take_inventory
from cluster.planning.layout import Layout, Layouts, offers_of
from cluster.planning.measure.dry_run import DryRun
from cluster.planning.nodes import Nodes
from cluster.planning.profiles import find_profiles
from cluster.planning.rehearsals import rehearsed
from cluster.planning.search.placement import LayerSizes
from cluster.planning.stage_costs import Rehearsed
from cluster.planning.vocabulary import check_vocabulary
from cluster.planning.whole import WholeReport, whole_report


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage. Bytes are what libllama will report once it is loaded; times are of one microbatch of the forecast."""

    stage: int
    node: str
    device: str
    device_description: str
    first: int  # layers [first, end)
    end: int
    num_threads: int
    weight_bytes: int
    kv_bytes: int
    compute_bytes: int
    output_bytes: int  # room for rows of logits
    total_bytes: int
    usable_bytes: int  # the device has it for all of its stages: free memory less the headroom
    read_ms: float
    draw_ms: float
    hop_ms: float


@dataclass(frozen=True, slots=True)
class StageTimes:
    """One microbatch on one stage, in milliseconds."""

    read_ms: float  # its weights, and all arithmetic with them
    draw_ms: float  # the choice of tokens, on the last stage
    hop_ms: float  # its rows on their way to the next stage


@dataclass(frozen=True, slots=True)
class PlanReport:
    """A plan, whether or not it fits. The settings are those of `ClusterConfig`."""

    model: str  # path
    model_name: str
    model_hash: str
    architecture: str
    num_layers: int
    num_legal_cuts: int
    ctx_size: int
    parallel: int
    ubatch_size: int
    cache_type_k: str
    cache_type_v: str
    flash_attn: str
    headroom: float
    fits: bool
    stages: tuple[StageReport, ...]
    forecast: Forecast
    whole: tuple[WholeReport, ...]  # on each device by itself
    advice: tuple[str, ...]
    reasons: tuple[str, ...]  # what --explain prints


def report(config: ClusterConfig, nodes: Nodes | None = None) -> PlanReport:
    """Plan without starting anything, for `nodes`, by default for this machine alone.

    Measures devices, links, and rehearses, where that was not done before. UsageError and ClusterError as for
    `plan_model`; what does not fit is no error here.
    """
    found = take_inventory(config, nodes)
    check_vocabulary(found.model.header, found.source.shown_name)
    profiles = find_profiles(found, measure=True)
    assert profiles is not None, "they were measured"
    num_rows = found.fullest_rows
    offers = profiles.offers(offers_of(found), num_rows)
    with DryRun(found.model) as dry_run:
        layouts = Layouts(found, dry_run)
        is_possible = layouts.fits(offers, found.context)
        layout = layouts.lay_out(offers, found.context, within_memory=is_possible)
        sizes = layouts.layer_sizes(found.context, [offer.device for offer in offers])
        seen = _rehearsed(found, layout, sizes)
        costs = seen.costs(layout.ranges) if seen else profiles.costs(layout.ranges, sizes)
        known = seen.known(layout.ranges) if seen else None
        speed = forecast(costs, found.context.n_slots, profiles.sample_row_ms, known)
        times = _times(costs, speed, profiles.sample_row_ms)
        whole = whole_report(found, layouts, seen)
        return replace(
            _report(found, layout, times, speed, whole),
            advice=advise(found, layouts, offers, layout, speed, whole),
            reasons=explain(found, profiles, layout, sizes, num_rows, costs),
        )


def _rehearsed(found: Inventory, layout: Layout, sizes: LayerSizes) -> Rehearsed | None:
    """None where the model cannot be rehearsed here: then devices alone say what steps cost."""
    try:
        return rehearsed(found, layout.ranges, sizes)
    except ClusterError:
        return None


def _times(costs: PipelineCosts, speed: Forecast, sample_row_ms: float) -> list[StageTimes]:
    num_rows = speed.rows_per_microbatch
    steps_ms = costs.exclusive_steps_ms(num_rows) if speed.alone else costs.steps_ms(num_rows)
    *inner_ms, last_ms = steps_ms
    sample_ms = min(last_ms, num_rows * sample_row_ms)
    return [*(StageTimes(ms, 0.0, costs.hop_ms) for ms in inner_ms), StageTimes(last_ms - sample_ms, sample_ms, 0.0)]


def _report(
    found: Inventory, layout: Layout, times: Sequence[StageTimes], speed: Forecast, whole: tuple[WholeReport, ...]
) -> PlanReport:
    context, config = found.context, found.config
    return PlanReport(
        model=config.model,
        model_name=found.source.display_name,
        model_hash=found.model_hash,
        architecture=found.model.architecture,
        num_layers=found.model.num_layers,
        num_legal_cuts=len(found.cuts),
        ctx_size=context.n_ctx,
        parallel=context.n_slots,
        ubatch_size=context.n_ubatch,
        cache_type_k=context.type_k,
        cache_type_v=context.type_v,
        flash_attn=context.flash_attn,
        headroom=config.headroom,
        fits=layout.fits,
        stages=tuple(_stage(found, layout, stage, time) for stage, time in enumerate(times)),
        forecast=speed,
        whole=whole,
        advice=(),
        reasons=(),
    )


def _stage(found: Inventory, layout: Layout, stage: int, time: StageTimes) -> StageReport:
    placed, memory = layout.plan.stages[stage], layout.memory[stage]
    return StageReport(
        stage=stage,
        node=placed.node,
        device=placed.device,
        device_description=found.devices[stage].description,
        first=placed.first,
        end=placed.end,
        num_threads=found.num_threads(stage),
        weight_bytes=memory.weight_bytes,
        kv_bytes=memory.kv_bytes,
        compute_bytes=memory.compute_bytes,
        output_bytes=memory.output_bytes,
        total_bytes=memory.total_bytes,
        usable_bytes=layout.usable_bytes[stage],
        read_ms=time.read_ms,
        draw_ms=time.draw_ms,
        hop_ms=time.hop_ms,
    )
