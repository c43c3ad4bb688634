"""``lower``, step by step: decompose, translate, simplify, ask for every operation, copy the weights."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError
from ggml.export.kept import decomposed
from ggml.export.tensors import copied
from ggml.export.translating import Translation
from ggml.programs.coverage import failures
from ggml.programs.graph import Graph, Role
from ggml.programs.passes import simplified
from ggml.programs.passes.rewriting import without
from ggml.programs.program import Program, require_ggml
from ggml.programs.quantizing import quantized
from ggml.tensors.tensor import Tensor


def lowered(exported: Any, require: str | None, quantization: DType | None) -> Program:
    """See ``ggml.export.lower``."""
    if type(exported).__name__ != "ExportedProgram":
        raise DTypeError("lower", "what torch.export.export returned", type(exported).__name__)
    if require not in ("ggml", None):
        raise DTypeError("lower", "'ggml' or None as require", require)
    if quantization is not None and not (isinstance(quantization, DType) and quantization.is_quantized):
        raise DTypeError("lower", "a quantised dtype as quantization", quantization)
    flat = decomposed(exported)
    graph = _translated(flat)
    failed = failures(graph)
    if failed:
        # PyTorch may have a decomposition for what a rule does not take.
        again = decomposed(exported, {graph.nodes[place].op for place in failed})
        other = _translated(again)
        if len(failures(other)) < len(failed):
            flat, graph = again, other
    tensors = _weights(flat, graph)
    program = Program(graph, tensors if quantization is None else quantized(graph, tensors, quantization))
    if require == "ggml":
        require_ggml(program)
    return program


def _translated(exported: Any) -> Graph:
    return simplified(_with_tied(exported, Translation(exported).graph()))


def _with_tied(exported: Any, graph: Graph) -> Graph:
    """The graph with one weight for each tensor that the model has under several names."""
    first: dict[Hashable, int] = {}
    same: dict[int, int] = {}
    tensors = {**exported.state_dict, **exported.constants}
    for value, one in enumerate(graph.inputs):
        if one.role is Role.WEIGHT and tensors[one.name].numel():
            found = tensors[one.name]
            key = (found.data_ptr(), tuple(found.shape), found.stride(), found.dtype)
            same[value] = first.setdefault(key, value)
    same = {value: other for value, other in same.items() if value != other}
    return without(graph, same.keys(), same)


def _weights(exported: Any, graph: Graph) -> dict[str, Tensor]:
    """The tensors that the graph reads, by name."""
    tensors = {**exported.state_dict, **exported.constants}
    return {one.name: copied(tensors[one.name]) for one in graph.held}
