"""Weights with fewer bits: those that products and embeddings read, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError
from ggml.programs.graph import Graph, Role, read_by, references
from ggml.quantization import quantize_
from ggml.tensors.tensor import Tensor

# The operations that take blocks, and which of their arguments may be some.
_TAKES = {"aten.linear.default": 1, "aten.embedding.default": 0}


def require_blocks(op: str, dtype: DType | None) -> None:
    """DTypeError for what is no quantised dtype, and not None either."""
    if dtype is not None and not (isinstance(dtype, DType) and dtype.is_quantized):
        raise DTypeError(op, "a quantised dtype as quantization", dtype)


def quantized(graph: Graph, tensors: Mapping[str, Tensor], dtype: DType) -> dict[str, Tensor]:
    """The tensors. Matrices that only ``linear`` and ``embedding`` read are of ``dtype``, where rows are whole blocks.

    ArgumentError where there is none.
    """
    return quantized_in_parts([graph], tensors, set(), dtype)


def quantized_in_parts(
    graphs: Sequence[Graph], tensors: Mapping[str, Tensor], elsewhere: Collection[str], dtype: DType
) -> dict[str, Tensor]:
    """As ``quantized``, of a model in several graphs: what two of them read, or ``elsewhere`` has, stays as it is."""
    found = matrices_of(graphs, elsewhere)
    chosen = {name for name in found if tensors[name].shape[-1] % dtype.block == 0}
    if not chosen:
        raise ArgumentError("lower", "quantization", f"{dtype} fits no weight: none has rows of {dtype.block} elements")
    result = dict(tensors)
    quantize_(result, dtype, lambda tensor, key: key in chosen)
    return result


def matrices_of(graphs: Sequence[Graph], elsewhere: Collection[str]) -> set[str]:
    """The names of ``matrices`` that one graph alone reads, and that are not ``elsewhere``."""
    read = Counter(one.name for graph in graphs for one in graph.held)
    return {name for graph in graphs for name in matrices(graph) if read[name] == 1 and name not in elsewhere}


def matrices(graph: Graph) -> Iterator[str]:
    """The names of the weights of two axes that only ``linear`` and ``embedding`` read."""
    elsewhere = {value for output in graph.outputs for value in references(output.value)}
    for node in graph.nodes:
        place = _TAKES.get(node.op, -1)
        weight = set(references(node.args[place])) if 0 <= place < len(node.args) else set()
        others = [value for at, argument in enumerate(node.args) if at != place for value in references(argument)]
        elsewhere.update(set(read_by(node)) - weight, others)
    for value, one in enumerate(graph.inputs):
        if one.role is Role.WEIGHT and value not in elsewhere and one.spec is not None and len(one.spec.shape) == 2:
            yield one.name
