"""What a call gives, checked against what the program takes: tensors, and the extents they bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.create.interop import from_dlpack
from ggml.programs.expressions import Symbol, evaluate, solved, symbols_of, text
from ggml.programs.graph import Graph, Input, TensorSpec
from ggml.tensors.tensor import Tensor


def as_input(given: Any, wanted: Input) -> Any:
    """A tensor over the memory of what was given; a constant must be the one of the export."""
    spec = wanted.spec
    if spec is None:
        if type(given) is not type(wanted.constant) or given != wanted.constant:
            raise ArgumentError(
                "program", wanted.name, f"must be {wanted.constant!r}, for which the model was exported"
            )
        return given
    if not isinstance(given, Tensor):
        given = given.detach() if hasattr(given, "detach") else given
        if not hasattr(given, "__dlpack__"):
            raise DTypeError("program", f"a tensor or an array as {wanted.name}", type(given).__name__)
        if isinstance(given, np.ndarray) and not given.dtype.isnative:
            given = given.astype(given.dtype.newbyteorder("="))
        given = from_dlpack(given)
    if given.dtype is not spec.dtype:
        raise DTypeError("program", f"{wanted.name} of {spec.dtype}", given.dtype)
    return given


def bind(
    graph: Graph, users: Sequence[Input], given: Sequence[Any], named: Mapping[int, int] = MappingProxyType({})
) -> tuple[int, ...]:
    """The extents that a user's inputs bring, in the order of the graph's symbols. ``named``: those that are known.

    ShapeMismatchError where an input has another shape than the export allows.
    """
    known = dict(named)
    checked = [(one, tensor.shape) for one, tensor in zip(users, given, strict=True) if one.spec is not None]
    for one, shape in checked:
        assert one.spec is not None
        if len(shape) != len(one.spec.shape):
            raise _misfit(graph, one, one.spec, shape)
        for wanted, extent in zip(one.spec.shape, shape, strict=True):
            if isinstance(wanted, Symbol):
                known.setdefault(wanted.place, extent)
    for one, shape in checked:  # sums and products of symbols, once the plain ones are known
        assert one.spec is not None
        for wanted, extent in zip(one.spec.shape, shape, strict=True):
            found = None if isinstance(wanted, int) else solved(wanted, extent, known)
            known.update(found or {})
    symbols = tuple([known.get(place, symbol.hint) for place, symbol in enumerate(graph.symbols)])
    _check_ranges(graph, symbols)
    for one, shape in checked:
        assert one.spec is not None
        if any(evaluate(wanted, symbols) != extent for wanted, extent in zip(one.spec.shape, shape, strict=True)):
            raise _misfit(graph, one, one.spec, shape)
    return symbols


def _check_ranges(graph: Graph, symbols: Sequence[int]) -> None:
    for symbol, value in zip(graph.symbols, symbols, strict=True):
        if not symbol.low <= value <= symbol.high:
            owner = _where(graph, symbol.name)
            raise ShapeMismatchError("program", f"{owner} within [{symbol.low}, {symbol.high}]", value)


def _where(graph: Graph, name: str) -> str:
    """The first place of a symbol in the inputs, for messages."""
    place = [symbol.name for symbol in graph.symbols].index(name)
    for one in graph.inputs:
        for axis, extent in enumerate(one.spec.shape if one.spec else ()):
            if place in symbols_of(extent):
                return f"{one.name}.shape[{axis}]"
    return name


def _misfit(graph: Graph, one: Input, spec: TensorSpec, shape: Sequence[int]) -> ShapeMismatchError:
    names = [symbol.name for symbol in graph.symbols]
    wanted = ", ".join(text(extent, names) for extent in spec.shape)
    return ShapeMismatchError("program", f"{one.name} of the shape ({wanted})", tuple(shape))
