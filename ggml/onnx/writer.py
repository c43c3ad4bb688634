"""The ONNX graph under construction: nodes, constants, and sizes that are computed when the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ggml.core.dtypes import DType
from ggml.onnx.element_types import there
from ggml.onnx.sizes import Expression, Extent


class Writer:
    """``places`` says of which input and axis each symbol of the sizes is the extent."""

    def __init__(self, opset: int, places: dict[str, tuple[str, int]]) -> None:
        self.opset, self.places = opset, places
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._taken: set[str] = set()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._symbols: dict[str, str] = {}

    def free(self, wish: str) -> str:
        """A name that nothing else in the graph has."""
        name, count = wish, 0
        while name in self._taken:
            count += 1
            name = f"{wish}_{count}"
        self._taken.add(name)
        return name

    def emit(self, op: str, *inputs: str, **attributes: Any) -> str:
        """One node; the name of its result."""
        return self.emit_several(op, 1, *inputs, **attributes)[0]

    def emit_several(self, op: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """One node with several results."""
        names = [self.free(f"{op.lower()}_{len(self.nodes)}") for _ in range(count)]
        given = {name: value for name, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **given))
        return names

    def weight(self, wish: str, array: NDArray[Any]) -> str:
        """An initializer under a name of its own."""
        name = self.free(wish)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def constant(self, array: NDArray[Any]) -> str:
        """An initializer that is shared by all who need these values."""
        key = array.dtype.name, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.weight(f"constant_{len(self._constants)}", array)
        return self._constants[key]

    def scalar(self, value: float, dtype: DType) -> str:
        """A constant without axes."""
        kind = helper.tensor_dtype_to_np_dtype(there(dtype))
        with np.errstate(over="ignore"):
            return self.constant(np.array(value).astype(kind))

    def ints(self, values: Sequence[int]) -> str:
        """A constant vector of int64."""
        return self.constant(np.array(values, np.int64).reshape(-1))

    def vector(self, extents: Sequence[Extent]) -> str:
        """A vector of int64 of which some may be computed when the model runs."""
        if all(isinstance(one, int) for one in extents):
            return self.ints([one for one in extents if isinstance(one, int)])
        parts = [self.ints([one]) if isinstance(one, int) else self._computed(one) for one in extents]
        return parts[0] if len(parts) == 1 else self.emit("Concat", *parts, axis=0)

    def _computed(self, one: Expression) -> str:
        """A vector of one element."""
        parts = [self._symbol(symbol) for symbol in one.symbols]
        if one.is_product:
            total = parts[0]
            for part in parts[1:]:
                total = self.emit("Mul", total, part)
            total = self._scaled(total, one.factors[0])
        else:
            scaled = [self._scaled(part, factor) for part, factor in zip(parts, one.factors, strict=True)]
            total = scaled[0]
            for part in scaled[1:]:
                total = self.emit("Add", total, part)
            if one.offset:
                total = self.emit("Add", total, self.ints([one.offset]))
        return total if one.divisor == 1 else self.emit("Div", total, self.ints([one.divisor]))

    def _scaled(self, name: str, factor: int) -> str:
        return name if factor == 1 else self.emit("Mul", name, self.ints([factor]))

    def _symbol(self, symbol: str) -> str:
        if symbol not in self._symbols:
            name, axis = self.places[symbol]
            self._symbols[symbol] = self.emit("Shape", name, start=axis, end=axis + 1)
        return self._symbols[symbol]

    def prune(self, results: Sequence[str]) -> None:
        """Let go of nodes and initializers that no result needs: what a pattern was found in, for one."""
        wanted = set(results)
        kept = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                kept.append(node)
        self.nodes = kept[::-1]
        self.initializers = [one for one in self.initializers if one.name in wanted]

    def cast(self, name: str, dtype: DType) -> str:
        """Elements in another dtype."""
        return self.emit("Cast", name, to=there(dtype))

    def reshape(self, name: str, extents: Sequence[Extent]) -> str:
        """The same elements in another shape."""
        return self.emit("Reshape", name, self.vector(extents))
