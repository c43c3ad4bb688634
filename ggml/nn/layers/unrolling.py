"""A recurrent layer over all steps of a sequence."""

from __future__ import annotations

from ggml.core import tracing
from ggml.graph import executor
from ggml.nn.layers.steps import State, Step, Weights, has_sequence, lstm_step, lstm_steps, project
from ggml.ops.shape.concatenation import cat
from ggml.tensors.tensor import Tensor

# A longer sequence is computed in pieces of so many steps. Each piece is one graph, and equal pieces reuse it.
PIECE = 64

_FEW = 8


def _settle(tensors: list[Tensor]) -> None:
    executor.compute([one._node for one in tensors])


def run(
    step: Step, input: Tensor, state: State, weights: Weights, with_b_hh: bool, backwards: bool
) -> tuple[Tensor, State]:
    """[L, N, in] becomes [L, N, out] and the last state. Up to ``PIECE`` steps nothing is computed here."""
    gates = project(input, weights, with_b_hh)
    if input.shape[0] <= PIECE or tracing.is_active():
        return _piece(step, gates, state, weights, backwards)
    pieces = list(gates.split(PIECE, 0))
    _settle(pieces)
    done: list[Tensor] = []
    for piece in reversed(pieces) if backwards else pieces:
        output, state = _piece(step, piece, state, weights, backwards)
        _settle([output, *state])
        done = [output, *done] if backwards else [*done, output]
    return _joined(done), state


def _piece(step: Step, gates: Tensor, state: State, weights: Weights, backwards: bool) -> tuple[Tensor, State]:
    """The outputs in the order of the input, and the state after the last step that was taken."""
    if step is lstm_step and has_sequence(gates, state, weights):
        return lstm_steps(gates, state, weights, backwards)
    rows = list(gates.unbind(0))
    outputs: list[Tensor] = []
    for row in reversed(rows) if backwards else rows:
        state = step(row, state, weights)
        outputs.append(state[0])
    parts = [output.unsqueeze(0) for output in outputs]
    return _joined(parts[::-1] if backwards else parts), state


def _joined(parts: list[Tensor]) -> Tensor:
    """Along the first axis. Few at a time: a long row of joins would copy the first ones again and again."""
    while len(parts) > 1:
        parts = [cat(parts[at : at + _FEW], 0) for at in range(0, len(parts), _FEW)]
    return parts[0]
