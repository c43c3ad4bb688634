"""``ggml.onnx.export``: a module, called once on an example, as an ONNX model."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
from onnx import helper

import ggml.onnx.ops as ops
from ggml.core.errors import ArgumentError, GgmlError
from ggml.nn.module.module import Module
from ggml.onnx.element_types import there
from ggml.onnx.exporting import dynamic
from ggml.onnx.exporting.recording import Recorded, evaluating, named_weights, record, tensors_of
from ggml.onnx.exporting.translating import Translation
from ggml.onnx.sizes import Sizes
from ggml.onnx.writer import Writer
from ggml.tensors.compiled import Compiled
from ggml.tensors.tensor import Tensor

#: Opsets that are written; the default is PyTorch's.
OLDEST, NEWEST, DEFAULT = 18, 23, 18

#: Above it a model needs its weights in a file of their own.
_MOST_BYTES = (1 << 31) - (1 << 20)


def export(
    model: Callable[..., Any],
    args: Any = (),
    f: str | os.PathLike[str] | None = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
    external_data: bool = False,
    dynamic_shapes: Any = None,
    dynamic_axes: Any = None,
) -> onnx.ModelProto:
    """The model as ONNX's ``ModelProto``, also written to ``f`` if that is given.

    Args:
        model: a module, which is exported as in evaluation mode, or a function of tensors.
        args: a tensor, or the tuple of arguments; tensors may lie in lists, tuples and dicts. Everything else is part
            of the model.
        f: the path of the file.
        kwargs: arguments by name.
        input_names: names of the tensors among the arguments; by default those of the parameters.
        output_names: names of the results.
        opset_version: 18 (the default) to 23.
        external_data: write the weights to a file beside ``f``, its name with ``.data`` behind it.
        dynamic_shapes: for each tensor among the arguments, the axes that may have another extent, with names for the
            extents: ``({0: "batch"}, None)``, or by name. ``torch.export.Dim`` is a name, too.
        dynamic_axes: the same in the older form: ``{"x": {0: "batch"}}`` or ``{"x": [0]}``.

    With such axes the model is recorded at several sizes. UnsupportedOpError where that makes other operations, and for
    rows that the table has no nodes for.
    """
    assert ops.__all__  # the room fills the table when it is imported
    opset = _checked_opset(opset_version)
    arguments, named = (args if isinstance(args, tuple) else (args,)), dict(kwargs or {})
    given = tensors_of((arguments, named))
    names, parameters = _input_names(model, arguments, named, given, input_names)
    axes = _axes(dynamic_shapes, dynamic_axes, names, parameters, output_names or ())
    shapes = [tuple(one.shape) for one in given]
    axes, values = dynamic.checked(axes, shapes, names)
    function = model.function if isinstance(model, Compiled) else model  # what was compiled is recorded anew
    weights = named_weights(function)
    with evaluating(function):
        recorded, sizes = _recorded(function, arguments, named, shapes, axes, values)
    places = {symbol: (name, at) for name, row in zip(names, axes, strict=True) for at, symbol in row.items()}
    writer = Writer(opset, places)
    results = _output_names(len(recorded[0].outputs), output_names, names)
    for name in (*names, *results):
        writer.free(name)
    translation = Translation(recorded, sizes, writer, weights)
    translation.run(names)
    symbols = {tuple(sample[symbol] for sample in sizes.samples): symbol for symbol in values}
    outputs = translation.outputs(results, symbols)
    writer.prune(results)
    inputs = [
        helper.make_tensor_value_info(name, there(one.dtype), [row.get(at, n) for at, n in enumerate(shape)])
        for name, one, row, shape in zip(names, given, axes, shapes, strict=True)
    ]
    graph = helper.make_graph(writer.nodes, type(function).__name__, inputs, outputs, writer.initializers)
    return _finished(graph, opset, f, external_data)


def _checked_opset(opset_version: int | None) -> int:
    opset = DEFAULT if opset_version is None else opset_version
    if not isinstance(opset, int) or not OLDEST <= opset <= NEWEST:
        raise ArgumentError("onnx.export", "opset_version", f"must lie between {OLDEST} and {NEWEST}: {opset}")
    return opset


def _input_names(
    model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], given: list[Tensor], wanted: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """The names of the tensors, and those that the parameters of the function have."""
    own: list[str] = []
    try:
        signature = inspect.signature(model.forward if isinstance(model, Module) else model)
        found = [one.name for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    except (TypeError, ValueError):
        found = []
    for place, value in enumerate(args):
        name = found[min(place, len(found) - 1)] if found else "input"
        own += [name] * len(tensors_of(value))
    for name, value in kwargs.items():
        own += [name] * len(tensors_of(value))
    unique = [name if own.count(name) == 1 else f"{name}_{place}" for place, name in enumerate(own)]
    chosen = [*(wanted or ()), *unique[len(wanted or ()) :]]
    if len(chosen) != len(given) or len(set(chosen)) != len(chosen) or not all(chosen):
        raise ArgumentError("onnx.export", "input_names", f"must be up to {len(given)} different names: {chosen}")
    return chosen, unique


def _output_names(count: int, wanted: Sequence[str] | None, inputs: list[str]) -> list[str]:
    default = ["output"] if count == 1 else [f"output_{place}" for place in range(count)]
    chosen = [*(wanted or ()), *default[len(wanted or ()) :]]
    if len(chosen) != count or len({*chosen, *inputs}) != count + len(inputs) or not all(chosen):
        raise ArgumentError("onnx.export", "output_names", f"must be up to {count} new names: {chosen}")
    return chosen


def _axes(shapes: Any, axes: Any, names: list[str], parameters: list[str], outputs: Sequence[str]) -> dynamic.Axes:
    if shapes is not None and axes is not None:
        raise ArgumentError("onnx.export", "dynamic_axes", "says the same as dynamic_shapes; give one of them")
    if axes is not None:
        return dynamic.from_axes(axes, names, outputs)
    return [{} for _ in names] if shapes is None else dynamic.from_shapes(shapes, names, parameters)


def _recorded(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], shapes: list[dynamic.Shape],
    axes: dynamic.Axes, values: dict[str, int],
) -> tuple[list[Recorded], Sizes]:  # fmt: skip
    """The model at all sizes: multiples of the example's, or where it refuses those the next ones."""
    if not values:
        return [record(function, args, kwargs, shapes)], Sizes([{}])
    try:
        found = dynamic.samples(values, "times")
        return [record(function, args, kwargs, dynamic.shapes_at(one, axes, shapes)) for one in found], Sizes(found)
    except GgmlError:
        found = dynamic.samples(values, "plus")
        return [record(function, args, kwargs, dynamic.shapes_at(one, axes, shapes)) for one in found], Sizes(found)


def _finished(graph: onnx.GraphProto, opset: int, f: Any, external_data: bool) -> onnx.ModelProto:
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, producer_name="ggml-cluster")
    model.ir_version = helper.find_min_ir_version_for(imports)
    size = sum(len(one.raw_data) for one in graph.initializer)
    if size < _MOST_BYTES:
        onnx.checker.check_model(model, full_check=True)
    elif f is not None and not external_data:
        raise ArgumentError(
            "onnx.export", "external_data", f"must be True: {size} bytes are more than one file may have"
        )
    if f is not None:
        path = os.fspath(f)
        if external_data:
            copied = onnx.ModelProto()
            copied.CopyFrom(model)  # saving moves the weights out of what it is given
            beside = os.path.basename(path) + ".data"
            onnx.save_model(copied, path, save_as_external_data=True, location=beside, size_threshold=1024)
        else:
            onnx.save_model(model, path)
    return model
