"""Whether ggml can take a node of a program over, as ExecuTorch has it."""

from __future__ import annotations

from typing import Any

from ggml.export.mixed.part import is_arithmetic, why_not
from ggml.export.translating import op_name
from ggml.programs.rules import RULES

# Elements go in and out as they are: what ggml would compute in another dtype stays ExecuTorch's.
_DTYPES = ("float32", "float16", "bfloat16", "int32", "int64", "bool")


def left_out(exported: Any) -> set[Any]:
    """The nodes that ggml cannot run, for the shapes of the example. Parts of a result stay with it."""
    left: set[Any] = set()
    for node in exported.graph.nodes:
        if node.op in ("placeholder", "output", "get_attr"):
            continue
        if op_name(node) == "operator.getitem":
            if node.args[0] in left:
                left.add(node)
        elif not _is_supported(node, exported):
            left.add(node)
    return left


def keepable(exported: Any) -> list[Any]:
    """The operations that PyTorch would decompose although ggml runs each node of them as it is."""
    import torch

    known = {op for op in torch.export.default_decompositions() if str(op) in RULES}
    nodes = [node for node in exported.graph.nodes if node.op == "call_function" and node.target in known]
    unfit = {node.target for node in nodes if not _is_supported(node, exported)}
    return sorted({node.target for node in nodes} - unfit, key=str)


def _is_supported(node: Any, exported: Any) -> bool:
    values = [node.meta.get("val"), *[one.meta.get("val") for one in node.all_input_nodes]]
    tensors = [one for value in values for one in (value if isinstance(value, (tuple, list)) else [value])]
    if is_arithmetic(node) or not all(_is_plain(one) for one in tensors if hasattr(one, "shape")):
        return False
    return not why_not(node, exported.range_constraints)


def _is_plain(value: Any) -> bool:
    """Whether its elements lie in row-major order, and are of a dtype that ggml has."""
    return str(value.dtype).rpartition(".")[2] in _DTYPES and bool(value.is_contiguous())
