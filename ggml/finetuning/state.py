"""Where a run stands, in a file: the matrices, what the optimiser keeps of each, the step, and what run it is.

A GGUF of tensors with one key of JSON. Nothing in it is executed, and all of it is checked.
"""

from __future__ import annotations

import json
import mmap
from typing import Any

import numpy as np

from ggml.core.errors import FileFormatError
from ggml.gguf.ours import STATE
from ggml.gguf.value import string
from ggml.io.mapped import open_mapped
from ggml.io.reading import tensors_of
from ggml.io.writing import write
from ggml.nn.layers.lora import LoRALinear
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import zeros_like
from ggml.ops.create.interop import from_numpy
from ggml.optim.adam import AdamW
from ggml.tensors.tensor import Tensor

_KEY = "ggml.finetuning"
_MOMENTS = ("exp_avg", "exp_avg_sq")


def parameters_of(layers: dict[str, LoRALinear]) -> dict[str, Parameter]:
    """What learns, by name, in order."""
    return {f"{name}.{part}": getattr(layer, part) for name, layer in layers.items() for part in ("lora_A", "lora_B")}


def save_state(path: str, step: int, run: dict[str, Any], params: dict[str, Parameter], optimizer: AdamW) -> None:
    """Write all of it under ``path``, in the place of what was there. ``step`` counts the steps that are done."""
    tensors: dict[str, Tensor] = {}
    for name, param in params.items():
        kept = optimizer.state.get(param, {})
        tensors[name] = param.detach()
        tensors |= {f"{name}.{moment}": kept[moment] for moment in _MOMENTS if moment in kept}
    told = json.dumps({"step": step, "run": run}, sort_keys=True)
    write(path, tensors, STATE, {_KEY: string(told)})


def load_state(path: str, run: dict[str, Any], params: dict[str, Parameter], optimizer: AdamW) -> int:
    """Take all of it, and return how many steps are done.

    FileFormatError for a file that is no such state, or that of another run: the message names what differs.
    """
    file = open_mapped(path, mmap.ACCESS_COPY)
    step = _checked(path, file.header.metadata.get(_KEY), run)
    tensors = tensors_of(file)
    names = ["", *(f".{moment}" for moment in _MOMENTS)] if step else [""]
    wanted = {f"{name}{suffix}": param for name, param in params.items() for suffix in names}
    for name, param in wanted.items():
        found = tensors.get(name)
        if found is None or found.shape != param.shape or found.dtype is not param.dtype:
            raise FileFormatError(path, ascii(name), "is missing, or has another shape; begin anew without --resume")
    for name, param in params.items():
        if step:
            optimizer.state[param] = {
                "step": step, **{moment: _copied(tensors[f"{name}.{moment}"]) for moment in _MOMENTS}
            }  # fmt: skip
        param.data = _copied(tensors[name])
    return step


def _checked(path: str, value: Any, run: dict[str, Any]) -> int:
    try:
        told = json.loads(value.value)
        step, there = told["step"], dict(told["run"])
    except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
        raise FileFormatError(path, _KEY, "this is no checkpoint; begin anew without --resume") from None
    for key, wanted in run.items():
        if there.get(key) != wanted:
            why = f"was {_short(there.get(key))}, is {_short(wanted)} now; give what it was, or begin anew"
            raise FileFormatError(path, key, why)
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 1 << 31:
        raise FileFormatError(path, "step", "is no number of steps; begin anew without --resume")
    return step


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 48 else text[:45] + "..."


def _copied(tensor: Tensor) -> Tensor:
    """In memory of its own: the file is replaced while the run goes on."""
    return from_numpy(np.array(tensor.numpy(), np.float32))


#: What a parameter and what is kept of it were.
Before = list[tuple[Tensor, dict[str, Any]]]


def begin(params: dict[str, Parameter], optimizer: AdamW) -> None:
    """Give the optimiser the state from which it starts, so that its first step is recorded as all others are."""
    for param in params.values():
        optimizer.state[param] = {"step": 0, **{moment: zeros_like(param.detach()) for moment in _MOMENTS}}


def kept(params: dict[str, Parameter], optimizer: AdamW) -> Before:
    """Where the parameters and the optimiser stand. Nothing is copied: a step makes new tensors."""
    return [(param.detach(), dict(optimizer.state[param])) for param in params.values()]


def give_back(params: dict[str, Parameter], optimizer: AdamW, before: Before) -> None:
    """Stand where ``kept`` said."""
    for param, (value, state) in zip(params.values(), before, strict=True):
        param.data, optimizer.state[param] = value, state
