"""One node of an ONNX graph while it is computed: its operands, its attributes and its opset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.devices import Device
from ggml.core.dtypes import bfloat16
from ggml.core.errors import ArgumentError, FileFormatError, UnsupportedOpError
from ggml.onnx.element_types import to_tensor
from ggml.onnx.subgraph import Operand, Subgraph
from ggml.tensors.tensor import Tensor


class Call:
    """What a function of the table asks. ``where`` names node, operation and opset for messages."""

    def __init__(
        self,
        op: str,
        where: str,
        opset: int,
        inputs: Sequence[Operand | None],
        attributes: Mapping[str, Any],
        num_outputs: int,
        device: Device,
    ) -> None:
        self.op, self.where, self.opset = op, where, opset
        self.inputs, self.attributes, self.num_outputs, self.device = inputs, attributes, num_outputs, device

    def has(self, place: int) -> bool:
        """Whether the operand at this place is given."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def operand(self, place: int) -> Operand:
        """An operand as it is, or ArgumentError if the node leaves it out."""
        found = self.inputs[place] if place < len(self.inputs) else None
        if found is None:
            raise ArgumentError(self.where, f"input {place}", "is missing")
        return found

    def tensor(self, place: int) -> Tensor:
        """An operand as a tensor."""
        found = self.operand(place)
        return found if isinstance(found, Tensor) else to_tensor(found, self.device)

    def tensor_or_none(self, place: int) -> Tensor | None:
        """An operand that may be left out."""
        return self.tensor(place) if self.has(place) else None

    def array(self, place: int) -> NDArray[Any]:
        """The values of an operand. While a function is compiled they must not depend on its arguments."""
        found = self.operand(place)
        if not isinstance(found, Tensor):
            return found
        return np.asarray((found.float() if found.dtype is bfloat16 else found).numpy())

    def ints(self, place: int) -> list[int]:
        """The integers of an operand."""
        array = self.array(place)
        if array.dtype.kind not in "iu":
            raise ArgumentError(self.where, f"input {place}", f"must be integers, not {array.dtype}")
        return [int(one) for one in array.reshape(-1)]

    def number(self, place: int) -> Any:
        """The one number of an operand."""
        array = self.array(place)
        if array.size != 1:
            raise ArgumentError(self.where, f"input {place}", f"must be one number, not {array.shape}")
        return array.reshape(-1)[0].item()

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or what it is where the node does not say."""
        return self.attributes.get(name, default)

    def subgraph(self, name: str, num_inputs: int, num_outputs: int) -> Subgraph:
        """A graph that is an attribute. FileFormatError unless it takes and gives as many values as the node needs."""
        found = self.attributes.get(name)
        if not isinstance(found, Subgraph):
            raise ArgumentError(self.where, name, "must be a graph")
        counts = len(found.inputs), len(found.outputs)
        if counts != (num_inputs, num_outputs):
            why = f"takes {counts[0]} values and gives {counts[1]}, where the node needs {num_inputs} and {num_outputs}"
            raise FileFormatError(self.where, name, why)
        return found

    def ints_or(self, place: int, name: str, since: int, default: list[int] | None = None) -> list[int] | None:
        """Integers that are an input from opset ``since`` on, and were an attribute before."""
        if self.opset >= since:
            return self.ints(place) if self.has(place) else default
        found = self.attributes.get(name)
        return default if found is None else list(found)

    def refuse(self, why: str) -> UnsupportedOpError:
        """The error for what an operation has and ggml lacks."""
        return UnsupportedOpError(self.where, "ggml", why)
