"""A graph that is an attribute of a node, as the node's operation calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ggml.tensors.tensor import Tensor

#: An operand: a tensor, or an array of numbers that are known without computing, such as a shape.
Operand = Tensor | NDArray[Any]


@dataclass(frozen=True, slots=True)
class Value:
    """What the file says of an input or output of a graph.

    ``element_type`` is ONNX's number, 0 where there is none. Extents are numbers, names of what may be any number, or
    None; the shape is None where not even the number of axes is known.
    """

    name: str
    element_type: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class Subgraph:
    """``run`` takes the inputs in their order and gives the outputs; it sees the values around the node as well."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    run: Callable[[Sequence[Operand]], list[Operand]]

    def __call__(self, *operands: Operand) -> list[Operand]:
        return self.run(operands)
