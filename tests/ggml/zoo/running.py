"""Each model of the zoo through export, lowering and two calls, beside the model itself."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import Dim

import ggml
from tests.ggml.zoo.models import Entry


@dataclass(frozen=True)
class Outcome:
    """What came of a model: its table, and its largest error, which is that of a result whose elements reach 1."""

    program: ggml.export.Program
    coverage: ggml.export.Coverage
    error: float


def exported(entry: Entry) -> tuple[torch.nn.Module, Any]:
    """The model in evaluation mode, and its export for a batch of 2."""
    torch.manual_seed(0)
    model = entry.make().eval()
    names = sorted({name for axes in entry.axes for name in axes.values()})
    dims = {name: Dim(name, min=2, max=32) for name in names}
    shapes = tuple({axis: dims[name] for axis, name in axes.items()} for axes in entry.axes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        return model, torch.export.export(model, entry.arguments(2), dynamic_shapes=shapes)


def outcome(entry: Entry) -> Outcome:
    """Lowered, and compared at the example's shapes and at others."""
    model, export = exported(entry)
    program = ggml.export.lower(export, require=None)
    coverage = program.coverage()
    error = float("nan") if coverage.missing else max(_error(model, program, entry, batch) for batch in (2, 3))
    return Outcome(program, coverage, error)


def _error(model: torch.nn.Module, program: ggml.export.Program, entry: Entry, batch: int) -> float:
    arguments = entry.arguments(batch)
    with torch.no_grad():
        wanted = model(*arguments)
    found = program(*arguments)
    pairs = zip(wanted, found, strict=True) if isinstance(wanted, tuple) else [(wanted, found)]
    errors = []
    for one, other in pairs:
        theirs, ours = one.detach(), torch.from_dlpack(other)
        assert theirs.shape == ours.shape
        errors.append(float((theirs - ours).abs().max() / theirs.abs().max().clamp(max=1.0)))
    return max(errors)
