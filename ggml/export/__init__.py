"""From ``torch.export`` to programs of ggml: the only room that asks torch, and only when ``lower`` is called."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggml.core.dtypes import DType
    from ggml.export.compiling import backend as backend
    from ggml.export.mixed.program import MixedProgram as MixedProgram
    from ggml.programs.coverage import Coverage as Coverage
    from ggml.programs.coverage import Row as Row
    from ggml.programs.passes import NAMES as PASSES
    from ggml.programs.program import Program as Program

__all__ = ["PASSES", "Coverage", "MixedProgram", "Program", "Row", "backend", "lower"]

# Loaded at their first use: the rules would make ``import ggml`` slower for everybody.
_HOMES = {
    "Coverage": ("ggml.programs.coverage", "Coverage"),
    "MixedProgram": ("ggml.export.mixed.program", "MixedProgram"),
    "PASSES": ("ggml.programs.passes", "NAMES"),
    "Program": ("ggml.programs.program", "Program"),
    "Row": ("ggml.programs.coverage", "Row"),
    "backend": ("ggml.export.compiling", "backend"),
}


def lower(
    exported: Any,
    *,
    require: str | None = None,
    quantization: DType | None = None,
    passes: Iterable[str] | None = None,
) -> Program | MixedProgram:
    """A program of what ``torch.export.export`` returned. Its weights are copied: the model may change, or go.

    Args:
        exported: an ``ExportedProgram`` of a model in evaluation mode.
        require: None leaves what ggml lacks to torch: then the result is a MixedProgram, which is called like a
            Program, but has no file. "ggml" refuses such a model with an UnsupportedOpError that lists what is missing.
        quantization: a quantised dtype for the matrices that linear layers and embeddings read, where their rows are
            whole blocks of it. ArgumentError where there is none.
        passes: the names of those of ``ggml.export.PASSES`` that may put one operation in the place of several; all
            of them by default. ArgumentError for another name.

    UnsupportedOpError also for what no program has: inputs that the model writes to, and arguments or results that
    are complex, or no tensors in tuples, lists and dicts.
    """
    from ggml.export.lowered import lowered  # torch takes a while to import

    return lowered(exported, require, quantization, passes)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name][0]), _HOMES[name][1])
    return found
