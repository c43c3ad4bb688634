"""Runs both sides and compares them: the whole model where it can be had, else what was stored of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cluster.api.errors import ClusterError, UsageError
from cluster.config import ClusterConfig
from cluster.cutting.boundary import boundaries
from cluster.messages.step import Float32Array
from cluster.node.child import Child
from cluster.node.disk import temporary_folder
from cluster.node.machine import processor_name
from cluster.planning.inventory import Inventory
from cluster.planning.layout import Layouts
from cluster.planning.model_plan import ModelPlan, plan_survey
from cluster.stage.spec import StageSpec, spec_record
from cluster.terminal.activity import Activity
from cluster.verify.checksums import Checksums, keep_checksums, kept_checksums, load_checksums, save_checksums, summed
from cluster.verify.compare import Comparison, compare_checksums, compare_rows
from cluster.verify.rows import Rows, read_rows
from cluster.verify.steps import MIN_ENCODER_ROWS, STEPS_VERSION, Step, make_encoder_steps, make_steps

SIDE_TIMEOUT_S = 3600.0  # a stage may have to be cut out of a large file first


@dataclass(frozen=True, slots=True)
class Asked:
    """What `verify` is to do beside comparing."""

    bounds: tuple[int, ...] = ()  # where a living cluster is cut; () places the layers as `up` would
    use_whole: bool = True
    save: str | None = None
    against: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What came out. `comparison` is None where there was nothing to compare with; `why_not_whole` then says why."""

    plan: ModelPlan
    split: Rows
    comparison: Comparison | None
    why_not_whole: str
    rounding: str  # how slices round otherwise than the whole model; empty: they do not
    steps: tuple[Step, ...]


def verify(found: Inventory, asked: Asked, note: Callable[[str], None]) -> Verification:
    """Compute the same rows on the split and on the whole model.

    Errors as for `plan_survey`, and of the sides; UsageError for several stages of a model that is served whole only.
    """
    _check_cuts(found)
    plan = plan_survey(found, asked.bounds)
    steps = _steps_of(found)
    key = _key(found, plan)
    stored = load_checksums(asked.against, key) if asked.against else None
    with temporary_folder("ggml-cluster-verify-") as folder:
        split = split_rows(plan.stages, steps, folder, note)
        whole, why_not = (None, "it was not asked for")
        if asked.use_whole and stored is None:
            whole, why_not = _whole(found, plan, steps, folder, note)
    comparison = _compare(whole, stored or (kept_checksums(key) if whole is None else None), split)
    # Of stages that round otherwise, their own are kept: those of the whole model are of other bits.
    summed_whole = None if found.rounding else whole
    sums = summed(key, _origin(plan) if summed_whole is None else "whole", summed_whole or split)
    keep_checksums(sums)
    if asked.save:
        save_checksums(sums, asked.save)
    return Verification(plan, split, comparison, "" if whole else why_not, found.rounding, steps)


def on_this_machine(config: ClusterConfig, bounds: Sequence[int]) -> ClusterConfig:
    """The stages of a cluster of several machines are all computed on this one, whichever devices they have there.

    Without adapters: what is compared are the weights of the file.
    """
    config = replace(config, lora=())
    return replace(config, stages=len(bounds) - 1, devices=()) if config.is_shared and bounds else config


def _steps_of(found: Inventory) -> tuple[Step, ...]:
    context, vocab_size = found.context, found.model.vocab_size
    if found.model.decoder_start is None:
        return make_steps(vocab_size, context.n_ctx, context.n_slots, context.n_ubatch)
    if min(context.n_ctx, context.n_ubatch) < MIN_ENCODER_ROWS:
        raise UsageError(
            f"verify: a prompt for its encoder takes {MIN_ENCODER_ROWS} tokens; raise -c and --ubatch-size"
        )
    return make_encoder_steps(found.model.decoder_start, vocab_size, context.n_ctx, context.n_ubatch)


def _check_cuts(found: Inventory) -> None:
    if found.cuts or len(found.devices) == 1:
        return
    refusals = (place.refusal_unless(found.config.allow_rounding) for place in found.model.places)
    why = next(refusals, "it has one layer")
    raise UsageError(
        f"verify: {found.source.shown_name} can only be served whole, there is nothing to split: {why}; "
        "give --stages 1 to compare its one slice with libllama alone"
    )


def _compare(whole: Rows | None, stored: Checksums | None, split: Rows) -> Comparison | None:
    if whole is not None:
        return compare_rows(whole, split)
    return compare_checksums(stored, split) if stored is not None else None


def _key(found: Inventory, plan: ModelPlan) -> dict[str, Any]:
    """All that the bits of a row depend on, but where the model is cut."""
    rounding = {"rounding": found.rounding} if found.rounding else {}
    return rounding | {
        "version": 1,
        "model_hash": found.model_hash,
        "build": found.probe.build,
        "processor": processor_name(),
        "devices": sorted({device.description for device in found.devices}),
        "context": asdict(found.context),
        "steps": STEPS_VERSION,
    }


def _origin(plan: ModelPlan) -> str:
    return "layers " + ", ".join(f"[{stage.first}, {stage.end})" for stage in plan.stages)


def split_rows(stages: Sequence[StageSpec], steps: Sequence[Step], folder: Path, note: Callable[[str], None]) -> Rows:
    """The rows in front of each stage but the first, and the logits of the last; one stage after the other."""
    hidden: dict[int, Float32Array] = {}
    rows, given = Rows({}, None), ""
    for stage in stages:
        note(f"computing layers [{stage.first}, {stage.end}) on {stage.device}")
        path = folder / f"stage-{stage.stage}.npz"
        rows = _computed("cluster.verify.stage_child", stage, steps, path, {"rows_in": given})
        hidden.update(rows.hidden)
        given = str(path)
    return Rows(hidden, rows.logits)


def _whole(
    found: Inventory, plan: ModelPlan, steps: Sequence[Step], folder: Path, note: Callable[[str], None]
) -> tuple[Rows | None, str]:
    """The whole model's rows in front of layers, and its logits; or why it cannot be had."""
    device, why_not = _device_for_whole(found)
    if device is None:
        return None, why_not
    note(f"computing the whole model on {device}")
    spec = replace(plan.stages[0], stage=0, num_stages=1, first=0, end=found.model.num_layers, device=device)
    # On a CPU looking at its rows changes nothing; elsewhere only those are taken that the split takes as well.
    layers = found.cuts if _is_cpu(found, device) else [stage.first for stage in plan.stages[1:]]
    more = {
        "path": str(found.whole_path),
        "boundaries": [asdict(boundary) for boundary in boundaries(found.model, layers)],
        "use_extra_bufts": found.probe.use_extra_bufts,
    }
    try:
        return _computed("cluster.verify.whole_child", spec, steps, folder / "whole.npz", more), ""
    except ClusterError as error:
        return None, f"the whole model cannot be computed: {error}"


def _is_cpu(found: Inventory, name: str) -> bool:
    return any(device.name == name and device.kind == "cpu" for device in found.devices)


def _device_for_whole(found: Inventory) -> tuple[str | None, str]:
    """The first of the plan's devices that has room for all layers; or why none has."""
    if found.whole_path is None:
        return None, f"no node has {found.source.shown_name} as a file of its own"
    reasons = []
    with found.dry_run() as dry_run:
        layouts = Layouts(found, dry_run)
        for device in dict.fromkeys(found.devices):
            (memory,) = layouts.measure([(0, found.model.num_layers)], [device.name], found.context)
            usable = int(device.memory_free_bytes * (1 - found.config.headroom))
            if memory.total_bytes <= usable:
                return device.name, ""
            needed, there = memory.total_bytes / 2**30, usable / 2**30
            reasons.append(f"the whole model takes {needed:.2f} GiB, {device.name} has {there:.2f} GiB for it")
    return None, "; ".join(reasons)


def _computed(module: str, spec: StageSpec, steps: Sequence[Step], path: Path, more: dict[str, Any]) -> Rows:
    orders = {
        "model": spec.source.name,
        "spec": spec_record(spec),
        "steps": [asdict(step) for step in steps],
        "rows_out": str(path),
        **more,
    }
    with closing(Child(module)) as child, Activity("computing"):
        child.ask(orders, SIDE_TIMEOUT_S)
    return read_rows(path)
