"""What `cluster up` needs to know of a program: a spec for each stage and for the coordinator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from cluster.coordinator.spec import ProgramSpec
from cluster.planning.layout import asked_ranges, offers_of
from cluster.planning.model_plan import ModelPlan
from cluster.planning.programs.inventory import ProgramInventory
from cluster.planning.programs.text import plan_text, why_there
from cluster.planning.search.placement import Plan, place, place_at
from cluster.planning.search.sizes import LayerSizes, Sums
from cluster.planning.stage_specs import stage_specs
from cluster.stage.spec import ProgramOptions


def plan_program(found: ProgramInventory, bounds: Sequence[int] = ()) -> ModelPlan:
    """Place the units. Arguments and errors as for `plan_model`."""
    sizes = found.sizes()
    is_kept = bool(bounds)
    bounds = tuple(bounds) or lay_out(found, sizes).bounds
    if found.model.text is not None:
        return plan_text(found, found.model.text, bounds, is_kept)
    options = [ProgramOptions(budget) for budget in call_bytes(found, bounds, sizes)]
    stages = stage_specs(found, bounds, options)
    return ModelPlan(stages, _coordinator(found, is_kept), bounds, found.device_names, found.warnings)


def lay_out(found: ProgramInventory, sizes: LayerSizes, *, within_memory: bool = True) -> Plan:
    """The units over the devices, as asked or by how much each computes. CapacityError if they do not fit."""
    offers, config = offers_of(found), found.config
    unique, names = list(dict.fromkeys(offers)), [offer.name for offer in offers]
    headroom = config.headroom
    ranges = asked_ranges(config, len(offers), found.model.num_layers, found.cuts)
    if ranges:
        return place_at(unique, sizes, ranges, devices=names, headroom=headroom, within_memory=within_memory)
    return place(unique, sizes, len(offers), found.cuts, devices=names, headroom=headroom, within_memory=within_memory)


def call_bytes(found: ProgramInventory, bounds: Sequence[int], sizes: LayerSizes) -> list[int]:
    """What a call may take on each stage: an equal part of what its device has beside the weights of its stages."""
    sums, ranges = Sums(sizes), list(pairwise(bounds))
    held: Counter[str] = Counter()
    for seat, (first, end) in zip(found.places, ranges, strict=True):
        held[seat.name] += sums.weight_bytes(first, end) + sums.kv_bytes(first, end)
    sharers = Counter(seat.name for seat in found.places)
    free = {seat.name: int(seat.device.memory_free_bytes * (1 - found.config.headroom)) for seat in found.places}
    # The least is what the example takes: a repair must not refuse what was served before.
    return [
        max(sizes.scratch.whole, (free[seat.name] - held[seat.name]) // sharers[seat.name]) for seat in found.places
    ]


def _coordinator(found: ProgramInventory, is_kept: bool) -> ProgramSpec:
    config = found.config
    return ProgramSpec(
        model=found.source.display_name,
        source=found.source,
        model_hash=found.model_hash,
        architecture=found.model.architecture,
        num_stages=len(found.devices),
        max_waiting=config.max_waiting,
        host=config.host,
        port=config.port,
        patience_s=config.patience_s,
        local_sockets=config.local_sockets,
        row_bytes=found.row_bytes,
        plan=why_there(found, is_kept),
        num_parameters=found.model.header.num_parameters,
        weight_bytes=found.model.header.weight_bytes,
    )
