"""Recurrent layers, one step at a time."""

from __future__ import annotations

import math
from typing import Any

from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError, ShapeMismatchError
from ggml.nn import init
from ggml.nn.layers.steps import State, Step, Weights, gru_step, lstm_step, project, rnn_step
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import Place, empty, zeros
from ggml.tensors.tensor import Tensor

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _Cell(Module):
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None
    _step: Step
    _num_gates: int

    def __init__(self, input_size: int, hidden_size: int, bias: bool, device: Place, dtype: DType | None) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self._num_gates * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform between plus and minus one over the root of ``hidden_size``."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for param in self.parameters():
            init.uniform_(param, -bound, bound)

    def _run(self, step: Step, input: Tensor, states: tuple[Tensor, ...] | None, count: int, b_hh: bool) -> State:
        """One step; [N, in] or [in], with states [N, hidden] or [hidden]."""
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise DTypeError(name, "a tensor as input", type(input).__name__)
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeMismatchError(name, f"[N, {self.input_size}] or [{self.input_size}]", tuple(input.shape))
        wanted = (*input.shape[:-1], self.hidden_size)
        if states is None:
            states = (zeros(wanted, dtype=input.dtype, device=input.device),) * count
        for state in states:
            if not isinstance(state, Tensor) or tuple(state.shape) != wanted:
                raise ShapeMismatchError(name, f"a state {wanted}", tuple(getattr(state, "shape", ())))
        weights = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if input.ndim == 2:
            return step(project(input, weights, b_hh), states, weights)
        rows = tuple(state.unsqueeze(0) for state in states)
        return tuple(state.squeeze(0) for state in step(project(input.unsqueeze(0), weights, b_hh), rows, weights))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(_Cell):
    """``tanh(W_ih x + b_ih + W_hh h + b_hh)``: [N, in] and the state [N, hidden] become the next state."""

    _num_gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        step = rnn_step(self.nonlinearity)
        return self._run(step, input, None if hx is None else (hx,), 1, True)[0]

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(_Cell):
    """[N, in] and a pair of hidden and cell state [N, hidden] become the next pair."""

    _num_gates = 4

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Place = None, dtype: DType | None = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise DTypeError("LSTMCell", "a pair of hidden and cell state", type(hx).__name__)
        hidden, cell = self._run(lstm_step, input, None if hx is None else tuple(hx), 2, True)
        return hidden, cell


class GRUCell(_Cell):
    """[N, in] and the state [N, hidden] become the next state."""

    _num_gates = 3

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Place = None, dtype: DType | None = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._run(gru_step, input, None if hx is None else (hx,), 1, False)[0]
