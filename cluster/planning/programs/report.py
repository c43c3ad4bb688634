"""What `cluster plan` says of a program: per stage what it takes, and how much of the work it has."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from cluster.planning.programs.inventory import ProgramInventory
from cluster.planning.programs.plan import call_bytes, lay_out
from cluster.planning.search.sizes import Sums
from ggml.programs.slices.memory import compute_bytes


@dataclass(frozen=True, slots=True)
class ProgramStageReport:
    """One stage. `compute_bytes`: what a call of the example's shapes takes on it; `call_bytes`: most that one may.

    `state_bytes`: what calls change, for all slots of a program that makes text.
    """

    stage: int
    node: str
    device: str
    first: int  # units [first, end)
    end: int
    num_threads: int
    weight_bytes: int
    state_bytes: int
    compute_bytes: int
    call_bytes: int
    sent_bytes: int  # by a call of the example's shapes to the next stage; 0 of the last one
    work: float  # its share of what all compute


@dataclass(frozen=True, slots=True)
class ProgramReport:
    """A plan, whether or not it fits."""

    model: str  # path
    model_name: str
    model_hash: str
    architecture: str
    ctx_size: int  # tokens in each slot; 0 of a program that makes no text
    parallel: int
    num_units: int
    headroom: float
    fits: bool
    stages: tuple[ProgramStageReport, ...]


def report_program(found: ProgramInventory) -> ProgramReport:
    """Plan without starting anything. Errors as for `plan_program`; what does not fit is no error here."""
    sizes = found.sizes()
    plan = lay_out(found, sizes, within_memory=False)
    budgets, sums, model = call_bytes(found, plan.bounds, sizes), Sums(sizes), found.model
    stages = []
    for stage, (seat, (first, end)) in enumerate(zip(found.places, pairwise(plan.bounds), strict=True)):
        graph = model.part(first, end)
        stages.append(
            ProgramStageReport(
                stage=stage,
                node=seat.node.name,
                device=seat.device.name,
                first=first,
                end=end,
                num_threads=found.num_threads(stage),
                weight_bytes=sums.weight_bytes(first, end),
                state_bytes=sums.kv_bytes(first, end),
                compute_bytes=compute_bytes(graph, found.fullest_call),
                call_bytes=budgets[stage],
                sent_bytes=found.sent_bytes(end),
                work=sums.work(first, end) / max(1, sums.work(0, model.num_layers)),
            )
        )
    return ProgramReport(
        model=found.config.model,
        model_name=found.source.display_name,
        model_hash=found.model_hash,
        architecture=model.architecture,
        ctx_size=found.context_length,
        parallel=found.num_slots,
        num_units=model.num_layers,
        headroom=found.config.headroom,
        fits=_fits(found, stages),
        stages=tuple(stages),
    )


def _fits(found: ProgramInventory, stages: list[ProgramStageReport]) -> bool:
    """Whether the stages of each device take no more than it has, less the headroom."""
    for seat in dict.fromkeys(found.places):
        here = [one for one, place in zip(stages, found.places, strict=True) if place == seat]
        taken = sum(one.weight_bytes + one.state_bytes + one.compute_bytes for one in here)
        if taken > seat.device.memory_free_bytes * (1 - found.config.headroom):
            return False
    return True
