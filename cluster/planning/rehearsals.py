"""Rehearsals of a plan: kept from an earlier one, or played now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from cluster.api.errors import ClusterError
from cluster.engine.cost.decode import PipelineCosts
from cluster.node.disk_cache import read_cached, write_cached
from cluster.planning.inventory import Inventory
from cluster.planning.measure.rehearsal.cast import CONTEXT_LENGTH, Cast, Figures, Scene, Watched
from cluster.planning.measure.rehearsal.pipeline import rehearse
from cluster.planning.places import Place
from cluster.planning.search.cut_search import Range
from cluster.planning.search.sizes import LayerSizes
from cluster.planning.stage_costs import Rehearsed, is_small, part_of, scenes_for
from cluster.stage.spec import GgufOptions, StageSpec, spec_record

REHEARSAL_VERSION = 5
UBATCH_SIZE = 64  # rows: prompts are short


def rehearsed(inventory: Inventory, ranges: Sequence[Range], sizes: LayerSizes) -> Rehearsed:
    """The stages of a plan. ClusterError if they cannot be rehearsed here: on other nodes, say."""
    _check_here(inventory)
    if len(ranges) == 1:
        return _rehearsed_whole(inventory, inventory.places[0], sizes)
    parts = [part_of(whole, inventory.cuts, sizes) for whole in ranges]
    specs = [_spec(inventory, stage, len(parts), part) for stage, part in enumerate(parts)]
    lends = any(spec.num_threads_exclusive > spec.num_threads for spec in specs)
    return _played(inventory, specs, sizes, scenes_for(len(specs), inventory.context.n_slots, lends=lends))


def whole_costs(inventory: Inventory, place: Place, sizes: LayerSizes, split: Rehearsed | None) -> PipelineCosts:
    """The model on one device of the head, with all cores; what a `split` of it has shown is made use of.

    ClusterError if it cannot be rehearsed here.
    """
    _check_here(inventory)
    whole = (0, sizes.num_layers)
    if split is None or not split.has_all_cores or is_small(whole, sizes):
        split = _rehearsed_whole(inventory, place, sizes)
    return split.costs([whole])


def _check_here(inventory: Inventory) -> None:
    if not inventory.is_on_head:
        raise ClusterError("plan: stages of several nodes cannot be rehearsed on one of them")


def _rehearsed_whole(inventory: Inventory, place: Place, sizes: LayerSizes) -> Rehearsed:
    """All layers on one device; where they are many, as two parts that compute in turn with all of its cores."""
    whole, num_slots = (0, sizes.num_layers), inventory.context.n_slots
    if is_small(whole, sizes) or not inventory.cuts:
        lone = _with_all_cores(_spec(inventory, 0, 1, whole), inventory, place)
        return _played(inventory, [lone], sizes, scenes_for(1, num_slots, lends=False))
    cut = inventory.cuts[len(inventory.cuts) // 2]
    parts = [part_of(half, inventory.cuts, sizes) for half in ((0, cut), (cut, sizes.num_layers))]
    specs = [_with_all_cores(_spec(inventory, stage, 2, part), inventory, place) for stage, part in enumerate(parts)]
    in_turn = tuple(scene for scene in scenes_for(2, num_slots, lends=True) if scene.exclusive)
    return _played(inventory, specs, sizes, in_turn)


def _spec(inventory: Inventory, stage: int, num_stages: int, part: Range) -> StageSpec:
    config, at = inventory.config, min(stage, len(inventory.places) - 1)
    place = inventory.places[at]
    return StageSpec(
        stage=stage,
        num_stages=num_stages,
        node=place.node.name,
        source=inventory.source,
        model_hash=inventory.model_hash,
        first=part[0],
        end=part[1],
        device=place.device.name,
        context_length=CONTEXT_LENGTH,
        num_slots=config.parallel,
        ubatch_size=max(UBATCH_SIZE, config.parallel),
        num_threads=inventory.num_threads(at),
        num_threads_exclusive=inventory.threads_exclusive(at),
        first_core=inventory.first_core(stage) if stage == at else None,
        options=GgufOptions(config.cache_type_k, config.cache_type_v, config.flash_attn),
    )


def _with_all_cores(spec: StageSpec, inventory: Inventory, place: Place) -> StageSpec:
    device, num_cores = place.device, place.node.num_cores
    num_threads = inventory.config.threads or num_cores
    first_core = 0 if device.kind == "cpu" and num_threads == num_cores else None
    return replace(
        spec, device=device.name, num_threads=num_threads, num_threads_exclusive=num_threads, first_core=first_core
    )


def _played(
    inventory: Inventory, specs: Sequence[StageSpec], sizes: LayerSizes, scenes: tuple[Scene, ...]
) -> Rehearsed:
    parts = tuple((spec.first, spec.end) for spec in specs)
    told = [spec_record(spec) for spec in specs]
    key = {
        "version": REHEARSAL_VERSION,
        "build": inventory.probe.build,
        "extra_bufts": inventory.probe.use_extra_bufts,
        "num_cores": inventory.head.num_cores,
        "specs": told,
        "scenes": [asdict(scene) for scene in scenes],
    }
    figures = read_cached("rehearsal", key, _parse)
    if figures is None:
        cast = Cast(inventory.model, tuple(specs), inventory.context.use_extra_bufts, inventory.probe.build)
        figures = rehearse(cast, scenes)
        write_cached("rehearsal", key, asdict(figures))
    speedups = tuple(spec.num_threads_exclusive / spec.num_threads for spec in specs)
    return Rehearsed(parts, scenes, figures, sizes, tuple(spec.device for spec in specs), speedups)


def _parse(value: Any) -> Figures:
    raw_ms = tuple(tuple((int(rows), float(ms)) for rows, ms in points) for points in value["raw_ms"])
    return Figures(raw_ms, tuple(map(_parse_watched, value["watched"])))


def _parse_watched(value: dict[str, Any]) -> Watched:
    return Watched(
        steps_ms=tuple(float(step_ms) for step_ms in value["steps_ms"]),
        num_rows=int(value["num_rows"]),
        round_ms=float(value["round_ms"]),
        start_ms=float(value["start_ms"]),
    )
