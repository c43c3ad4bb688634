"""From ``torch.export`` to programs of ggml: the only room that asks torch, and only when ``lower`` is called."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ggml.core.errors import ArgumentError

if TYPE_CHECKING:
    from ggml.core.devices import Device
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
    device: Device | str | None = None,
    weights: str | os.PathLike[str] | None = None,
    names: Mapping[str, str] | None = None,
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
        device: where the weights lie and where calls compute; the CPU by default. Inputs may lie anywhere. What runs in
            torch runs on the CPU. ArgumentError for one that is not here.

        weights: a GGUF file to take the weights from, mapped: those of quantised types as they are where linear layers
            and embeddings read them, others in the dtype of the export. They are looked up by their names in the
            program; else, in a file of llama.cpp, by the names that it gives to a model of transformers, in the order
            of rows that the model wants. Parameters must be there, in their shapes; buffers and constants may be the
            model's. FileFormatError, StateDictError or ArgumentError where the file does not fit.
        names: what weights are called in that file, for those that it calls otherwise.

    UnsupportedOpError also for what no program has: inputs that the model writes to, and arguments or results that
    are complex, or no tensors in tuples, lists and dicts.
    """
    from ggml.export.gguf_weights import GgufWeights
    from ggml.export.lowered import lowered  # torch takes a while to import

    if weights is None and names is not None:
        raise ArgumentError("lower", "names", "says what the file in weights= calls them; there is none")
    stored = None if weights is None else GgufWeights(weights, names)
    program = lowered(exported, require, quantization, passes, stored)
    return program if device is None else program.to(device)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name][0]), _HOMES[name][1])
    return found
