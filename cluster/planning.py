"""From settings and a GGUF to a plan: which layers go to which device. Reads headers, loads nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cluster.config import ClusterConfig
from cluster.coordinator.spec import CoordinatorSpec
from cluster.engine.placement import DeviceOffer, LayerSizes, Plan, place
from cluster.errors import ClusterError, UsageError
from cluster.gguf import (
    Header,
    can_truncate,
    legal_cuts,
    model_hash,
    model_sizes,
    read_header,
    tensor_type,
    trained_context,
)
from cluster.stage.spec import StageSpec
from worker_native.probe import DeviceFacts, probe

DEFAULT_CONTEXT_LENGTH = 4096
DEFAULT_CPU_STAGES = 2


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """Everything the actors are told, and what the operator should know."""

    stages: tuple[StageSpec, ...]
    coordinator: CoordinatorSpec
    bounds: tuple[int, ...]  # layers at which the slices begin, and the end of the last
    warnings: tuple[str, ...]


def plan_model(config: ClusterConfig, bounds: Sequence[int] = ()) -> ModelPlan:
    """Check the model and the machine, and place the layers.

    `bounds`: where the slices of a cluster that lives begin, and the end of the last; the memory that is free
    now says nothing about those. () places them anew.

    Raises UsageError (ModelFileError, UnsupportedModelError among them) for what cannot be, CapacityError for
    what does not fit. Nothing has been started by then.
    """
    header = read_header(config.model)
    cuts = legal_cuts(header)
    context_length = _context_length(config, trained_context(header))
    try:
        found = probe()
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"ggml: {error}; see that the machine is not overloaded, or install again") from error
    devices = choose_devices(config, found.devices, header.num_layers)
    if not bounds:
        sizes = _layer_sizes(config, header, context_length * config.parallel)
        bounds = _bounds(place(_offers(devices), sizes, len(devices), cuts, devices=[item.name for item in devices]))
    fingerprint = model_hash(config.model, header)
    coordinator = CoordinatorSpec(
        model=Path(config.model).name,
        source=config.model,
        model_hash=fingerprint,
        architecture=header.architecture,
        context_length=context_length,
        num_slots=config.parallel,
        num_stages=len(devices),
        ubatch_size=config.ubatch_size,
        max_waiting=config.max_waiting,
        pipeline_prompts=config.pipeline_prompts,
        host=config.host,
        port=config.port,
        can_truncate=can_truncate(header),
    )
    stages = _specs(config, devices, bounds, coordinator)
    return ModelPlan(stages, coordinator, tuple(bounds), tuple(filter(None, [found.warning])))


def choose_devices(config: ClusterConfig, devices: tuple[DeviceFacts, ...], num_layers: int) -> tuple[DeviceFacts, ...]:
    """One device per stage: those named, else the GPUs, else the CPU as often as there are stages."""
    by_name = {device.name: device for device in devices}
    unknown = [name for name in config.devices if name not in by_name]
    if unknown:
        raise UsageError(f"devices: no {unknown[0]!r} on this machine; there are {', '.join(by_name)}")
    if config.devices:
        return tuple(by_name[name] for name in config.devices)
    gpus = tuple(device for device in devices if device.kind == "gpu")
    if gpus and config.stages in (None, len(gpus)):
        return gpus
    pool = gpus or tuple(device for device in devices if device.kind == "cpu")
    num_stages = config.stages or min(DEFAULT_CPU_STAGES, num_layers)
    return tuple(pool[stage % len(pool)] for stage in range(num_stages))


def _offers(devices: tuple[DeviceFacts, ...]) -> list[DeviceOffer]:
    """Each device once, however many stages it carries."""
    return [DeviceOffer("localhost", device.name, device.memory_free_bytes) for device in dict.fromkeys(devices)]


def _layer_sizes(config: ClusterConfig, header: Header, num_cells: int) -> LayerSizes:
    sizes = model_sizes(header, num_cells, tensor_type(config.cache_type_k), tensor_type(config.cache_type_v))
    return LayerSizes(
        layer_bytes=sizes.layer_bytes,
        kv_bytes=sizes.kv_bytes,
        embed_bytes=sizes.embed_bytes,
        head_bytes=sizes.head_bytes,
        tied_head=sizes.tied_head,
    )


def _context_length(config: ClusterConfig, trained: int) -> int:
    asked = config.ctx_size or min(trained, DEFAULT_CONTEXT_LENGTH)
    if asked > trained:
        raise UsageError(f"ctx-size: {asked} is more than the {trained} tokens the model was trained for")
    return asked


def _bounds(plan: Plan) -> tuple[int, ...]:
    return (0, *(stage.end for stage in plan.stages))


def _specs(
    config: ClusterConfig, devices: Sequence[DeviceFacts], bounds: Sequence[int], coordinator: CoordinatorSpec
) -> tuple[StageSpec, ...]:
    num_cores = len(os.sched_getaffinity(0))
    num_threads = config.threads or max(1, num_cores // len(devices))
    slices = zip(devices, pairwise(bounds), strict=True)
    return tuple(
        StageSpec(
            stage=stage,
            num_stages=len(devices),
            source=config.model,
            model_hash=coordinator.model_hash,
            first=first,
            end=end,
            device=device.name,
            context_length=coordinator.context_length,
            num_slots=config.parallel,
            ubatch_size=config.ubatch_size,
            num_threads=num_threads,
            num_threads_alone=_threads_alone(config, device, devices, num_threads),
            type_k=config.cache_type_k,
            type_v=config.cache_type_v,
            flash_attn=config.flash_attn,
        )
        for stage, (device, (first, end)) in enumerate(slices)
    )


def _threads_alone(config: ClusterConfig, device: DeviceFacts, devices: Sequence[DeviceFacts], num_threads: int) -> int:
    """A stage that computes alone may use the threads of all stages that share the CPU with it."""
    if not config.lend_cores or device.kind != "cpu":
        return num_threads
    return num_threads * sum(other.kind == "cpu" for other in devices)
