"""A module called on placeholders: what its results are made of, at one size of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ggml.core import tracing
from ggml.core.errors import ArgumentError, DTypeError
from ggml.core.grad_mode import no_grad
from ggml.core.memory import outside
from ggml.core.node import Node, placeholder
from ggml.graph.plan import Plan, plan
from ggml.nn.module.module import Module
from ggml.tensors.compiled import key_of, swapped
from ggml.tensors.tensor import Tensor, wrap


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call: placeholders in the order of the tensors among the arguments, and what was made of them."""

    inputs: list[Node]
    outputs: list[Node]
    plan: Plan


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors among arguments, in the order in which placeholders take their places."""
    found: list[Tensor] = []
    key_of(value, found)
    return found


def record(function: Callable[..., Any], args: Any, kwargs: Any, shapes: list[tuple[int, ...]]) -> Recorded:
    """The operations of a call whose tensors have these shapes."""
    given = tensors_of((args, kwargs))
    nodes = [placeholder(shape, one.dtype, one.device) for one, shape in zip(given, shapes, strict=True)]
    stand_ins = iter([wrap(node) for node in nodes])
    with outside(), no_grad(), tracing.recording():
        result = function(*swapped(args, stand_ins), **swapped(kwargs, stand_ins))
    outputs = [one._node for one in tensors_of(result)]
    if not outputs:
        raise ArgumentError("onnx.export", "model", "returned no tensor")
    return Recorded(nodes, outputs, plan(outputs))


def named_weights(model: Any) -> dict[str, Tensor]:
    """Parameters and buffers by full name, computed where they are still recorded."""
    if not isinstance(model, Module):
        return {}
    found = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for one in found.values():
        if one.dtype.is_quantized:
            raise DTypeError("onnx.export", "weights that ONNX has; dequantise them", one.dtype)
        one.buffer()
    return found


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The module in evaluation mode until the end of the block, and then each part of it as it was."""
    modules = list(model.modules()) if isinstance(model, Module) else []
    modes = [module.training for module in modules]
    if modules and any(modes):
        model.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
