"""The devices and their memory, as libllama, ggml and PyTorch see them, and what the planner makes of them."""

from __future__ import annotations

import subprocess

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Tell, figure, judged, not_run
from tests.gpu.kit.settings import Settings


def cases(settings: Settings) -> list[Case]:
    return [Case("seen", _seen, 60.0), Case("planned", _planned, 60.0)]


def _seen(settings: Settings, tell: Tell) -> None:
    import ggml
    import worker_native
    from cluster.node.machine import this_machine

    machine = this_machine()
    tell(figure("machine", processor=machine.processor, cores=machine.num_cores, system=machine.system))
    tell(figure("versions", told="; ".join(machine.versions)))
    _card(tell)
    found = {device.name: device for device in worker_native.devices()}
    for device in found.values():
        sizes = {"total_bytes": device.memory_total_bytes, "free_bytes": device.memory_free_bytes}
        tell(figure(device.name, kind=device.kind, description=device.description, **sizes))
    names = ", ".join(found)
    tell(judged("libllama has the device", settings.device in found, f"there are {names}"))
    free_bytes, total_bytes = ggml.device(settings.device).memory_bytes
    tell(judged("ggml tells its memory", 0 < free_bytes <= total_bytes, free_bytes=free_bytes, total_bytes=total_bytes))
    _torch(settings, tell)


def _card(tell: Tell) -> None:
    """What the driver says; nothing where there is none."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        tell(figure("nvidia-smi", told=done.stdout.strip()))
    except (OSError, subprocess.SubprocessError) as error:
        tell(not_run("nvidia-smi", str(error)))


def _torch(settings: Settings, tell: Tell) -> None:
    try:
        import torch
    except ImportError as error:
        tell(not_run("torch", str(error)))
        return
    tell(figure("torch", version=torch.__version__, sees_cuda=torch.cuda.is_available()))
    if not settings.is_cpu:
        tell(judged("torch sees the device", torch.cuda.is_available(), "torch.cuda.is_available() is False"))


def _planned(settings: Settings, tell: Tell) -> None:
    from cluster.config import ClusterConfig
    from cluster.planning.inventory import take_inventory
    from cluster.planning.report import report_model
    from tests.gpu.kit.models import random_model

    model = random_model(settings.scratch, "tiny:Q4_K" if settings.is_tiny else "1b:Q4_K")
    layouts = [(settings.device,), (settings.device, settings.device), ("CPU", settings.device)]
    for devices in layouts[:1] if settings.is_tiny else layouts:
        plan = report_model(take_inventory(ClusterConfig(str(model), devices=devices, parallel=8, ctx_size=512)))
        layers = ", ".join(f"[{stage.first}, {stage.end}) on {stage.device}" for stage in plan.stages)
        sizes = {f"stage_{stage.stage}_bytes": stage.total_bytes for stage in plan.stages}
        tell(judged(f"plan for {' + '.join(devices)}", plan.fits, "it does not fit", layers=layers, **sizes))
