"""``lower``, step by step: decompose, translate, simplify, ask for every operation, copy the weights."""

from __future__ import annotations

from typing import Any

from ggml.core.errors import DTypeError
from ggml.export.kept import decomposed
from ggml.export.tensors import copied
from ggml.export.translating import Translation
from ggml.programs.coverage import failures
from ggml.programs.graph import Graph, Role
from ggml.programs.passes import simplified
from ggml.programs.program import Program, require_ggml
from ggml.tensors.tensor import Tensor


def lowered(exported: Any, require: str | None) -> Program:
    """See ``ggml.export.lower``."""
    if type(exported).__name__ != "ExportedProgram":
        raise DTypeError("lower", "what torch.export.export returned", type(exported).__name__)
    if require not in ("ggml", None):
        raise DTypeError("lower", "'ggml' or None as require", require)
    flat = decomposed(exported)
    graph = simplified(Translation(flat).graph())
    unfit = {graph.nodes[place].op for place in failures(graph)}
    if unfit:
        # PyTorch may have a decomposition for what a rule does not take.
        again = decomposed(exported, unfit)
        other = simplified(Translation(again).graph())
        if len(failures(other)) < len(failures(graph)):
            flat, graph = again, other
    program = Program(graph, _weights(flat, graph))
    if require == "ggml":
        require_ggml(program)
    return program


def _weights(exported: Any, graph: Graph) -> dict[str, Tensor]:
    """The tensors that the graph reads, by name."""
    tensors = {**exported.state_dict, **exported.constants}
    names = [one.name for one in graph.inputs if one.role is not Role.USER]
    return {name: copied(tensors[name]) for name in names}
