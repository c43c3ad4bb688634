"""A slice that runs: named tensors in, named tensors out, at the extents that the whole program's call has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.ops.create.factories import tensor
from ggml.programs.expressions import extents, text
from ggml.programs.graph import Graph, Ref, Role
from ggml.programs.walking import walk
from ggml.tensors.compiled import compile
from ggml.tensors.tensor import Tensor


class Slice:
    """A part of a program with its weights, as ``part`` cuts it. One thread at a time may call it.

    What goes through it is not copied. ``state`` has the buffers that calls change.
    """

    def __init__(self, graph: Graph, tensors: Mapping[str, Tensor]) -> None:
        """``tensors``: one for each weight and each state of the graph, which were checked."""
        self.graph = graph
        self._weights = {one.name: tensors[one.name] for one in graph.inputs if one.role is Role.WEIGHT}
        self.state = {one.name: tensors[one.name] for one in graph.inputs if one.role is Role.STATE}
        self._first_state = dict(self.state)
        self._varying = [one for one in graph.inputs if one.role is not Role.WEIGHT]
        passing = {
            value: one.name for value, one in enumerate(graph.inputs) if one.role is Role.USER and one.spec is not None
        }
        self._passed = {
            output.name: passing[output.value.value]
            for output in graph.outputs
            if isinstance(output.value, Ref) and output.value.value in passing and output.role is Role.USER
        }
        self._made = [output for output in graph.outputs if output.name not in self._passed]
        self._run = compile(self._walk)

    def __call__(self, given: Mapping[str, Tensor], symbols: Sequence[int]) -> dict[str, Tensor]:
        """What the slice gives, by name. ArgumentError or ShapeMismatchError where it takes something else."""
        check_given(self.graph, given, symbols)
        results = self._run(
            [self._value(one.name, one.role, one.constant, given) for one in self._varying], tuple(symbols)
        )
        found = {name: given[source] for name, source in self._passed.items()}
        for output, result in zip(self._made, results, strict=True):
            if output.role is Role.STATE:
                self.state[output.name] = result
            else:
                found[output.name] = result if isinstance(result, Tensor) else tensor(result)
        return found

    def reset(self) -> None:
        """Give every buffer that calls change the value it had at first."""
        self.state = dict(self._first_state)

    @property
    def weight_bytes(self) -> int:
        return _num_bytes(self._weights)

    @property
    def state_bytes(self) -> int:
        return _num_bytes(self._first_state)

    def _value(self, name: str, role: Role, constant: Any, given: Mapping[str, Tensor]) -> Any:
        return self.state[name] if role is Role.STATE else given.get(name, constant)

    def _walk(self, varying: list[Any], symbols: tuple[int, ...]) -> list[Any]:
        given = iter(varying)
        inputs = [self._weights[one.name] if one.role is Role.WEIGHT else next(given) for one in self.graph.inputs]
        made = {id(output) for output in self._made}
        results = walk(self.graph, inputs, symbols)
        return [result for output, result in zip(self.graph.outputs, results, strict=True) if id(output) in made]


def check_given(graph: Graph, given: Mapping[str, Any], symbols: Sequence[int]) -> None:
    """ArgumentError or ShapeMismatchError unless ``given`` has a tensor for each input, as it is at these extents.

    Looks at ``dtype`` and ``shape`` only.
    """
    if len(symbols) != len(graph.symbols):
        raise ArgumentError("slice", "symbols", f"are {len(symbols)}; there are {len(graph.symbols)}")
    wanted = {one.name: one.spec for one in graph.users if one.spec is not None}
    if given.keys() != wanted.keys():
        raise ArgumentError("slice", "inputs", f"are {sorted(given)}; it takes {sorted(wanted)}")
    for name, spec in wanted.items():
        shape = extents(spec.shape, symbols)
        if given[name].dtype is not spec.dtype or tuple(given[name].shape) != shape:
            names = [symbol.name for symbol in graph.symbols]
            shown = ", ".join(text(extent, names) for extent in spec.shape)
            found = f"{given[name].dtype} {tuple(given[name].shape)}"
            raise ShapeMismatchError("slice", f"{name} as {spec.dtype} {shape}, which is ({shown})", found)


def _num_bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(one.dtype.num_bytes(one.numel()) for one in tensors.values())
