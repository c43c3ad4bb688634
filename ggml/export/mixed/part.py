"""Some nodes of a graph of torch as a graph of ours, and whether one node can be in such a part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType, SimpleNamespace
from typing import Any

from ggml.core.errors import UnsupportedOpError
from ggml.export.tensors import dtype_of
from ggml.export.translating import Translation, is_check, op_name
from ggml.programs.coverage import failures
from ggml.programs.flops import flops
from ggml.programs.graph import Graph, Input, Output, Ref, Role, TensorSpec
from ggml.programs.trees import LEAF, Tree

_NO_NAMES: Mapping[Any, str] = MappingProxyType({})


class Part(Translation):
    """Nodes on their way. What they read from outside are inputs: a user's, or a weight where it has a name."""

    def __init__(self, ranges: Mapping[Any, Any]) -> None:
        super().__init__(SimpleNamespace(graph_signature=None, range_constraints=ranges))

    def of(
        self, reads: Sequence[Any], nodes: Iterable[Any], results: Sequence[Any], weights: Mapping[Any, str] = _NO_NAMES
    ) -> Graph:
        """The graph of ``nodes``, which read ``reads`` and each other and give ``results``.

        UnsupportedOpError for what no graph of ours has, such as extents that the data decide.
        """
        for node in reads:
            require_known(node.meta.get("val"))
            self._find_symbols(node)
        for node in reads:
            self._read(node, weights.get(node))
        for node in nodes:
            self._add_node(node)
        users = [one for one in self.inputs if one.role is Role.USER]
        return Graph(
            symbols=tuple(self.symbol_specs),
            inputs=tuple(self.inputs),
            nodes=tuple(self.nodes),
            outputs=tuple([Output(node.name, Role.USER, self._argument(node)) for node in results]),
            in_tree=Tree("tuple", (Tree("tuple", (LEAF,) * len(users)), Tree("dict"))),
            out_tree=Tree("tuple", (LEAF,) * len(results)),
            stripped=tuple(sorted(self.stripped.items())),
        )

    def _spec(self, value: Any) -> TensorSpec:
        dtype_of(value.dtype)  # what passes between parts is torch's: there are no pairs for complex tensors
        return super()._spec(value)

    def _find_symbols(self, node: Any) -> None:
        """Those of a tensor's extents, and of a number that shapes decide."""
        value = node.meta.get("val")
        if type(value).__name__ != "SymInt":
            super()._find_symbols(node)
        elif not _is_unknown(value):
            self._add_symbols(value)

    def _read(self, node: Any, weight: str | None) -> None:
        value = node.meta.get("val")
        if is_number(value):
            self.values[node] = self._expression(value if isinstance(value, (int, float)) else value.node.expr)
            return
        if not hasattr(value, "shape"):
            raise UnsupportedOpError("lower", "ggml", f"{node.name} is no tensor")
        self.values[node] = Ref(len(self.inputs))
        role = Role.USER if weight is None else Role.WEIGHT
        self.inputs.append(Input(weight or node.name, role, self._spec(value)))


def is_number(value: Any) -> bool:
    """Whether it is a number, maybe one that shapes decide."""
    return isinstance(value, (bool, int, float)) or type(value).__name__ in ("SymInt", "SymFloat", "SymBool")


def require_known(value: Any) -> None:
    """UnsupportedOpError for tensors with extents that only the data decide."""
    for one in value if isinstance(value, (tuple, list)) else [value]:
        if hasattr(one, "shape") and _is_unknown(one):
            raise UnsupportedOpError("lower", "ggml", f"the data decide on its shape, {tuple(one.shape)}")


def _is_unknown(value: Any) -> bool:
    """Whether a number, or an extent, is known only when the data are."""
    from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

    return bool(free_unbacked_symbols(value))


def is_arithmetic(node: Any) -> bool:
    """Whether a node only works on extents, or checks something: Python does it at once, on the way."""
    if is_check(op_name(node)):
        return True
    reads_data = any(hasattr(one.meta.get("val"), "shape") for one in node.all_input_nodes)
    return is_number(node.meta.get("val")) and not (reads_data and _is_unknown(node.meta["val"]))


def why_not(node: Any, ranges: Mapping[Any, Any]) -> str:
    """Why ggml cannot run a node of torch's graph, for the shapes of the example; empty where it can."""
    if is_number(node.meta.get("val")):
        return "the data decide on a number that extents or arguments need"
    try:
        require_known(node.meta.get("val"))
        graph = Part(ranges).of(node.all_input_nodes, [node], [node])
    except UnsupportedOpError as error:
        return " ".join(error.hint.split())
    return failures(graph).get(0, "")


def flops_of(node: Any, ranges: Mapping[Any, Any]) -> int:
    """What a node computes for the shapes of the example; 0 where the data decide on them."""
    try:
        return sum(flops(Part(ranges).of(node.all_input_nodes, [node], [node])))
    except UnsupportedOpError:
        return 0
