"""A program of which some operations run in torch, because ggml lacks them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, NoReturn

from ggml.core.devices import CPU, Device
from ggml.core.devices import device as device_named
from ggml.core.dtypes import DType
from ggml.core.errors import UnsupportedOpError
from ggml.export.gguf_weights import GgufWeights
from ggml.export.mixed.partition import partition
from ggml.export.tensors import copied, no_grad, place_of, to_ggml, to_torch
from ggml.export.translating import Translation
from ggml.programs.binding import as_input, bind
from ggml.programs.coverage import Coverage
from ggml.programs.graph import Graph, Role, TensorSpec
from ggml.programs.program import missing_from
from ggml.programs.quantizing import matrices_of, quantized_in_parts
from ggml.programs.trees import flatten, unflatten
from ggml.tensors.tensor import Tensor

#: What becomes of the weights, of the graphs of all parts, the weights, which of these torch reads, and the parameters.
Prepare = Callable[[list[Graph], Mapping[str, Tensor], set[str], Collection[str]], dict[str, Tensor]]


class MixedProgram:
    """What ``ggml.export.lower`` makes of a model that ggml cannot run whole. It is called as a ``Program`` is.

    What is missing stays torch's, and everything between runs on ggml; ``coverage`` says which is which. It needs
    torch, so there is no file of it.
    """

    def __init__(self, exported: Any, prepare: Prepare, passes: Collection[str]) -> None:
        self.graph = Translation(exported).face()
        signature = exported.graph_signature
        for spec in signature.output_specs:
            if spec.kind.name not in ("USER_OUTPUT", "BUFFER_MUTATION"):
                what = "the model writes into its input" if "INPUT" in spec.kind.name else f"an output is {spec.kind}"
                raise UnsupportedOpError("lower", "ggml", f"{what} {spec.target or ''}".strip())
        self._specs = signature.output_specs
        self._placeholders = [node for node in exported.graph.nodes if node.op == "placeholder"]
        named = {
            node.name: one.name
            for node, one in zip(self._placeholders, self.graph.inputs, strict=True)
            if one.role is Role.WEIGHT
        }
        self._partition = partition(exported.graph_module, exported.range_constraints, named, passes)
        tensors = {**exported.state_dict, **exported.constants}
        held = _copies({one.name: tensors[one.name] for one in self.graph.held})
        values = {one.name: node.meta["val"] for node, one in zip(self._placeholders, self.graph.inputs, strict=True)}
        read = self._read_by_torch(named)
        graphs = [island.graph for island in self._partition.islands]
        self.weights = prepare(graphs, {name: held[name] for name in named.values()}, read, signature.parameters)
        for island in self._partition.islands:
            island.hold(self.weights)
        self._torch_weights = {name: to_torch(self.weights[name], values[name]) for name in read}
        states = {one.name: held[one.name] for one in self.graph.held if one.role is Role.STATE}
        self._first = {name: to_torch(tensor, values[name]) for name, tensor in states.items()}
        self._state = dict(self._first)
        self._device = CPU

    def _read_by_torch(self, named: Mapping[str, str]) -> set[str]:
        """The weights that are read outside of all parts."""
        read: set[str] = set()
        for node in self._partition.module.graph.nodes:
            if node.op != "call_module":
                read.update(named[one.name] for one in node.all_input_nodes if one.name in named)
        return read

    @property
    def device(self) -> Device:
        """Where the parts on ggml compute. What torch runs between them runs on the CPU."""
        return self._device

    def to(self, device: Device | str) -> MixedProgram:
        """Move the parts on ggml to a device. Returns the program itself."""
        self._device = device_named(device)
        for island in self._partition.islands:
            island.to(self._device)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The model's results, as tensors of ggml; see ``Program``."""
        leaves = flatten(self.graph.in_tree, (args, kwargs), "arguments")
        users = [as_input(leaf, one) for leaf, one in zip(leaves, self.graph.users, strict=True)]
        return unflatten(self.graph.out_tree, iter(self.run(users)))

    def run(self, users: Sequence[Any]) -> list[Any]:
        """The results in order, of what users gave in order."""
        bind(self.graph, self.graph.users, users)
        given = iter(users)
        arguments = [
            self._argument(one.name, one.role, given, node.meta["val"])
            for node, one in zip(self._placeholders, self.graph.inputs, strict=True)
        ]
        with no_grad():
            results = self._partition.module(*arguments)
        found = list(zip(self._specs, results, strict=True))
        self._state.update({spec.target: result for spec, result in found if spec.kind.name == "BUFFER_MUTATION"})
        return [to_ggml(result) for spec, result in found if spec.kind.name == "USER_OUTPUT"]

    def _argument(self, name: str, role: Role, given: Any, value: Any) -> Any:
        if role is Role.USER:
            return to_torch(next(given), value)
        if role is Role.STATE:
            return self._state[name]
        return self._torch_weights.get(name)  # None for those that only parts on ggml read, which have them

    @property
    def state(self) -> dict[str, Tensor]:
        """The buffers that calls change, as they are now."""
        return {name: to_ggml(tensor) for name, tensor in self._state.items()}

    def reset(self) -> None:
        """Give every buffer that calls change the value it had at first."""
        self._state = dict(self._first)

    def coverage(self) -> Coverage:
        """Each operation, how many nodes of it there are, where they run, and why not on ggml."""
        return self._partition.coverage()

    def save(self, path: Any) -> NoReturn:
        """UnsupportedOpError, with what is missing: a file needs no torch."""
        raise missing_from(self.coverage(), "save", "a file needs no torch")

    @property
    def num_recordings(self) -> int:
        """How many native graphs there are: one for each part and shape."""
        return sum(island.program.num_recordings for island in self._partition.islands if island.program)

    def __repr__(self) -> str:
        users = [one.name for one in self.graph.users]
        left = sum(row.count for row in self.coverage().missing)
        count = sum(tensor.numel() for tensor in self.weights.values())
        parts = f"{len(self._partition.islands)} parts on ggml, {left} operations in torch, {count} weights"
        return f"MixedProgram({', '.join(users)}): {parts}"


def _copies(tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Each tensor in memory of its own, and one that the model has under several names once."""
    made: dict[Hashable, Tensor] = {}
    result = {}
    for name, tensor in tensors.items():
        key = place_of(tensor) if tensor.numel() else name
        if key not in made:
            made[key] = copied(tensor)
        result[name] = made[key]
    return result


def preparing(dtype: DType | None, stored: GgufWeights | None) -> Prepare:
    """Takes what a GGUF file has for the weights, and gives matrices that one part alone reads fewer bits."""

    def prepare(
        parts: list[Graph], weights: Mapping[str, Tensor], elsewhere: set[str], needed: Collection[str]
    ) -> dict[str, Tensor]:
        found = dict(weights)
        if stored is not None:
            specs = {name: TensorSpec(tensor.dtype, tuple(tensor.shape)) for name, tensor in found.items()}
            found.update(stored.of(specs, needed, matrices_of(parts, elsewhere), specs).tensors)
        return found if dtype is None else quantized_in_parts(parts, found, elsewhere, dtype)

    return prepare
