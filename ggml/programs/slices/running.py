"""A slice that runs: named tensors in, named tensors out, at the extents that the whole program's call has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ggml.core.errors import ArgumentError
from ggml.ops.create.factories import tensor
from ggml.programs.binding import as_input
from ggml.programs.graph import Graph, Output, Ref, Role
from ggml.programs.program import Program
from ggml.programs.slices.joint import Meaning, joint
from ggml.programs.states import States, row_name
from ggml.programs.trees import LEAF, Tree
from ggml.tensors.tensor import Tensor


class Slice:
    """A part of a program with its weights, as ``part`` cuts it. One thread at a time may call it.

    What goes through it is not copied.
    """

    def __init__(self, graph: Graph, tensors: Mapping[str, Tensor]) -> None:
        """``tensors``: those of the whole program, or those of the slice alone; StateDictError as for ``Program``."""
        self.graph = graph
        self._passed = _passed(graph)
        made = [one for one in graph.outputs if one.name not in self._passed or one.role is not Role.USER]
        self._names = [one.name for one in made if one.role is Role.USER]
        tree = Tree("tuple", (LEAF,) * len(self._names))
        held = {one.name: tensors[one.name] for one in graph.held if one.name in tensors}
        self._program = Program(replace(graph, outputs=tuple(made), out_tree=tree), held)

    def __call__(self, given: Mapping[str, Tensor], symbols: Sequence[int]) -> dict[str, Tensor]:
        """What the slice gives, by name. ArgumentError, DTypeError or ShapeMismatchError where it takes something
        else."""
        if len(symbols) != len(self.graph.symbols):
            raise ArgumentError("slice", "symbols", f"are {len(symbols)}; there are {len(self.graph.symbols)}")
        wanted = {one.name for one in self.graph.users if one.spec is not None}
        if given.keys() != wanted:
            raise ArgumentError("slice", "inputs", f"are {sorted(given)}; it takes {sorted(wanted)}")
        users = [as_input(given.get(one.name, one.constant), one) for one in self.graph.users]
        results = self._program.run(users, dict(enumerate(symbols)))
        found = {name: given[source] for name, source in self._passed.items()}
        made = zip(self._names, results, strict=True)
        return found | {name: one if isinstance(one, Tensor) else tensor(one) for name, one in made}

    @property
    def states(self) -> States:
        """What calls change. Others of ``new_states`` may be put in their place."""
        return self._program.state

    @states.setter
    def states(self, states: States) -> None:
        self._program.state = states

    def new_states(self) -> States:
        """More of the same form, with the values that the slice's own had at first."""
        return States(self._program.state.first())

    def joint(
        self, symbols: Sequence[Meaning], positions: Sequence[str], context_length: int, num_rows: int
    ) -> Slice | None:
        """The slice for a row of each of several texts, over the same weights, or None: see ``slices.joint``. Its
        states are to be ``RowStates``."""
        graph = joint(self.graph, symbols, positions, context_length, num_rows)
        if graph is None:
            return None
        first = self._program.state.first().items()
        states = {row_name(name, row): tensor for row in range(num_rows) for name, tensor in first}
        return Slice(graph, {**self._program.weights, **states})

    def reset(self) -> None:
        """Give every buffer that calls change the value it had at first."""
        self._program.reset()

    def forget(self) -> None:
        """Drop the native graphs of all shapes, which keep memory for what they compute."""
        self._program.forget()

    @property
    def num_recordings(self) -> int:
        """How many shapes have a native graph."""
        return self._program.num_recordings

    @property
    def weight_bytes(self) -> int:
        return _num_bytes(self._program.weights)

    @property
    def state_bytes(self) -> int:
        return _num_bytes(self._program.state.all())


def _passed(graph: Graph) -> dict[str, str]:
    """The outputs that are inputs: the name of each, and that of the input."""
    tensors = {
        value: one.name for value, one in enumerate(graph.inputs) if one.role is Role.USER and one.spec is not None
    }
    return {one.name: tensors[value] for one in graph.outputs if (value := _source(one)) in tensors}


def _source(output: Output) -> int:
    return output.value.value if isinstance(output.value, Ref) and output.role is Role.USER else -1


def _num_bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(one.dtype.num_bytes(one.numel()) for one in tensors.values())
