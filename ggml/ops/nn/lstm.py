"""An LSTM in one operation: the part of its step that is no product, and a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core.dtypes import F32
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor


def _lower_lstm_cell(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return b.emit("lstm_cell", [b.operand(value, value.shape) for value in values], F32, node.shape)


@op(runs="kernel", sample="internal", lower=_lower_lstm_cell, methods=())
def lstm_cell(gates: Tensor, own: Tensor, cell: Tensor) -> Tensor:
    """The new hidden state and the new cell [2, N, hidden] of float32 gates [N, 4 * hidden] and cell [N, hidden].

    ``gates`` is the part of the input and ``own`` that of the hidden state, in the order input, forget, cell, output.
    The caller has checked them.
    """
    return make("lstm_cell", (gates, own, cell), (), (2, *cell._node.shape), cell._node.dtype)


def _lower_lstm_sequence(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    gates, weight, hidden, cell = values
    sources = [b.operand(one, one.shape) for one in (gates, b.dense(weight.swap(0, 1)), hidden, cell)]
    return b.emit("lstm_sequence", sources, F32, node.shape, (int(params[0]),))


@op(runs="kernel", sample="internal", lower=_lower_lstm_sequence, methods=())
def lstm_sequence(gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, is_backwards: bool) -> Tensor:
    """The hidden states and the last cell [L + 1, N, hidden] of gates [L, N, 4 * hidden], all of float32.

    ``gates`` is the part of the input; weight [4 * hidden, hidden] makes that of the state. The caller has checked.
    """
    shape = (gates._node.shape[0] + 1, *cell._node.shape)
    return make("lstm_sequence", (gates, weight, hidden, cell), (is_backwards,), shape, cell._node.dtype)
