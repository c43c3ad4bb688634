"""Files of ONNX, read as what a stranger wrote: bounds are checked, and nothing beside the file is followed out."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ggml.core.errors import ArgumentError, FileFormatError
from ggml.onnx.limits import MAX_DEPTH, MAX_NODES

#: The largest message that protobuf knows.
_MAX_BYTES = (1 << 31) - 1

Weights = dict[str, NDArray[Any]]


def read(source: Any) -> tuple[onnx.ModelProto, Weights, str]:
    """The checked model, its weights by name, and what messages call it. Weights are no longer part of the graph's
    initializers where they lay in a file of their own."""
    name, folder = "<bytes>", None
    if isinstance(source, onnx.ModelProto):
        name, model = "<ModelProto>", onnx.ModelProto()
        model.CopyFrom(source)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        model = _parsed(name, bytes(source))
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        name, folder = str(path), path.parent
        if path.stat().st_size > _MAX_BYTES:
            raise FileFormatError(name, "size", "is above the 2 GiB that a message of ONNX may have")
        model = _parsed(name, path.read_bytes())
    else:
        raise ArgumentError("onnx.load", "f", f"must be a path, bytes or a ModelProto, not {type(source).__name__}")
    return model, _checked(name, model, folder), name


def _parsed(name: str, raw: bytes) -> onnx.ModelProto:
    if len(raw) > _MAX_BYTES:
        raise FileFormatError(name, "size", "is above the 2 GiB that a message of ONNX may have")
    try:
        return onnx.load_model_from_string(raw)
    except (DecodeError, ValueError, TypeError) as error:
        raise FileFormatError(name, "model", f"is no message of ONNX: {error}") from None


def _checked(name: str, model: onnx.ModelProto, folder: Path | None) -> Weights:
    graph = model.graph
    if model.functions:
        raise FileFormatError(
            name, "functions", "are not read; write the nodes themselves (onnx.inliner.inline_local_functions)"
        )
    for one in graphs(name, graph):
        if one.sparse_initializer:
            raise FileFormatError(name, "sparse_initializer", "is not read; write dense ones")
        tensors = [t for node in one.node for attribute in node.attribute for t in (attribute.t, *attribute.tensors)]
        if any(tensor.external_data for tensor in tensors):
            raise FileFormatError(name, f"graph {one.name!r}", "has a node with an attribute outside of the file")
    weights = _external(name, graph, folder)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise FileFormatError(name, "graph", f"is not valid: {error}") from None
    for one in graph.initializer:
        weights[one.name] = array(name, one)
    return weights


def graphs(name: str, graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph, and all within its nodes, however deep. FileFormatError where they are too deep or too many nodes."""
    waiting, num_nodes = [(graph, 0)], 0
    while waiting:
        one, depth = waiting.pop()
        num_nodes += len(one.node)
        if depth > MAX_DEPTH:
            raise FileFormatError(name, "graph", f"has graphs within nodes more than {MAX_DEPTH} deep")
        if num_nodes > MAX_NODES:
            raise FileFormatError(name, "graph", f"has more than {MAX_NODES} nodes, which is the most that is read")
        yield one
        for attribute in (attribute for node in one.node for attribute in node.attribute):
            inner = [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
            waiting += [(found, depth + 1) for found in inner]


def array(name: str, tensor: onnx.TensorProto) -> NDArray[Any]:
    """The elements of a tensor of the file."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise FileFormatError(name, tensor.name, "lies outside of the file, where only initializers may")
    if tensor.data_type == onnx.TensorProto.STRING:
        raise FileFormatError(name, tensor.name, "has texts as elements, which no tensor here has")
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise FileFormatError(name, tensor.name, f"is no tensor: {error}") from None


def _external(name: str, graph: onnx.GraphProto, folder: Path | None) -> Weights:
    """Initializers in files beside the model. They become inputs of the graph, so that it can be checked without."""
    outside = [one for one in graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL or one.external_data]
    if not outside:
        return {}
    if folder is None:
        raise FileFormatError(name, outside[0].name, "lies outside of the file; give load the path of the model")
    found = {one.name: _mapped(name, one, folder) for one in outside}
    known = {one.name for one in graph.input}
    for one in outside:
        if one.name not in known:
            graph.input.append(helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)))
    kept = [one for one in graph.initializer if one.name not in found]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return found


def _mapped(name: str, tensor: onnx.TensorProto, folder: Path) -> NDArray[Any]:
    """The elements of one tensor, mapped."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    field = f"initializer {tensor.name!r}"
    path = _inside(name, field, folder, location)
    try:
        kind = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        offset = int(entries.get("offset", 0))
        size = math.prod(tensor.dims) * kind.itemsize
        length = int(entries.get("length", size))
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(name, field, f"has an entry that is none: {error}") from None
    if kind.kind == "O" or any(extent < 0 for extent in tensor.dims) or length != size or offset < 0:
        raise FileFormatError(name, field, f"has {length} bytes at {offset}, where {list(tensor.dims)} needs {size}")
    if offset + length > path.stat().st_size:
        raise FileFormatError(name, field, f"ends behind the end of {location!r}")
    if size == 0:
        return np.zeros(tuple(tensor.dims), kind)
    # What follows a link or a device has been refused; the elements are read when they are used.
    raw = np.memmap(path, np.uint8, "r", offset, (length,))
    mapped: NDArray[Any] = raw.view(kind).reshape(tuple(tensor.dims))
    return mapped


def _inside(name: str, field: str, folder: Path, location: str) -> Path:
    """A plain file in the folder of the model: no way up, no absolute path, no link on the way."""
    parts = location.split("/")
    if not location or "\\" in location or "\0" in location or any(part in ("", ".", "..") for part in parts):
        raise FileFormatError(name, field, f"names the file {location!r}, which is no path below the model's folder")
    path = folder
    for place, part in enumerate(parts):
        path = path / part
        try:
            mode = os.lstat(path).st_mode
        except OSError as error:
            raise FileFormatError(name, field, f"names the file {location!r}: {error.strerror}") from None
        if not (stat.S_ISREG(mode) if place == len(parts) - 1 else stat.S_ISDIR(mode)):
            raise FileFormatError(name, field, f"names the file {location!r}, which is a link or no plain file")
    return path
