"""A part of a model that ggml runs, as torch calls it: tensors of torch in and out."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ggml.core.devices import Device
from ggml.core.dtypes import DType
from ggml.core.errors import UnsupportedOpError
from ggml.export.mixed.part import Part, is_number
from ggml.export.tensors import from_torch, is_parameter, to_torch
from ggml.programs.expressions import Apply, Symbol, evaluate, solved
from ggml.programs.graph import Graph, Input, Role
from ggml.programs.passes import simplified
from ggml.programs.program import Program
from ggml.tensors.tensor import Tensor

#: Puts an argument of a call where it belongs: the tensors for the program, and the extents that are known.
Take = Callable[[Any, list[Tensor], dict[int, int]], None]


class Island:
    """Takes the arguments of a submodule, and gives its results."""

    def __init__(self, part: Any, ranges: Mapping[Any, Any], weights: Mapping[Any, str]) -> None:
        """``part``: a submodule of torch, whose placeholders are ``weights`` where they have a name."""
        nodes = list(part.graph.nodes)
        reads = [node for node in nodes if node.op == "placeholder"]
        found = next(node for node in nodes if node.op == "output").args[0]
        self._is_one = not isinstance(found, (tuple, list))
        results = [found] if self._is_one else list(found)
        translation = Part(ranges)
        inner = [node for node in nodes if node.op not in ("placeholder", "output")]
        self.graph: Graph = simplified(translation.of(reads, inner, results, weights))
        users = iter(self.graph.users)
        self._takes = [_take(node, translation, users, node in weights) for node in reads]
        self._values = [node.meta["val"] for node in results]
        self._require_bound([translation.values[node] for node in reads if is_number(node.meta["val"])])
        self.program: Program | None = None

    def _require_bound(self, numbers: list[Any]) -> None:
        """UnsupportedOpError where a call could not tell a symbol: it needs a plain extent, a sum or a product."""
        told = [extent for one in self.graph.users if one.spec for extent in one.spec.shape] + numbers
        known: dict[int, int] = {}
        for one in told + told:  # once more, for what needs others to be known
            if isinstance(one, (Symbol, Apply)):
                known.update(solved(one, int(evaluate(one, self.graph.hints)), known) or {})
        lost = [symbol.name for place, symbol in enumerate(self.graph.symbols) if place not in known]
        if lost:
            raise UnsupportedOpError("lower", "ggml", f"no argument of a part tells its extents {', '.join(lost)}")

    @property
    def weight_names(self) -> list[str]:
        return [one.name for one in self.graph.inputs if one.role is Role.WEIGHT]

    def hold(self, weights: Mapping[str, Tensor]) -> None:
        """Give the part its weights."""
        self.program = Program(self.graph, {name: weights[name] for name in self.weight_names})

    def to(self, device: Device) -> None:
        """Compute there."""
        assert self.program is not None
        self.program = self.program.to(device)

    def __call__(self, *arguments: Any) -> Any:
        assert self.program is not None
        tensors: list[Tensor] = []
        named: dict[int, int] = {}
        for take, argument in zip(self._takes, arguments, strict=True):
            take(argument, tensors, named)
        found = self.program.run(tensors, named)
        results = [to_torch(one, value) for one, value in zip(found, self._values, strict=True)]
        return results[0] if self._is_one else tuple(results)


def _take(node: Any, translation: Part, users: Any, is_weight: bool) -> Take:
    if is_weight:
        return lambda argument, tensors, named: None
    if is_number(node.meta["val"]):
        told = translation.values[node]
        if isinstance(told, (Symbol, Apply)):
            return lambda argument, tensors, named: named.update(solved(told, int(argument), named) or {})
        return lambda argument, tensors, named: None
    user: Input = next(users)
    assert user.spec is not None
    look = _Look(user.spec.dtype)
    return lambda argument, tensors, named: tensors.append(look(argument))


class _Look:
    """The tensor over an argument's memory. That of a parameter is kept, while the parameter lies where it lay."""

    def __init__(self, dtype: DType) -> None:
        self._dtype = dtype
        self._place = 0
        self._kept: Tensor | None = None
        self._owner: Any = lambda: None

    def __call__(self, argument: Any) -> Tensor:
        if self._kept is not None and self._owner() is argument and argument.data_ptr() == self._place:
            return self._kept
        found = from_torch(argument, self._dtype)
        if is_parameter(argument) and found.data_ptr() == argument.data_ptr():
            self._kept, self._place, self._owner = found, argument.data_ptr(), weakref.ref(argument)
        return found
