"""What a program takes and gives, by name; and whether a call gives that, before any of its arrays is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.api.errors import CapacityError, UsageError
from cluster.messages.program import Array, Arrays
from cluster.wire import limits
from cluster.wire.inference.backend import GivenArray
from ggml.core.errors import GgmlError
from ggml.programs.binding import bind
from ggml.programs.expressions import extents, text
from ggml.programs.graph import Graph, Input, Ref, Role, TensorSpec
from ggml.programs.slices.part import output_names
from ggml.programs.slices.places import num_bytes_of, spec_of


@dataclass(frozen=True, slots=True)
class Signature:
    """Of the whole program. `inputs`: those that calls give."""

    graph: Graph
    inputs: tuple[Input, ...]
    outputs: Mapping[str, TensorSpec]  # those that are tensors

    @classmethod
    def of(cls, graph: Graph) -> Signature:
        users = [one for one in graph.outputs if one.role is Role.USER]
        named = zip(output_names(graph.out_tree), users, strict=True)
        specs = {name: spec_of(graph, one.value.value) for name, one in named if isinstance(one.value, Ref)}
        return cls(
            graph,
            tuple([one for one in graph.users if one.spec is not None]),
            {name: spec for name, spec in specs.items() if spec is not None},
        )

    def symbols(self, given: Mapping[str, GivenArray]) -> tuple[int, ...]:
        """The extents that a call brings. UsageError where the program takes something else."""
        wanted = {one.name: one for one in self.inputs}
        for name in (*(given.keys() - wanted.keys()), *(wanted.keys() - given.keys())):
            what = "is none of its inputs" if name in given else "is missing"
            raise UsageError(f"run: {name!a} {what}; the program takes {self.shown_inputs}")
        for name, one in wanted.items():
            assert one.spec is not None
            if given[name].dtype != one.spec.dtype.name:
                raise UsageError(
                    f"run: {name} is {given[name].dtype}; the program takes {one.spec.dtype.name}: convert it"
                )
        try:
            found = bind(self.graph, self.inputs, [given[one.name] for one in self.inputs])
            made = sum(num_bytes_of(spec, found) for spec in self.outputs.values())
        except GgmlError as error:
            raise UsageError(f"run: {str(error).removeprefix('program: ')}") from error
        if made > limits.MAX_CALL_BYTES:
            raise CapacityError(
                f"run: it would give {made} bytes, at most {limits.MAX_CALL_BYTES} are possible; give smaller arrays"
            )
        return found

    def example(self) -> Arrays:
        """Zeros in the shapes of the example."""
        hints = self.graph.hints
        specs = [(one.name, one.spec) for one in self.inputs if one.spec is not None]
        return {
            name: Array.zeros(spec.dtype.name, extents(spec.shape, hints), spec.dtype.itemsize) for name, spec in specs
        }

    @property
    def shown_inputs(self) -> str:
        return "; ".join([f"{one.name}: {self._shown(one.spec)}" for one in self.inputs if one.spec is not None])

    @property
    def shown_outputs(self) -> str:
        return "; ".join([f"{name}: {self._shown(spec)}" for name, spec in self.outputs.items()])

    def _shown(self, spec: TensorSpec) -> str:
        names = [symbol.name for symbol in self.graph.symbols]
        return f"{spec.dtype.name} ({', '.join([text(extent, names) for extent in spec.shape])})"
