"""The part of an LSTM's step that is no product, in one operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.dtypes import F32
from ggml.lowering.builder import Builder
from ggml.lowering.value import Value
from ggml.node import Node
from ggml.table import make, op
from ggml.tensor import Tensor


def _lower_lstm_cell(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return b.emit("lstm_cell", [b.operand(value, value.shape) for value in values], F32, node.shape)


@op(runs="kernel", sample="internal", lower=_lower_lstm_cell, methods=())
def lstm_cell(gates: Tensor, own: Tensor, cell: Tensor) -> Tensor:
    """The new hidden state and the new cell [2, N, hidden] of float32 gates [N, 4 * hidden] and cell [N, hidden].

    ``gates`` is the part of the input and ``own`` that of the hidden state, in the order input, forget, cell, output.
    The caller has checked them.
    """
    return make("lstm_cell", (gates, own, cell), (), (2, *cell._node.shape), cell._node.dtype)
