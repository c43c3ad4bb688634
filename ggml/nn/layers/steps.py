"""One step of each recurrent layer, and what a step needs. ``gates`` is the input's part: [N, count * hidden]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ggml.core.dtypes import float32
from ggml.core.errors import ArgumentError
from ggml.nn import functional
from ggml.ops.nn.lstm import lstm_cell, lstm_sequence
from ggml.tensors.tensor import Tensor

#: A hidden state, and for an LSTM also the cell state.
State = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one layer in one direction: [count * hidden, in], [count * hidden, out] and so on."""

    ih: Tensor
    hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None
    hr: Tensor | None = None


Step = Callable[[Tensor, State, Weights], State]


def rnn_step(nonlinearity: str) -> Step:
    """``tanh`` (or ``relu``) of the sum of both parts."""
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError("RNN", "nonlinearity", f"must be 'tanh' or 'relu', not {nonlinearity!r}")

    def step(gates: Tensor, state: State, weights: Weights) -> State:
        both = gates + functional.linear(state[0], weights.hh)
        return (both.tanh() if nonlinearity == "tanh" else both.relu(),)

    return step


def lstm_step(gates: Tensor, state: State, weights: Weights) -> State:
    """Input, forget, cell and output gates; ``weights.hr`` projects the hidden state."""
    hidden, cell = state
    own = functional.linear(hidden, weights.hh)
    if cell.dtype is float32 and cell.device.is_cpu and cell.ndim == 2:
        hidden, cell = lstm_cell(gates, own, cell).unbind(0)
    else:
        i, f, g, o = (gates + own).chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
    return hidden if weights.hr is None else functional.linear(hidden, weights.hr), cell


def has_sequence(gates: Tensor, state: State, weights: Weights) -> bool:
    """Whether ``lstm_steps`` can take these steps: float32 on the CPU, without a projection."""
    parts = (gates, *state, weights.hh)
    is_plain = all(one.dtype is float32 and one.device.is_cpu for one in parts)
    return is_plain and weights.hr is None and gates.ndim == 3 and 0 not in gates.shape


def lstm_steps(gates: Tensor, state: State, weights: Weights, backwards: bool) -> tuple[Tensor, State]:
    """``lstm_step`` for gates [L, N, 4 * hidden] in one operation: the outputs [L, N, hidden] and the last state."""
    hidden, cell = state
    found = lstm_sequence(gates, weights.hh, hidden, cell, backwards)
    output = found[:-1]
    return output, (output[0 if backwards else -1], found[-1])


def gru_step(gates: Tensor, state: State, weights: Weights) -> State:
    """Reset, update and new gates; the reset gate acts behind the product with the hidden state."""
    (hidden,) = state
    reset, update, new = gates.chunk(3, -1)
    own_reset, own_update, own_new = functional.linear(hidden, weights.hh, weights.b_hh).chunk(3, -1)
    share = (update + own_update).sigmoid()
    fresh = (new + (reset + own_reset).sigmoid() * own_new).tanh()
    return (fresh + share * (hidden - fresh),)


def project(input: Tensor, weights: Weights, with_b_hh: bool) -> Tensor:
    """The input's part of the gates, for all steps in one product. Both biases where they only add."""
    bias = weights.b_ih
    if bias is not None and weights.b_hh is not None and with_b_hh:
        bias = bias + weights.b_hh
    return functional.linear(input, weights.ih, bias)
