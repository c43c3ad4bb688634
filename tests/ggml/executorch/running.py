"""Models through ExecuTorch: lowered with ggml's partitioner, and run in its own runtime."""

from __future__ import annotations

import warnings
from typing import Any

import torch

import ggml.executorch


def lowered(export: Any, **options: Any) -> Any:
    """The edge program with ggml's parts in it."""
    from executorch.exir import to_edge_transform_and_lower

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and ExecuTorch, about themselves
        return to_edge_transform_and_lower(export, partitioner=[ggml.executorch.GgmlPartitioner(**options)])


def file_of(edge: Any) -> bytes:
    """The ``.pte`` program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bytes(edge.to_executorch().buffer)


def parts(edge: Any) -> list[bytes]:
    """What the delegate reads of each part."""
    module = edge.exported_program().graph_module
    return [getattr(module, name).processed_bytes for name, _ in module.named_children()]


def left(edge: Any) -> list[str]:
    """The operations that ExecuTorch's kernels run."""
    nodes = edge.exported_program().graph_module.graph.nodes
    names = [str(getattr(node.target, "_op", node.target)) for node in nodes if node.op == "call_function"]
    return [name for name in names if "aten" in name or "dim_order" in name]


class Loaded:
    """A program in ExecuTorch's runtime. Its bytes have to be there for as long as its method is."""

    def __init__(self, raw: bytes) -> None:
        from executorch.runtime import Runtime, Verification

        self._program = Runtime.get().load_program(raw, verification=Verification.InternalConsistency)
        self._method = self._program.load_method("forward")

    def execute(self, arguments: list[Any]) -> list[Any]:
        return list(self._method.execute(arguments))


def error(method: Loaded, model: torch.nn.Module, arguments: tuple[Any, ...]) -> float:
    """The largest difference from the model, in the unit of results that reach 1."""
    from torch.utils._pytree import tree_leaves

    with torch.no_grad():
        wanted = tree_leaves(model(*arguments))
    found = method.execute(tree_leaves(arguments))
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
    pairs = zip(found, wanted, strict=True)
    return max(float((one - other).abs().max() / other.abs().max().clamp(max=1.0)) for one, other in pairs)
