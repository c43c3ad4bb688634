"""What a plan starts from: the model's header, and the devices of this machine. Reads headers, loads nothing."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cluster.api.errors import ClusterError, UsageError
from cluster.config import ClusterConfig
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.model import Model
from cluster.cutting.sizes import trained_context
from cluster.engine.cost.decode import most_lanes_of, rows_per_lane
from cluster.planning.measure.dry_run import Context
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.source import ModelSource
from worker_native.probe import DeviceFacts, Probe, probe

DEFAULT_CONTEXT_LENGTH = 4096
DEFAULT_CPU_STAGES = 2
THIS_NODE = "localhost"


@dataclass(frozen=True, slots=True)
class Inventory:
    """`devices` holds one per stage, the same one again where stages share it."""

    config: ClusterConfig
    source: ModelSource
    whole_path: Path | None  # the one local file that is the whole model, if there is one
    model: Model
    model_hash: str
    cuts: tuple[int, ...]
    context: Context
    probe: Probe
    devices: tuple[DeviceFacts, ...]
    num_cores: int

    @property
    def num_threads(self) -> int:
        """Threads of each CPU stage."""
        return self.config.threads or max(1, self.num_cores // len(self.devices))

    def threads_exclusive(self, device: DeviceFacts) -> int:
        """A stage that computes alone may use the threads of all stages on the CPU, but no more than that has cores."""
        if not self.config.lend_cores or device.kind != "cpu":
            return self.num_threads
        return max(self.num_threads, min(self.num_cores, self.num_threads * self._num_cpu_stages))

    def first_core(self, stage: int) -> int | None:
        """The first of the cores that are a CPU stage's own, where the stages have each core of the machine once.

        Elsewhere threads must be free to get out of each other's way: None.
        """
        if self.devices[stage].kind != "cpu" or self.num_threads * self._num_cpu_stages != self.num_cores:
            return None
        return self.num_threads * sum(device.kind == "cpu" for device in self.devices[:stage])

    @property
    def fullest_rows(self) -> int:
        """Rows of a microbatch when all slots are in use and every stage has one."""
        num_slots = self.context.n_slots
        return rows_per_lane(num_slots, most_lanes_of(len(self.devices), num_slots))

    @property
    def _num_cpu_stages(self) -> int:
        return sum(device.kind == "cpu" for device in self.devices)


def take_inventory(config: ClusterConfig) -> Inventory:
    """Check the model and the machine. UsageError (ModelFileError, UnsupportedModelError among them), ClusterError."""
    source = resolve(config.model)
    opened = open_model(source)
    model = opened.model
    context_length = _context_length(config, trained_context(model))
    found = checked_probe()
    context = Context(
        n_ctx=context_length,
        n_slots=config.parallel,
        n_ubatch=config.ubatch_size,
        type_k=config.cache_type_k,
        type_v=config.cache_type_v,
        flash_attn=config.flash_attn,
        use_extra_bufts=found.use_extra_bufts,
    )
    return Inventory(
        config=config,
        source=source,
        whole_path=opened.path,
        model=model,
        model_hash=opened.hash,
        cuts=legal_cuts(model),
        context=context,
        probe=found,
        devices=choose_devices(config, found.devices, model.num_layers),
        num_cores=len(os.sched_getaffinity(0)),
    )


def checked_probe() -> Probe:
    """What the native library is. ClusterError if it cannot be used."""
    try:
        return probe()
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"ggml: {error}; see that the machine is not overloaded, or install again") from error


def choose_devices(config: ClusterConfig, devices: tuple[DeviceFacts, ...], num_layers: int) -> tuple[DeviceFacts, ...]:
    """One device per stage: those named, else the GPUs, else the CPU as often as there are stages."""
    by_name = {device.name: device for device in devices}
    unknown = [name for name in config.devices if name not in by_name]
    if unknown:
        raise UsageError(f"devices: no {unknown[0]!r} on this machine; there are {', '.join(by_name)}")
    if config.devices:
        return tuple(by_name[name] for name in config.devices)
    gpus = tuple(device for device in devices if device.kind == "gpu")
    if gpus and config.num_stages in (None, len(gpus)):
        return gpus
    pool = gpus or tuple(device for device in devices if device.kind == "cpu")
    num_stages = config.num_stages or min(DEFAULT_CPU_STAGES, num_layers)
    return tuple(pool[stage % len(pool)] for stage in range(num_stages))


def _context_length(config: ClusterConfig, trained: int) -> int:
    if config.ctx_size == 0:
        return trained
    asked = config.ctx_size or min(trained, DEFAULT_CONTEXT_LENGTH)
    if asked > trained:
        raise UsageError(f"ctx-size: {asked} is more than the {trained} tokens the model was trained for")
    return asked
