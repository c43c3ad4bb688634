"""``lower``, step by step: decompose, translate, simplify, ask for every operation, copy the weights."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from typing import Any

from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError, UnsupportedOpError
from ggml.export.gguf_weights import GgufWeights
from ggml.export.kept import decomposed
from ggml.export.mixed.program import MixedProgram, preparing
from ggml.export.tensors import copied, place_of
from ggml.export.translating import Translation
from ggml.programs.constants import with_constants
from ggml.programs.coverage import coverage, failures
from ggml.programs.graph import Graph, Role
from ggml.programs.passes import CONSTANTS, chosen, simplified
from ggml.programs.passes.rewriting import without
from ggml.programs.program import Program, require_ggml
from ggml.programs.quantizing import matrices_of, quantized, require_blocks
from ggml.programs.references import Reference
from ggml.tensors.tensor import Tensor


def lowered(
    exported: Any,
    require: str | None,
    quantization: DType | None,
    passes: Iterable[str] | None,
    stored: GgufWeights | None,
) -> Program | MixedProgram:
    """See ``ggml.export.lower``."""
    if type(exported).__name__ != "ExportedProgram":
        raise DTypeError("lower", "what torch.export.export returned", type(exported).__name__)
    if require not in ("ggml", None):
        raise DTypeError("lower", "'ggml' or None as require", require)
    require_blocks("lower", quantization)
    names = chosen(passes)
    flat = decomposed(exported)
    graph = None
    try:
        flat, graph, is_whole = _best(exported, flat, names)
    except UnsupportedOpError:
        if require == "ggml":
            raise
        is_whole = False
    if graph is None or not is_whole:
        if graph is not None and require == "ggml":
            require_ggml(coverage(graph))
        return MixedProgram(flat, preparing(quantization, stored), names)
    reference, found = _weights(flat, graph, stored)
    graph, tensors = with_constants(graph, found) if CONSTANTS in names else (graph, found)
    if quantization is not None:
        tensors = quantized(graph, tensors, quantization)
    if reference is not None:  # without what was computed of the file's tensors, which has their names
        same = {name: there for name, there in reference.tensors.items() if tensors.get(name) is found[name]}
        reference = Reference(reference.path, same)
    return Program(graph, tensors, reference=reference)


def _best(exported: Any, flat: Any, names: Collection[str]) -> tuple[Any, Graph, bool]:
    """The export in operations as they suit the rules best, its graph, and whether all of it runs on ggml."""
    graph = _translated(flat, names)
    failed = failures(graph)
    if failed:
        # PyTorch may have a decomposition for what a rule does not take.
        again = decomposed(exported, {graph.nodes[place].op for place in failed})
        other = _translated(again, names)
        still = failures(other)
        if len(still) < len(failed):
            return again, other, not still
    return flat, graph, not failed


def _translated(exported: Any, names: Collection[str]) -> Graph:
    return simplified(_with_tied(exported, Translation(exported).graph()), names)


def _with_tied(exported: Any, graph: Graph) -> Graph:
    """The graph with one weight for each tensor that the model has under several names."""
    first: dict[Hashable, int] = {}
    same: dict[int, int] = {}
    tensors = {**exported.state_dict, **exported.constants}
    for value, one in enumerate(graph.inputs):
        if one.role is Role.WEIGHT and tensors[one.name].numel():
            same[value] = first.setdefault(place_of(tensors[one.name]), value)
    same = {value: other for value, other in same.items() if value != other}
    return without(graph, same.keys(), same)


def _weights(exported: Any, graph: Graph, stored: GgufWeights | None) -> tuple[Reference | None, dict[str, Tensor]]:
    """The tensors that the graph reads, by name: those of the file where there is one, else copies of the model's."""
    tensors = {**exported.state_dict, **exported.constants}
    if stored is None:
        return None, {one.name: copied(tensors[one.name]) for one in graph.held}
    specs = {one.name: one.spec for one in graph.inputs if one.role is Role.WEIGHT and one.spec is not None}
    found = stored.of(specs, exported.graph_signature.parameters, matrices_of([graph], ()), tensors)
    rest = {one.name: copied(tensors[one.name]) for one in graph.held if one.name not in found.tensors}
    return found.reference, {**rest, **found.tensors}
