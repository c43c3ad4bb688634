"""Axes that may have any extent: what ``dynamic_axes`` and ``dynamic_shapes`` say, and the sizes to record at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ggml.core.errors import ArgumentError

#: For each input, the names of the axes that may change.
Axes = list[dict[int, str]]

Shape = tuple[int, ...]


def from_axes(dynamic_axes: Any, names: list[str], outputs: Sequence[str]) -> Axes:
    """As in ``torch.onnx.export``: by name of the input, a list of axes or a dict of their names."""
    if not isinstance(dynamic_axes, Mapping):
        raise ArgumentError("onnx.export", "dynamic_axes", "must be a dict of the names of inputs")
    unknown = [name for name in dynamic_axes if name not in names and name not in outputs]
    if unknown:
        raise ArgumentError("onnx.export", "dynamic_axes", f"names {unknown}, which are none of {names}")
    found: Axes = []
    for name in names:
        axes = dynamic_axes.get(name, {})
        given = axes if isinstance(axes, Mapping) else {at: f"{name}_dynamic_axes_{at}" for at in axes}
        found.append({int(at): str(symbol) for at, symbol in given.items()})
    return found


def from_shapes(dynamic_shapes: Any, names: list[str], parameters: list[str]) -> Axes:
    """As in ``torch.export``: for each argument None, or its axes with a ``Dim`` or a name; by place or by name."""
    if isinstance(dynamic_shapes, Mapping):
        unknown = [name for name in dynamic_shapes if name not in names and name not in parameters]
        if unknown:
            raise ArgumentError("onnx.export", "dynamic_shapes", f"names {unknown}, which are none of {names}")
        rows = [dynamic_shapes.get(name, dynamic_shapes.get(own)) for name, own in zip(names, parameters, strict=True)]
    elif isinstance(dynamic_shapes, (tuple, list)):
        rows = list(dynamic_shapes)
    else:
        raise ArgumentError("onnx.export", "dynamic_shapes", "must be a dict, tuple or list")
    if len(rows) != len(names):
        raise ArgumentError("onnx.export", "dynamic_shapes", f"has {len(rows)} entries for {len(names)} inputs")
    return [_axes(row, name) for row, name in zip(rows, names, strict=True)]


def _axes(row: Any, name: str) -> dict[int, str]:
    if row is None:
        return {}
    if not isinstance(row, (Mapping, tuple, list)):
        raise ArgumentError("onnx.export", "dynamic_shapes", f"has {row!r} for {name}; a dict of its axes is needed")
    pairs = row.items() if isinstance(row, Mapping) else enumerate(row)
    return {int(at): _symbol(dim, name, int(at)) for at, dim in pairs if dim is not None and not isinstance(dim, int)}


def _symbol(dim: Any, name: str, at: int) -> str:
    """The name of a dimension; those that torch leaves open get one of their input and axis."""
    own = dim if isinstance(dim, str) else getattr(dim, "__name__", None)
    return own if isinstance(own, str) else f"{name}_dim_{at}"


def checked(axes: Axes, shapes: list[Shape], names: list[str]) -> tuple[Axes, dict[str, int]]:
    """Axes from 0 on, and what each symbol is in the example. ArgumentError where it is two things."""
    result: Axes = []
    values: dict[str, int] = {}
    for row, shape, name in zip(axes, shapes, names, strict=True):
        plain: dict[int, str] = {}
        for at, symbol in row.items():
            if not -len(shape) <= at < len(shape):
                raise ArgumentError("onnx.export", f"axis {at} of {name}", f"is outside of its shape {shape}")
            plain[at % len(shape)] = symbol
            if values.setdefault(symbol, shape[at]) != shape[at]:
                raise ArgumentError("onnx.export", f"size {symbol!r}", f"is {values[symbol]} and {shape[at]}")
        result.append(plain)
    return result, values


def samples(values: Mapping[str, int], step: str) -> list[dict[str, int]]:
    """Sizes to record at: every symbol changed alone, twice, and all of them at once. None is 1, which broadcasts.

    ``step`` is "times" for multiples of the example, which fit what is cut in patches, or "plus" for the next ones,
    which fit what has a largest size.
    """
    base = {symbol: max(value, 2) for symbol, value in values.items()}

    def moved(value: int, by: int) -> int:
        return value * (by + 1) if step == "times" else value + by

    found = [dict(base)]
    for symbol in base:
        found += [{**base, symbol: moved(base[symbol], by)} for by in (1, 2)]
    if len(base) > 1:
        found.append({symbol: moved(value, 1 + place % 2) for place, (symbol, value) in enumerate(base.items())})
    return found


def shapes_at(sample: Mapping[str, int], axes: Axes, shapes: list[Shape]) -> list[Shape]:
    """The shapes of the inputs at one size."""
    return [
        tuple(sample[row[at]] if at in row else extent for at, extent in enumerate(shape))
        for row, shape in zip(axes, shapes, strict=True)
    ]
