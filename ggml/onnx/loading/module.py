"""A module over the nodes of an ONNX graph, which it runs in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.devices import CPU
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.onnx.element_types import to_tensor
from ggml.onnx.loading.node import Graph
from ggml.onnx.loading.running import Run, Scope
from ggml.onnx.subgraph import Operand
from ggml.tensors.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Input:
    """What the file says of an input. Extents are numbers, names of what may be any number, or None."""

    name: str
    dtype: DType
    shape: tuple[int | str | None, ...] | None


class OnnxModule(Module):
    """The model of an ONNX file: called with its inputs in their order or by name.

    Returns the output, or a tuple of several. ``state_dict`` has the weights under their names in the file, with dots
    as in PyTorch. The arithmetic of shapes is worked out at each call, so that extents may change between calls;
    ``ggml.compile`` records it away.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        graph: Graph,
        opset: int,
        parameters: Mapping[str, NDArray[Any]],
        buffers: Mapping[str, NDArray[Any]],
        constants: Mapping[str, NDArray[Any]],
    ) -> None:
        super().__init__()
        self.inputs, self.output_names, self.opset_version = tuple(inputs), list(graph.outputs), opset
        self.input_names = [one.name for one in inputs]
        self._graph, self._constants = graph, dict(constants)
        self._places: dict[str, tuple[Module, str]] = {}
        for name, array in parameters.items():
            self._own(name, Parameter(to_tensor(array, CPU)))
        for name, array in buffers.items():
            self._own(name, to_tensor(array, CPU))
        self._lifted: dict[str, Tensor] = {}

    def _own(self, full: str, value: Tensor) -> None:
        """Own a weight under its name; dots lead to modules below. Names that Python has taken get an underscore."""
        owner: Module = self
        *path, name = full.split(".")
        for part in path:
            part = part or "_"
            while part not in owner._modules and hasattr(owner, part):
                part += "_"
            if part not in owner._modules:
                owner.register_module(part, Module())
            below = owner._modules[part]
            assert isinstance(below, Module)
            owner = below
        name = name or "_"
        while hasattr(owner, name):
            name += "_"
        if isinstance(value, Parameter):
            owner.register_parameter(name, value)
        else:
            owner.register_buffer(name, value)
        self._places[full] = owner, name

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        values = self._given(args, kwargs)
        device = next((one.device for one in values.values() if isinstance(one, Tensor)), CPU)
        for name, (owner, attribute) in self._places.items():
            values[name] = getattr(owner, attribute)
        values.update(self._constants)
        run = Run(self.opset_version, device, self._constants, self._lifted)
        results = run.graph(self._graph, Scope(values))
        found = [one if isinstance(one, Tensor) else to_tensor(one, device) for one in results]
        return found[0] if len(found) == 1 else tuple(found)

    def _given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Operand]:
        """The inputs by name, checked against what the file says of them."""
        unknown = [name for name in kwargs if name not in self.input_names[len(args) :]]
        missing = [name for name in self.input_names[len(args) :] if name not in kwargs]
        if len(args) > len(self.inputs) or unknown or missing:
            why = f"must be {self.input_names}, each once"
            if missing or unknown:
                why += f"; missing are {missing}, and {unknown} cannot be taken"
            raise ArgumentError("OnnxModule", "the inputs", why)
        found: dict[str, Operand] = {}
        for one, value in zip(
            self.inputs, [*args, *[kwargs[name] for name in self.input_names[len(args) :]]], strict=True
        ):
            found[one.name] = _checked(one, value)
        return found

    def extra_repr(self) -> str:
        return f"inputs={self.input_names}, outputs={self.output_names}, {len(self._graph.nodes)} nodes"


def _checked(one: Input, value: Any) -> Tensor:
    if isinstance(value, np.ndarray):
        value = to_tensor(value, CPU)
    if not isinstance(value, Tensor):
        raise DTypeError("OnnxModule", f"a tensor as {one.name!r}", type(value).__name__)
    if value.dtype is not one.dtype:
        raise DTypeError("OnnxModule", f"{one.name!r} of {one.dtype}", value.dtype)
    if one.shape is not None:
        fits = len(one.shape) == value.ndim and all(
            not isinstance(want, int) or want == have for want, have in zip(one.shape, value.shape, strict=True)
        )
        if not fits:
            raise ShapeMismatchError("OnnxModule", f"{one.name!r} of shape {one.shape}", tuple(value.shape))
    return value
