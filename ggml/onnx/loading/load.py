"""``ggml.onnx.load``: a checked file as a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import ggml.onnx.ops as ops
from ggml.core.errors import FileFormatError, UnsupportedOpError
from ggml.onnx.element_types import here
from ggml.onnx.loading import files
from ggml.onnx.loading.module import Input, OnnxModule, OnnxNode
from ggml.onnx.table import FROM_ONNX

#: Opsets of ONNX's own domain that are understood.
OLDEST, NEWEST = 7, 28

#: Operands that are settings: initializers in these places alone are no parameters.
_SETTINGS = {"Resize": (1, 2), "Upsample": (1,), "Clip": (1, 2), "Pad": (2,), "Dropout": (1,), "Range": (0, 1, 2)}

#: Operands that are statistics: buffers in PyTorch.
_STATISTICS = {"BatchNormalization": (3, 4)}

_FAMILIES = {"": "", "ai.onnx": ""}


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
    _need_known(model, opset)
    nodes = [_node(name, node, opset) for node in model.graph.node]
    inputs = [
        Input(one.name, here(one.type.tensor_type.elem_type, f"onnx.load: input {one.name!r}"), _extents(one))
        for one in model.graph.input
        if one.name not in weights
    ]
    parameters, buffers, constants = _sorted(model, weights)
    outputs = [one.name for one in model.graph.output]
    return OnnxModule(inputs, outputs, nodes, opset, parameters, buffers, constants).eval()


def _opset(name: str, model: onnx.ModelProto) -> int:
    found = [one.version for one in model.opset_import if one.domain in _FAMILIES]
    if not found:
        raise FileFormatError(name, "opset_import", "does not name ONNX's own domain")
    if not OLDEST <= found[0] <= NEWEST:
        raise UnsupportedOpError(f"opset {found[0]}", "ggml", f"opsets {OLDEST} to {NEWEST} are understood")
    return int(found[0])


def _where(node: onnx.NodeProto, opset: int) -> str:
    domain = f"{node.domain}." if node.domain else ""
    return f"{domain}{node.op_type} (node {node.name or node.output[0]!r}, opset {opset})"


def _need_known(model: onnx.ModelProto, opset: int) -> None:
    """UnsupportedOpError that names all that are not in the table, each operation with its first node."""
    unknown: dict[tuple[str, str], str] = {}
    for node in model.graph.node:
        if node.domain not in _FAMILIES or node.op_type not in FROM_ONNX:
            unknown.setdefault((node.domain, node.op_type), _where(node, opset))
    if unknown:
        raise UnsupportedOpError(
            ", ".join(unknown.values()), "ggml", "docs/ggml/onnx.md lists the operations that load knows"
        )


def _node(name: str, node: onnx.NodeProto, opset: int) -> OnnxNode:
    attributes = {one.name: _value(name, one) for one in node.attribute}
    return OnnxNode(node.op_type, _where(node, opset), tuple(node.input), tuple(node.output), attributes)


def _value(name: str, attribute: onnx.AttributeProto) -> Any:
    """An attribute as Python's or numpy's value."""
    kind = attribute.type
    if kind == onnx.AttributeProto.TENSOR:
        return files.array(name, attribute.t)
    if kind in (onnx.AttributeProto.STRING, onnx.AttributeProto.STRINGS):
        raw = [attribute.s] if kind == onnx.AttributeProto.STRING else list(attribute.strings)
        texts = [one.decode("utf-8", "replace") for one in raw]
        return texts[0] if kind == onnx.AttributeProto.STRING else texts
    plain: dict[int, Callable[[], Any]] = {
        onnx.AttributeProto.FLOAT: lambda: attribute.f,
        onnx.AttributeProto.INT: lambda: attribute.i,
        onnx.AttributeProto.FLOATS: lambda: list(attribute.floats),
        onnx.AttributeProto.INTS: lambda: list(attribute.ints),
    }
    if kind not in plain:
        raise UnsupportedOpError(f"attribute {attribute.name!r}", "ggml", "graphs and types are no attributes here")
    return plain[kind]()


def _extents(info: onnx.ValueInfoProto) -> tuple[int | str | None, ...] | None:
    """What the file says of a shape: numbers, names, or nothing."""
    kind = info.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(one.dim_value if one.HasField("dim_value") else one.dim_param or None for one in kind.shape.dim)


Arrays = dict[str, NDArray[Any]]


def _sorted(model: onnx.ModelProto, weights: Arrays) -> tuple[Arrays, Arrays, Arrays]:
    """Weights as parameters, buffers, and constants: integers, and what only settings read."""
    uses: dict[str, set[str]] = {name: set() for name in weights}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in uses:
                is_setting = place in _SETTINGS.get(node.op_type, ())
                is_statistic = place in _STATISTICS.get(node.op_type, ())
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
