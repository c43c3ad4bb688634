"""A part of a model that ggml runs, as torch calls it: tensors of torch in and out."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ggml.core.devices import Device
from ggml.core.dtypes import DType
from ggml.core.errors import UnsupportedOpError
from ggml.export.mixed.part import Part, is_number
from ggml.export.tensors import from_torch, is_parameter, to_torch
from ggml.programs.expressions import Apply, Symbol, evaluate, solved
from ggml.programs.graph import Graph, Input, Ref, Role
from ggml.programs.passes import simplified
from ggml.programs.program import Program
from ggml.programs.trees import LEAF, Tree
from ggml.tensors.tensor import Tensor

# Parameters that lie elsewhere so often are none that stay: they are then given to each call.
_MOST_MOVES = 4


class Island:
    """Takes the arguments of a submodule, and gives its results."""

    def __init__(
        self, part: Any, ranges: Mapping[Any, Any], weights: Mapping[Any, str], passes: Collection[str]
    ) -> None:
        """``part``: a submodule of torch, whose placeholders are ``weights`` where they have a name."""
        nodes = list(part.graph.nodes)
        reads = [node for node in nodes if node.op == "placeholder"]
        found = next(node for node in nodes if node.op == "output").args[0]
        self._is_one = not isinstance(found, (tuple, list))
        results = [found] if self._is_one else list(found)
        translation = Part(ranges)
        inner = [node for node in nodes if node.op not in ("placeholder", "output")]
        self.graph: Graph = simplified(translation.of(reads, inner, results, weights), passes)
        self._numbers: list[tuple[int, Symbol | Apply]] = []
        self._tensors: list[tuple[int, Input]] = []
        users = iter(self.graph.users)
        for place, node in enumerate(reads):
            told = translation.values[node]
            if isinstance(told, (Symbol, Apply)):
                self._numbers.append((place, told))
            elif isinstance(told, Ref) and node not in weights:
                self._tensors.append((place, next(users)))
        self._values = [node.meta["val"] for node in results]
        self._require_bound([translation.values[node] for node in reads if is_number(node.meta["val"])])
        self.program: Program | None = None
        self._parameters = _Parameters()

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
        if self._parameters.have_moved(arguments):
            self.program = self._with_parameters(arguments, self.program)
        lent = self._parameters.places
        tensors = [from_torch(arguments[at], _dtype(one)) for at, one in self._tensors if at not in lent]
        named: dict[int, int] = {}
        for at, told in self._numbers:
            named.update(solved(told, int(arguments[at]), named) or {})
        found = self.program.run(tensors, named)
        results = [to_torch(one, value) for one, value in zip(found, self._values, strict=True)]
        return results[0] if self._is_one else tuple(results)

    def _with_parameters(self, arguments: Sequence[Any], program: Program) -> Program:
        """The program that reads parameters where they lie, instead of being given them in each call."""
        weights = {name: program.weights[name] for name in self.weight_names}
        fixed = [(at, one) for at, one in self._tensors if _is_fixed(one)]
        lent = self._parameters.look(arguments, [(at, _dtype(one)) for at, one in fixed])
        named = {one.name: lent[at] for at, one in fixed if at in lent}
        inputs = [replace(one, role=Role.WEIGHT) if one.name in named else one for one in self.graph.inputs]
        count = len(self.graph.users) - len(named)
        in_tree = Tree("tuple", (Tree("tuple", (LEAF,) * count), Tree("dict")))
        return Program(replace(self.graph, inputs=tuple(inputs), in_tree=in_tree), {**weights, **named})


def _is_fixed(one: Input) -> bool:
    return one.spec is not None and all(isinstance(extent, int) for extent in one.spec.shape)


def _dtype(one: Input) -> DType:
    assert one.spec is not None
    return one.spec.dtype


class _Parameters:
    """Those of the arguments that are parameters of a module, and where they lay when they were looked at."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, weakref.ref[Any], int]] = []
        self._num_looks = 0
        self.places: set[int] = set()  # which arguments they are

    def have_moved(self, arguments: Sequence[Any]) -> bool:
        """Whether one is another, or lies elsewhere, than when they were looked at; True at first."""
        if self._num_looks == 0:
            return any(is_parameter(argument) for argument in arguments)
        return any(owner() is not arguments[at] or arguments[at].data_ptr() != lay for at, owner, lay in self._seen)

    def look(self, arguments: Sequence[Any], fixed: Sequence[tuple[int, DType]]) -> dict[int, Tensor]:
        """Tensors over the memory of the parameters among ``fixed`` arguments, by place."""
        self._num_looks += 1
        found: dict[int, Tensor] = {}
        self._seen = []
        for at, dtype in fixed if self._num_looks <= _MOST_MOVES else ():
            argument = arguments[at]
            if is_parameter(argument):
                tensor = from_torch(argument, dtype)
                if tensor.data_ptr() == argument.data_ptr():
                    found[at] = tensor
                    self._seen.append((at, weakref.ref(argument), argument.data_ptr()))
        self.places = set(found)
        return found
