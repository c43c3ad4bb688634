"""Each model of the zoo through export, lowering and two calls, beside the model itself."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import Dim

import ggml
from tests.ggml.zoo.library.fields import Fields, tensors
from tests.ggml.zoo.library.foreign import define
from tests.ggml.zoo.models import Arguments, Entry

define()


@dataclass(frozen=True)
class Outcome:
    """What came of a model: its table, and its largest error, as a share of the result's largest element."""

    program: ggml.export.Program
    coverage: ggml.export.Coverage
    error: float


def exported(entry: Entry) -> tuple[torch.nn.Module, Any]:
    """The model in evaluation mode, and its export for a batch of 2."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, about themselves
        model = entry.make().eval()
    vary(model)
    names = sorted({name for axes in entry.axes for name in axes.values()})
    bounds = {name: entry.bounds.get(name, (2, 32)) for name in names}
    dims = {name: Dim(name, min=low, max=high) for name, (low, high) in bounds.items()}
    shapes: Any = tuple({axis: dims[name] for axis, name in axes.items()} for axes in entry.axes)
    if isinstance(model, Fields):  # its arguments stand behind one star
        shapes = (shapes,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        return model, torch.export.export(model, entry.arguments(2), dynamic_shapes=shapes)


def vary(model: torch.nn.Module) -> None:
    """Numbers of their own in parameters and statistics that start as all zeros or all ones: they would hide errors."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point() and value.numel() > 1 and bool((value == value.flatten()[0]).all()):
                value += torch.rand_like(value) * 0.2 if "var" in name else torch.randn_like(value) * 0.1


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
        wanted = list(tensors(model(*arguments)))
    return max(difference(ours, theirs) for ours, theirs in zip(results(program, arguments), wanted, strict=True))


def results(program: ggml.export.Program, arguments: Arguments) -> list[ggml.Tensor]:
    found = program(*arguments)
    return list(found) if isinstance(found, tuple) else [found]


def difference(ours: Any, theirs: torch.Tensor) -> float:
    """The largest difference, as a share of the result's largest element."""
    got = torch.from_dlpack(ours)
    assert got.shape == theirs.shape
    assert bool(theirs.isfinite().all())
    return float((theirs.double() - got.double()).abs().max() / theirs.double().abs().max().clamp(min=1e-9))
