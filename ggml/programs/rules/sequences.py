"""Embeddings, bags of them, and recurrent layers with ATen's lists of weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ggml.core.errors import ArgumentError
from ggml.nn.layers import unrolling
from ggml.nn.layers.steps import State, Step, Weights, gru_step, lstm_step, rnn_step
from ggml.ops.create.factories import zeros
from ggml.ops.namespace import TABLE
from ggml.ops.shape.concatenation import cat, stack
from ggml.programs.rules.table import lowering, same_as
from ggml.registry.arguments import tensor
from ggml.tensors.tensor import Tensor

same_as("torch_embedding", "aten.embedding.default")
same_as("one_hot", "aten.one_hot.default")

_BAG_MODES = ("sum", "mean", "max")


@lowering(
    "aten.embedding_bag.padding_idx", "aten._embedding_bag.default", "aten._embedding_bag_forward_only.default",
    "aten.embedding_bag.default",
)  # fmt: skip
def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Only the first result is of use without gradients."""
    if mode not in range(3):
        raise ArgumentError("embedding_bag", "mode", f"must be 0, 1 or 2, not {mode}")
    row = TABLE["embedding_bag"].function
    rows: Tensor = row(
        indices, weight, offsets, mode=_BAG_MODES[mode], per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset, padding_idx=None if padding_idx in (None, -1) else padding_idx,
    )  # fmt: skip
    return rows, zeros(0), zeros(0), zeros(0)


def _weights(
    name: str, params: Sequence[Tensor], has_biases: bool, count: int, is_projected: bool
) -> Iterator[Weights]:
    """The weights of each layer and direction, as ATen lists them."""
    each = 2 + 2 * has_biases + is_projected
    if len(params) != each * count:
        raise ArgumentError(name, "params", f"must be {each * count} tensors, not {len(params)}")
    for at in range(0, len(params), each):
        part = list(params[at : at + each])
        projection = part.pop() if is_projected else None
        b_ih, b_hh = (part[2], part[3]) if has_biases else (None, None)
        yield Weights(part[0], part[1], b_ih, b_hh, projection)


def _recurrent(
    name: str,
    step: Step,
    adds_b_hh: bool,
    input: Tensor,
    states: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """[L, N, in] becomes [L, N, directions * out], and the last states [layers * directions, N, out]."""
    x = tensor(name, input)
    if x.ndim == 2:
        inner = [one.unsqueeze(1) for one in states]
        output, *ends = _recurrent(
            name, step, adds_b_hh, x.unsqueeze(1), inner, params, has_biases, num_layers, bidirectional, False
        )
        return (output.squeeze(1), *[end.squeeze(1) for end in ends])
    x = x.transpose(0, 1) if batch_first else x
    directions = 2 if bidirectional else 1
    is_projected = len(states) == 2 and states[0].shape[-1] != states[1].shape[-1]
    weights = _weights(name, params, has_biases, num_layers * directions, is_projected)
    last: list[State] = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            state = tuple([one[layer * directions + direction] for one in states])
            output, state = unrolling.run(step, x, state, next(weights), adds_b_hh, direction == 1)
            outputs.append(output)
            last.append(state)
        x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
    ends = [stack(list(parts), 0) for parts in zip(*last, strict=True)]
    return (x.transpose(0, 1) if batch_first else x, *ends)


def _refuse_training(name: str, train: bool) -> None:
    if train:
        raise ArgumentError(name, "train", "must be False: export the model after model.eval()")


@lowering("aten.lstm.input")
def lstm(
    input: Tensor,
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    _refuse_training("lstm", train)
    return _recurrent("lstm", lstm_step, True, input, hx, params, has_biases, num_layers, bidirectional, batch_first)


def _with_one_state(name: str, step: Step, adds_b_hh: bool) -> None:
    @lowering(f"aten.{name}.input")
    def rule(
        input: Tensor,
        hx: Tensor,
        params: Sequence[Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Tensor, ...]:
        _refuse_training(name, train)
        return _recurrent(
            name, step, adds_b_hh, input, [hx], params, has_biases, num_layers, bidirectional, batch_first
        )


_with_one_state("gru", gru_step, False)
_with_one_state("rnn_tanh", rnn_step("tanh"), True)
_with_one_state("rnn_relu", rnn_step("relu"), True)
