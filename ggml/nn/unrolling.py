"""A recurrent layer over all steps of a sequence."""

from __future__ import annotations

from ggml import evaluate, tracing
from ggml.nn.steps import State, Step, Weights, project
from ggml.ops.shape import stack
from ggml.tensor import Tensor

# A longer sequence is computed in pieces of so many steps. Each piece is one graph, and equal pieces reuse it.
PIECE = 64


def _settle(tensors: list[Tensor]) -> None:
    evaluate.compute([one._node for one in tensors])


def run(
    step: Step, input: Tensor, state: State, weights: Weights, with_b_hh: bool, backwards: bool
) -> tuple[Tensor, State]:
    """[L, N, in] becomes [L, N, out] and the last state. Up to ``PIECE`` steps nothing is computed here."""
    gates = project(input, weights, with_b_hh)
    if input.shape[0] <= PIECE or tracing.is_active():
        outputs, state = _piece(step, gates, state, weights, backwards)
        return stack(outputs, 0), state
    pieces = list(gates.split(PIECE, 0))
    _settle(pieces)
    done: list[Tensor] = []
    for piece in reversed(pieces) if backwards else pieces:
        outputs, state = _piece(step, piece, state, weights, backwards)
        _settle([*outputs, *state])
        done = outputs + done if backwards else done + outputs
    return stack(done, 0), state


def _piece(step: Step, gates: Tensor, state: State, weights: Weights, backwards: bool) -> tuple[list[Tensor], State]:
    """The outputs in the order of the input, and the state after the last step that was taken."""
    rows = list(gates.unbind(0))
    outputs: list[Tensor] = []
    for row in reversed(rows) if backwards else rows:
        state = step(row, state, weights)
        outputs.append(state[0])
    return outputs[::-1] if backwards else outputs, state
