"""Recurrent layers over whole sequences."""

from __future__ import annotations

import math
from typing import Any

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.nn import functional, init
from ggml.nn.layers import unrolling
from ggml.nn.layers.steps import State, Step, Weights, gru_step, lstm_step, rnn_step
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import Place, empty, zeros
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.concatenation import stack as stacked
from ggml.registry.arguments import integer
from ggml.tensors.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN"]


class _Recurrent(Module):
    """Layers on layers, each in one direction or both. Subclasses name the step, its gates and its states."""

    _num_gates: int
    _num_states = 1
    _adds_b_hh = True  # to the input's part, once for all steps

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        device: Place,
        dtype: DType | None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ArgumentError(name, "dropout", f"must be a number in [0, 1]: {dropout}")
        for value, text in ((input_size, "input_size"), (hidden_size, "hidden_size"), (num_layers, "num_layers")):
            integer(name, value, text)
        if min(input_size, hidden_size, num_layers) <= 0:
            sizes = f"{input_size}, {hidden_size}, {num_layers}"
            raise ArgumentError(name, "input_size, hidden_size and num_layers", f"must be positive: {sizes}")
        for flag, text in ((bias, "bias"), (batch_first, "batch_first"), (bidirectional, "bidirectional")):
            if not isinstance(flag, bool):
                raise DTypeError(name, f"a bool as {text}", type(flag).__name__)
        if not 0 <= integer(name, proj_size, "proj_size") < hidden_size:
            raise ArgumentError(name, "proj_size", f"must be smaller than hidden_size: {proj_size}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                self._add_weights(layer, suffix, {"device": device, "dtype": dtype})
        self.reset_parameters()

    @property
    def _out_size(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def _num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> tuple[str, ...]:
        return (f"_l{layer}", f"_l{layer}_reverse")[: self._num_directions]

    def _add_weights(self, layer: int, suffix: str, options: dict[str, Any]) -> None:
        rows = self._num_gates * self.hidden_size
        width = self._out_size * self._num_directions if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, self._out_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        for name, shape in shapes.items():
            self.register_parameter(name + suffix, Parameter(empty(shape, **options)))

    def reset_parameters(self) -> None:
        """Uniform between plus and minus one over the root of ``hidden_size``."""
        bound = 1 / math.sqrt(self.hidden_size)
        for param in self.parameters():
            init.uniform_(param, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: products read each weight where it lies."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        suffixes = [suffix for layer in range(self.num_layers) for suffix in self._suffixes(layer)]
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return [[self._parameters[k + suffix] for k in kinds if k + suffix in self._parameters] for suffix in suffixes]  # type: ignore[misc]

    def _weights(self, suffix: str) -> Weights:
        found = [self._parameters.get(kind + suffix) for kind in ("bias_ih", "bias_hh", "weight_hr")]
        return Weights(getattr(self, f"weight_ih{suffix}"), getattr(self, f"weight_hh{suffix}"), *found)

    def _make_step(self) -> Step:
        raise NotImplementedError

    def _run(self, input: Tensor, states: tuple[Any, ...] | None) -> tuple[Tensor, State]:
        """The output of the last layer, and the last states [layers * directions, N, size]."""
        is_batched = self._checked(input)
        x = input if is_batched else input.unsqueeze(1)
        if is_batched and self.batch_first:
            x = input.transpose(0, 1)
        first = self._first_states(x, states, is_batched)
        step = self._make_step()
        last: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                place = layer * self._num_directions + direction
                state = tuple(one[place] for one in first)
                output, state = unrolling.run(step, x, state, self._weights(suffix), self._adds_b_hh, direction == 1)
                outputs.append(output)
                last.append(state)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = functional.dropout(x, self.dropout, True)
        ends = tuple(stacked(list(parts), 0) for parts in zip(*last, strict=True))
        if not is_batched:
            return x.squeeze(1), tuple(end.squeeze(1) for end in ends)
        return x.transpose(0, 1) if self.batch_first else x, ends

    def _checked(self, input: Tensor) -> bool:
        """Whether there is a batch axis."""
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise DTypeError(name, "a tensor (packed sequences are not known here)", type(input).__name__)
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            rule = f"[L, N, {self.input_size}], [N, L, {self.input_size}] with batch_first, or [L, {self.input_size}]"
            raise ShapeMismatchError(name, rule, tuple(input.shape))
        if input.shape[1 if self.batch_first and input.ndim == 3 else 0] == 0:
            raise ShapeMismatchError(name, "at least one step", tuple(input.shape))
        return input.ndim == 3

    def _first_states(self, x: Tensor, states: tuple[Any, ...] | None, is_batched: bool) -> State:
        """[layers * directions, N, size] each; zeros where none are given."""
        count = self.num_layers * self._num_directions
        sizes = (self._out_size, self.hidden_size)[: self._num_states]
        if states is None:
            return tuple(zeros(count, x.shape[1], size, dtype=x.dtype, device=x.device) for size in sizes)
        for state, size in zip(states, sizes, strict=True):
            wanted = (count, x.shape[1], size) if is_batched else (count, size)
            if not isinstance(state, Tensor) or tuple(state.shape) != wanted:
                found = tuple(getattr(state, "shape", ()))
                raise ShapeMismatchError(type(self).__name__, f"a state {wanted}", found)
        return tuple(state if is_batched else state.unsqueeze(1) for state in states)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        for name, default in (*defaults.items(), ("bidirectional", False)):
            value = getattr(self, name)
            text += "" if value == default else f", {name}={value}"
        return text


class RNN(_Recurrent):
    """``tanh`` or ``relu`` of input and state: [L, N, in] becomes [L, N, directions * hidden] and the last state."""

    _num_gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0,
                         device, dtype)  # fmt: skip
        rnn_step(nonlinearity)
        self.nonlinearity = nonlinearity

    def _make_step(self) -> Step:
        return rnn_step(self.nonlinearity)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (hidden,) = self._run(input, None if hx is None else (hx,))
        return output, hidden


class LSTM(_Recurrent):
    """[L, N, in] becomes [L, N, directions * out] and the last hidden and cell states.

    ``proj_size`` projects the hidden state, which is then that wide.
    """

    _num_gates = 4
    _num_states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
                         device, dtype)  # fmt: skip

    def _make_step(self) -> Step:
        return lstm_step

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise DTypeError("LSTM", "a pair of hidden and cell states", type(hx).__name__)
        output, (hidden, cell) = self._run(input, None if hx is None else tuple(hx))
        return output, (hidden, cell)


class GRU(_Recurrent):
    """[L, N, in] becomes [L, N, directions * hidden] and the last state."""

    _num_gates = 3
    _adds_b_hh = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0,
                         device, dtype)  # fmt: skip

    def _make_step(self) -> Step:
        return gru_step

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (hidden,) = self._run(input, None if hx is None else (hx,))
        return output, hidden
