"""LSTM, GRU and RNN. ONNX orders the gates i, o, f, c and z, r, h; the rows here input, forget, cell, output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ggml.core.errors import ShapeMismatchError
from ggml.nn import functional as F
from ggml.onnx.call import Call
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.ops.create.factories import zeros
from ggml.ops.nn.lstm import lstm_sequence
from ggml.ops.shape.concatenation import cat, stack
from ggml.tensors.tensor import Tensor


@to_onnx("lstm_sequence")
def _lstm(w: Writer, step: Step) -> str:
    """The row has the part of the input already: the node gets it through a matrix that only orders the gates."""
    gates, weight, hidden, cell = step.inputs
    size = step.shape[-1]
    order = np.concatenate([np.arange(size) + size * at for at in (0, 3, 1, 2)])
    own = w.emit("Gather", weight, w.constant(order.astype(np.int64)), axis=0)
    first = w.ints([0])
    matrix = w.constant(np.eye(4 * size, dtype=np.float32)[order][None])
    states = [w.emit("Unsqueeze", one, first) for one in (hidden, cell)]
    rows, _, last = w.emit_several(
        "LSTM", 3, gates, matrix, w.emit("Unsqueeze", own, first), "", "", *states, hidden_size=size,
        direction="reverse" if step.params[0] else "forward",
    )  # fmt: skip
    return w.emit("Concat", w.emit("Squeeze", rows, w.ints([1])), last, axis=0)


@to_onnx("lstm_cell")
def _lstm_cell(w: Writer, step: Step) -> str:
    gates, own, cell = step.inputs
    parts = w.emit_several("Split", 4, w.emit("Add", gates, own), w.ints([step.shape[-1]] * 4), axis=1)
    at, forget, new, out = (w.emit("Tanh" if i == 2 else "Sigmoid", part) for i, part in enumerate(parts))
    kept = w.emit("Add", w.emit("Mul", forget, cell), w.emit("Mul", at, new))
    hidden = w.emit("Mul", out, w.emit("Tanh", kept))
    return w.emit("Concat", *[w.emit("Unsqueeze", one, w.ints([0])) for one in (hidden, kept)], axis=0)


class _Given:
    """What the three nodes share. ``x`` is [L, N, in] in every layout."""

    def __init__(self, call: Call, num_gates: int, activations: list[str]) -> None:
        self.call = call
        direction = call.attribute("direction", "forward")
        self.backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}.get(direction)
        wanted = [str(one).lower() for one in call.attribute("activations") or []]
        if self.backwards is None or wanted not in ([], activations * len(self.backwards)):
            raise call.refuse(f"direction {direction!r} with activations {wanted}")
        if call.attribute("clip") is not None or call.attribute("input_forget", 0):
            raise call.refuse("clip and input_forget")
        self.layout = call.attribute("layout", 0)
        x = call.tensor(0)
        if x.ndim != 3:
            raise ShapeMismatchError(call.where, "an input with three axes", tuple(x.shape))
        self.x = x.transpose(0, 1) if self.layout else x
        if call.has(4) and any(one != self.x.shape[0] for one in call.ints(4)):
            raise call.refuse("sequences of different lengths")
        self.weight, self.own = call.tensor(1), call.tensor(2)
        self.size = self.own.shape[-1]
        count = len(self.backwards)
        if tuple(self.own.shape) != (count, num_gates * self.size, self.size):
            rule = f"recurrent weights [{count}, {num_gates} * hidden, hidden]"
            raise ShapeMismatchError(call.where, rule, tuple(self.own.shape))
        shape = (count, 2 * num_gates * self.size)
        self.bias = call.tensor(3) if call.has(3) else zeros(shape, device=x.device)

    def state(self, place: int) -> Tensor:
        """The first states [directions, N, hidden]; zeros where none are given."""
        assert self.backwards is not None
        if not self.call.has(place):
            return zeros((len(self.backwards), self.x.shape[1], self.size), device=self.x.device)
        found = self.call.tensor(place)
        return found.transpose(0, 1) if self.layout else found

    def results(self, rows: list[Tensor], *ends: list[Tensor]) -> tuple[Tensor, ...]:
        """Y [L, directions, N, hidden] and the last states, in the node's layout."""
        last = [stack(one, 0) for one in ends]
        whole = stack(rows, 1)
        if self.layout:
            return whole.permute(2, 0, 1, 3), *[one.transpose(0, 1) for one in last]
        return whole, *last


def _ordered(x: Tensor, size: int, order: tuple[int, ...]) -> Tensor:
    """Gates along the first axis in another order."""
    return cat([x.narrow(0, at * size, size) for at in order], 0)


@from_onnx("LSTM")
def _lstm_here(call: Call) -> tuple[Tensor, ...]:
    given = _Given(call, 4, ["sigmoid", "tanh", "tanh"])
    if call.has(7):
        raise call.refuse("peepholes")
    hidden, cell, size, order = given.state(5), given.state(6), given.size, (0, 2, 3, 1)
    rows, ends, cells = [], [], []
    for at, backwards in enumerate(given.backwards or []):
        bias = given.bias[at].reshape(2, -1).sum(0)
        weight, own = _ordered(given.weight[at], size, order), _ordered(given.own[at], size, order)
        gates = F.linear(given.x, weight, _ordered(bias, size, order))
        found = lstm_sequence(gates, own, hidden[at], cell[at], backwards)
        rows.append(found[:-1])
        ends.append(found[0] if backwards else found[-2])
        cells.append(found[-1])
    return given.results(rows, ends, cells)


def _unrolled(given: _Given, step: Callable[[Tensor, Tensor, int], Tensor], gates: list[Tensor]) -> tuple[Tensor, ...]:
    """Step by step, in each direction."""
    first, rows, ends = given.state(5), [], []
    for at, backwards in enumerate(given.backwards or []):
        state, found = first[at], []
        parts = gates[at].unbind(0)
        for part in reversed(parts) if backwards else parts:
            state = step(part, state, at)
            found.append(state)
        rows.append(stack(found[::-1] if backwards else found, 0))
        ends.append(state)
    return given.results(rows, ends)


@from_onnx("GRU")
def _gru(call: Call) -> tuple[Tensor, ...]:
    given = _Given(call, 3, ["sigmoid", "tanh"])
    size, is_before = given.size, call.attribute("linear_before_reset", 0)
    parts = [one.reshape(2, -1) for one in given.bias.unbind(0)]

    def step(gates: Tensor, state: Tensor, at: int) -> Tensor:
        own, bias = given.own[at], parts[at][1]
        both = F.linear(state, own[: 2 * size], bias[: 2 * size]) + gates[:, : 2 * size]
        update, reset = both.sigmoid().chunk(2, 1)
        if is_before:
            new = reset * F.linear(state, own[2 * size :], bias[2 * size :])
        else:
            new = F.linear(reset * state, own[2 * size :], bias[2 * size :])
        new = (gates[:, 2 * size :] + new).tanh()
        return new + update * (state - new)

    gates = [F.linear(given.x, given.weight[at], part[0]) for at, part in enumerate(parts)]
    return _unrolled(given, step, gates)


@from_onnx("RNN")
def _rnn(call: Call) -> tuple[Tensor, ...]:
    wanted = [str(one).lower() for one in call.attribute("activations") or ["tanh"]]
    if wanted[0] not in ("tanh", "relu"):
        raise call.refuse(f"activation {wanted[0]!r}")
    given = _Given(call, 1, wanted[:1])
    biases = [one.reshape(2, -1).sum(0) for one in given.bias.unbind(0)]

    def step(gates: Tensor, state: Tensor, at: int) -> Tensor:
        total = gates + F.linear(state, given.own[at])
        return total.tanh() if wanted[0] == "tanh" else total.relu()

    gates = [F.linear(given.x, given.weight[at], bias) for at, bias in enumerate(biases)]
    return _unrolled(given, step, gates)
