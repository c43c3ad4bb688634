"""What a slice was planned to take on the device, and what it takes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Finding, Tell, judged, not_run
from tests.gpu.kit.settings import Settings

if TYPE_CHECKING:
    import worker_native

WITHIN = 0.05  # of what was planned
MODELS = ("1b:Q4_K", "1b:F16")
NUM_SLOTS = 8


def cases(settings: Settings) -> list[Case]:
    names = ("tiny:Q4_K",) if settings.is_tiny else MODELS
    return [Case(f"{name}, {part}", partial(_take, name, part), 60.0) for name in names for part in ("whole", "half")]


def _take(name: str, part: str, settings: Settings, tell: Tell) -> None:
    """The whole model, or its second half: what the plan says, what libllama says, and what is gone from the device."""
    from contextlib import closing

    from cluster.cutting.cuts import legal_cuts
    from cluster.planning.measure.dry_run import Context, DryRun
    from tests.fakes.opened import opened
    from tests.gpu.kit.models import random_model
    from tests.native.arch_matrix import Slices
    from worker_native import Slice

    model = random_model(settings.scratch, name)
    found = opened(model)
    cuts = legal_cuts(found.model)
    middle = cuts[len(cuts) // 2]
    first = 0 if part == "whole" else middle
    path = model if part == "whole" else Slices(model.with_suffix(".slices"), found).chain((middle,))[1]
    length = 64 if settings.is_tiny else 2048
    context = Context(length, NUM_SLOTS, 512, "f16", "f16", "auto")
    with DryRun(found.model) as dry_run:
        planned = dry_run.measure(first, found.model.num_layers, settings.device, context)
    free_before = _free_bytes(settings.device)
    options = {"n_ctx": length, "n_slots": NUM_SLOTS, "n_batch": 512, "n_ubatch": 512}
    with closing(Slice(str(path), device=settings.device, **options)) as loaded:  # type: ignore[arg-type]
        for what in ("weight_bytes", "kv_bytes", "compute_bytes"):
            tell(_within(what, getattr(planned, what), getattr(loaded, what)))
        if settings.is_cpu:
            tell(not_run("gone from the device", "the host's memory is not the slice's alone"))
            return
        in_use = free_before - _free_bytes(settings.device)
        tell(_within("gone from the device, loaded", planned.total_bytes, in_use))
        _step(loaded)
        in_use = free_before - _free_bytes(settings.device)
        tell(_within("gone from the device, after a step of 512 rows", planned.total_bytes, in_use))


def _step(loaded: worker_native.Slice) -> None:
    import numpy as np

    rows = np.zeros(512, np.int32)
    hidden = None if loaded.is_first else np.zeros((512, loaded.hidden_width), np.float32)
    loaded.forward(rows + 5, np.arange(512, dtype=np.int32), rows, rows == 0, hidden)


def _free_bytes(device: str) -> int:
    import worker_native

    return next(found.memory_free_bytes for found in worker_native.devices() if found.name == device)


def _within(what: str, planned: int, used: int) -> Finding:
    off = abs(used - planned) / max(planned, 1)
    return judged(what, off <= WITHIN, f"off by more than {WITHIN:.0%}", planned=planned, used=used, off=off)
