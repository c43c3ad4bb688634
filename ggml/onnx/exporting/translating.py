"""Recordings of one model as one ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from ggml.core import dtypes
from ggml.core.errors import UnsupportedOpError
from ggml.core.node import Node
from ggml.graph import executor
from ggml.onnx.element_types import there
from ggml.onnx.exporting.patterns import batch_norm
from ggml.onnx.exporting.recording import Recorded
from ggml.onnx.sizes import Sizes
from ggml.onnx.step import Step, Variant
from ggml.onnx.table import KNOWS_SIZES, TO_ONNX
from ggml.onnx.writer import Writer
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import values


class Translation:
    """``recorded`` has the model at the sizes of ``sizes``, the first of which is written as it is."""

    def __init__(self, recorded: Sequence[Recorded], sizes: Sizes, writer: Writer, weights: dict[str, Tensor]) -> None:
        self.recorded, self.sizes, self.writer = recorded, sizes, writer
        self.names: dict[int, str] = {}
        self._weights = {id(one._node): name for name, one in reversed(weights.items())}

    def run(self, input_names: list[str]) -> None:
        """Write the nodes of all results."""
        first = self.recorded[0].plan
        self._check_form()
        for node, name in zip(self.recorded[0].inputs, input_names, strict=True):
            self.names[id(node)] = name
        for place, node in enumerate(first.leaves):
            if id(node) not in self.names:
                self.names[id(node)] = self._leaf(node, [one.plan.leaves[place] for one in self.recorded])
        for place, node in enumerate(first.pending):
            self.names[id(node)] = self._written(place, node)

    def _check_form(self) -> None:
        """UnsupportedOpError where other sizes make other operations: then no one graph is the model."""
        forms = [[(row.name, len(inputs)) for row, inputs, _ in one.plan.recipes] for one in self.recorded]
        counts = {len(one.plan.leaves) for one in self.recorded}
        if len(counts) > 1 or any(form != forms[0] for form in forms):
            raise UnsupportedOpError(
                "onnx.export", "ONNX",
                f"the operations that are recorded differ between the sizes {[dict(one) for one in self.sizes.samples]}"
                "; keep the axis fixed that they follow, such as the steps of an unrolled layer",
            )  # fmt: skip

    def _leaf(self, node: Node, all_of: list[Node]) -> str:
        """A weight under its name, or a constant of the function."""
        if node.is_placeholder:
            raise UnsupportedOpError("onnx.export", "ONNX", "a tensor of another recording is used")
        array = _array(node)
        if node.shape != () and len({one.shape for one in all_of}) > 1:
            return self._sized(node, all_of)
        if any(one is not node and not np.array_equal(_array(one), array, equal_nan=True) for one in all_of[1:]):
            raise UnsupportedOpError("onnx.export", "ONNX", "a constant depends on the sizes of the inputs")
        name = self._weights.get(id(node))
        if name is not None:
            return self.writer.weight(name, array)
        return self.writer.constant(array)

    def _sized(self, node: Node, all_of: list[Node]) -> str:
        """A constant whose shape follows the inputs: one value everywhere, or numbers from 0 on."""
        w, arrays = self.writer, [_array(one) for one in all_of]
        columns = list(zip(*[one.shape for one in all_of], strict=True))
        extents = [self.sizes.solve("a constant", column) for column in columns]
        value = arrays[0].reshape(-1)[0]
        if all(np.all(one == value) for one in arrays):
            return w.emit("Expand", w.scalar(value, node.dtype), w.vector(extents))
        if len(extents) == 1 and all(np.array_equal(one, np.arange(len(one))) for one in arrays):
            end = w.emit("Reshape", w.vector(extents), w.ints([]))
            places = w.emit("Range", w.scalar(0, dtypes.int64), end, w.scalar(1, dtypes.int64))
            return places if node.dtype is dtypes.int64 else w.cast(places, node.dtype)
        raise UnsupportedOpError(
            "onnx.export", "ONNX", f"a constant of shape {node.shape} follows the sizes of the inputs; register it "
            "as a buffer of the largest size and cut it, or keep the axis fixed",
        )  # fmt: skip

    def _written(self, place: int, node: Node) -> str:
        row, inputs, _ = self.recorded[0].plan.recipes[place]
        norm = batch_norm(node)
        if norm is not None:
            given = [self.names[id(source)] for source in norm[:5]]
            return self.writer.emit("BatchNormalization", *given, epsilon=norm.eps)
        if row.name not in TO_ONNX:
            raise UnsupportedOpError(
                f"onnx.export: {row.name}", "ONNX", "the table has no nodes for it; docs/ggml/onnx.md lists what it has"
            )
        variants = []
        for one in self.recorded:
            _, sources, params = one.plan.recipes[place]
            variants.append(Variant(params, one.plan.pending[place].shape, tuple(source.shape for source in sources)))
        names = [self.names[id(source)] for source in inputs]
        step = Step(row.name, node.dtype, names, [source.dtype for source in inputs], variants, self.sizes)
        if row.name not in KNOWS_SIZES and not step.has_one_form:
            raise UnsupportedOpError(
                f"onnx.export: {row.name}", "ONNX", f"its parameters {[one.params for one in variants]} follow the "
                "sizes of the inputs; keep the axis fixed",
            )  # fmt: skip
        return TO_ONNX[row.name](self.writer, step)

    def outputs(self, wanted: list[str], symbols: dict[tuple[int, ...], str]) -> list[onnx.ValueInfoProto]:
        """The results under their names. An extent that is a symbol of the inputs has its name."""
        found = []
        for place, (node, name) in enumerate(zip(self.recorded[0].outputs, wanted, strict=True)):
            self.writer.nodes.append(
                helper.make_node("Identity", [self.names[id(node)]], [name], name=f"output_{name}")
            )
            columns = zip(*[one.outputs[place].shape for one in self.recorded], strict=True)
            shape = [column[0] if len(set(column)) == 1 else symbols.get(column) for column in columns]
            found.append(helper.make_tensor_value_info(name, there(node.dtype), shape))
        return found


def _array(node: Node) -> NDArray[Any]:
    """The elements of a leaf in the type that ONNX has for them. ``Tensor.numpy`` would share the memory, and compute
    at once what was recorded on it."""
    if node.buffer is None:
        executor.compute([node])
    assert node.buffer is not None
    found = values(node, node.buffer)
    if node.dtype is dtypes.bfloat16:
        return found.astype(helper.tensor_dtype_to_np_dtype(there(node.dtype)))
    return found
