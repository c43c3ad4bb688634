"""The part of an edge program that ExecuTorch hands over, as a program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ggml.core.dtypes import DType
from ggml.export.mixed.part import Part
from ggml.export.tensors import copied
from ggml.programs.graph import SymbolSpec
from ggml.programs.passes import simplified
from ggml.programs.program import Program
from ggml.programs.quantizing import matrices, quantized
from ggml.tensors.tensor import Tensor


def program_of(edge: Any, quantization: DType | None) -> Program:
    """Takes and gives what the part does, tensors only, in its order. Weights are copied.

    UnsupportedOpError for what no program has.
    """
    nodes = list(edge.graph.nodes)
    signature = edge.graph_signature
    weights = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    reads = [node for node in nodes if node.op == "placeholder"]
    results = next(node for node in nodes if node.op == "output").args[0]
    inner = [node for node in nodes if node.op not in ("placeholder", "output")]
    names = {node: weights[node.name] for node in reads if node.name in weights}
    graph = simplified(Part(edge.range_constraints).of(reads, inner, list(results), names))
    graph = replace(graph, symbols=tuple([_with_one(symbol) for symbol in graph.symbols]))
    held = {**edge.state_dict, **edge.constants}
    tensors = {one.name: copied(held[one.name]) for one in graph.held}
    if quantization is not None and any(_fits(tensors[name], quantization) for name in matrices(graph)):
        tensors = quantized(graph, tensors, quantization)
    return Program(graph, tensors)


def _with_one(symbol: SymbolSpec) -> SymbolSpec:
    """A lower bound of 1 has become 2 once PyTorch has decomposed a program for ExecuTorch; here 1 is as good."""
    return replace(symbol, low=1) if symbol.low == 2 else symbol


def _fits(matrix: Tensor, dtype: DType) -> bool:
    """Not every part has a matrix whose rows are whole blocks."""
    return matrix.shape[-1] % dtype.block == 0
