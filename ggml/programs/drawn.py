"""Inputs for a program where nobody has any: random numbers in the shapes of the example."""

from __future__ import annotations

from typing import Any

from ggml.ops.create.factories import ones
from ggml.ops.create.random import manual_seed, randn
from ggml.programs.expressions import extents
from ggml.programs.graph import Graph, Input
from ggml.tensors.tensor import Tensor


def drawn(graph: Graph, seed: int) -> dict[str, Tensor]:
    """One for each input that is a tensor, the same for each seed."""
    manual_seed(seed)
    return {one.name: drawn_input(graph, one) for one in graph.users if one.spec is not None}


def drawn_input(graph: Graph, one: Input) -> Any:
    """Random numbers; ones where whole numbers are wanted, which are places in most models."""
    if one.spec is None:
        return one.constant
    dtype, shape = one.spec.dtype, extents(one.spec.shape, graph.hints)
    return randn(shape).to(dtype) if dtype.is_floating_point else ones(shape, dtype=dtype)
