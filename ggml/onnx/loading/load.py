"""``ggml.onnx.load``: a checked file as a module."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import ggml.onnx.ops as ops
from ggml.core.errors import FileFormatError, UnsupportedOpError
from ggml.onnx.element_types import here
from ggml.onnx.loading import files
from ggml.onnx.loading.graphs import FAMILIES, Reader, every_node, value_of
from ggml.onnx.loading.module import Input, OnnxModule
from ggml.onnx.loading.node import Graph

#: Opsets of ONNX's own domain that are understood.
OLDEST, NEWEST = 7, 28

#: Operands that are settings: initializers in these places alone are no parameters.
_SETTINGS = {"Resize": (1, 2), "Upsample": (1,), "Clip": (1, 2), "Pad": (2,), "Dropout": (1,), "Range": (0, 1, 2)}

#: Operands that are statistics: buffers in PyTorch.
_STATISTICS = {"BatchNormalization": (3, 4)}


def load(f: Any) -> OnnxModule:
    """The model of an ONNX file as a module, in evaluation mode.

    Args:
        f: a path, the bytes of a file, or a ``ModelProto``. Weights in other files have to lie in the model's folder.

    Floating initializers are parameters, under their names in the file (the mean and variance of a batch norm are
    buffers). Nothing in the file is run; FileFormatError for what is no valid model, or reaches out of its folder, and
    UnsupportedOpError for operations and domains that are not in the table, with node and opset.
    """
    assert ops.__all__  # the room fills the table when it is imported
    model, weights, name = files.read(f)
    opset = _opset(name, model)
    own = set(weights)
    graph = Reader(name, model, weights, opset).graph()
    values = [value_of(one, "onnx.load") for one in model.graph.input if one.name not in own]
    inputs = [Input(one.name, here(one.element_type, f"onnx.load: input {one.name!r}"), one.shape) for one in values]
    parameters, buffers, constants = _sorted(graph, weights)
    return OnnxModule(inputs, graph, opset, parameters, buffers, constants).eval()


def _opset(name: str, model: onnx.ModelProto) -> int:
    found = [one.version for one in model.opset_import if one.domain in FAMILIES]
    if not found:
        raise FileFormatError(name, "opset_import", "does not name ONNX's own domain")
    if not OLDEST <= found[0] <= NEWEST:
        raise UnsupportedOpError(f"opset {found[0]}", "ggml", f"opsets {OLDEST} to {NEWEST} are understood")
    return int(found[0])


Arrays = dict[str, NDArray[Any]]


def _sorted(graph: Graph, weights: Arrays) -> tuple[Arrays, Arrays, Arrays]:
    """Weights as parameters, buffers, and constants: integers, and what only settings read."""
    uses: dict[str, set[str]] = {name: set() for name in weights}
    for node in every_node(graph):
        for place, name in enumerate(node.inputs):
            if name in uses:
                is_setting = place in _SETTINGS.get(node.op, ())
                is_statistic = place in _STATISTICS.get(node.op, ())
                uses[name].add("setting" if is_setting else "statistic" if is_statistic else "weight")
    parameters: Arrays = {}
    buffers: Arrays = {}
    constants: Arrays = {}
    for name, array in weights.items():
        is_floating = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
        if not is_floating or uses[name] == {"setting"}:
            constants[name] = np.asarray(array)
        elif uses[name] == {"statistic"}:
            buffers[name] = array
        else:
            parameters[name] = array
    return parameters, buffers, constants
