"""What `cluster plan` says: per stage what it takes and how long it works, how fast that is, and what else to do."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.engine.cost.forecast import Forecast
from cluster.planning.advice import advise
from cluster.planning.estimate import Estimate, estimate, links_among
from cluster.planning.explain import explain
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layout, Layouts
from cluster.planning.leaving_out import WithoutNode, leave_out
from cluster.planning.links import route_pairs
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
class LinkReport:
    """What lies between two nodes, as it was measured."""

    node: str
    other: str
    round_trip_ms: float  # a row there, and the answer back
    bytes_per_s: float


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
    rounding: str  # how slices round otherwise than the whole model; empty: they do not
    fits: bool
    stages: tuple[StageReport, ...]
    forecast: Forecast
    whole: tuple[WholeReport, ...]  # on each device by itself
    links: tuple[LinkReport, ...]  # between the nodes of stages that follow one another, and back; () on one node
    without: tuple[WithoutNode, ...]  # what the others would do without each of the nodes, where it fits
    advice: tuple[str, ...]
    reasons: tuple[str, ...]  # what --explain prints


def report_model(found: Inventory) -> PlanReport:
    """Plan without starting anything.

    Measures devices, links, and rehearses, where that was not done before. UsageError and ClusterError as for
    `plan_model`; what does not fit is no error here.
    """
    check_vocabulary(found.model, found.source.shown_name)
    with found.dry_run() as dry_run:
        layouts, links = Layouts(found, dry_run), links_among(found)
        plan = estimate(found, layouts, links)
        whole = whole_report(found, layouts, plan.seen, links)
        without = leave_out(found, dry_run, links, plan)
        return replace(
            _report(found, plan, whole, without),
            advice=advise(found, layouts, plan.offers, plan.layout, plan.speed, whole, without),
            reasons=explain(found, plan),
        )


def _times(plan: Estimate) -> list[StageTimes]:
    num_rows, costs = plan.speed.rows_per_microbatch, plan.costs
    steps_ms = costs.exclusive_steps_ms(num_rows) if plan.speed.alone else costs.steps_ms(num_rows)
    *inner_ms, last_ms = steps_ms
    sample_ms = min(last_ms, num_rows * plan.profiles.sample_row_ms)
    inner = [StageTimes(ms, 0.0, hop_ms) for ms, hop_ms in zip(inner_ms, plan.hops_ms(num_rows), strict=True)]
    return [*inner, StageTimes(last_ms - sample_ms, sample_ms, 0.0)]


def _report(
    found: Inventory, plan: Estimate, whole: tuple[WholeReport, ...], without: tuple[WithoutNode, ...]
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
        rounding=found.rounding,
        fits=plan.layout.fits,
        stages=tuple(_stage(found, plan.layout, stage, time) for stage, time in enumerate(_times(plan))),
        forecast=plan.speed,
        whole=whole,
        links=_links(plan),
        without=without,
        advice=(),
        reasons=(),
    )


def _links(plan: Estimate) -> tuple[LinkReport, ...]:
    route = plan.route
    pairs = dict.fromkeys(route_pairs(route.nodes, route.head))
    found = ((pair, route.links.between(*pair)) for pair in pairs)
    return tuple(LinkReport(*pair, 1e3 * link.round_trip_s, link.bytes_per_s) for pair, link in found if link)


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
