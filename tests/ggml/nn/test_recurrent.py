"""Recurrent layers and cells against PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ggml
from ggml import nn
from ggml.nn.layers import unrolling
from tests.ggml.arrays import tensor, to_ggml
from tests.ggml.both import randomise, twins
from tests.ggml.compare import assert_same


def _layer(data: st.DataObject, kind: str) -> tuple[str, dict[str, Any]]:
    options = {
        "num_layers": data.draw(st.integers(1, 3)),
        "bias": data.draw(st.booleans()),
        "batch_first": data.draw(st.booleans()),
        "bidirectional": data.draw(st.booleans()),
    }
    if kind == "LSTM":
        options["proj_size"] = data.draw(st.sampled_from([0, 2]))
    if kind == "RNN":
        options["nonlinearity"] = data.draw(st.sampled_from(["tanh", "relu"]))
    shown = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"nn.{kind}(3, 4, {shown})", options


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@settings(max_examples=15, derandomize=True)
@given(data=st.data())
def test_layer_equals_torch(kind: str, data: st.DataObject) -> None:
    text, options = _layer(data, kind)
    theirs, ours = twins(text)
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    length, batch = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    is_batched = data.draw(st.booleans())
    shape = (length, 3) if not is_batched else (batch, length, 3) if options["batch_first"] else (length, batch, 3)
    x = tensor(data.draw, shape)
    count = options["num_layers"] * (1 + options["bidirectional"])
    sizes = [options.get("proj_size") or 4, 4][: 2 if kind == "LSTM" else 1]
    states = [tensor(data.draw, (count, batch, size) if is_batched else (count, size)) for size in sizes]
    args = [x] if data.draw(st.booleans()) else [x, tuple(states) if kind == "LSTM" else states[0]]
    with torch.no_grad():
        expected = theirs(*args)
    assert_same(ours(*to_ggml(args)), expected)


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
@settings(max_examples=12, derandomize=True)
@given(data=st.data())
def test_cell_equals_torch(kind: str, data: st.DataObject) -> None:
    bias = data.draw(st.booleans())
    extra = ", nonlinearity='relu'" if kind == "RNNCell" and data.draw(st.booleans()) else ""
    theirs, ours = twins(f"nn.{kind}(3, 4, bias={bias}{extra})")
    assert repr(ours) == repr(theirs)
    outer = data.draw(st.sampled_from([(), (1,), (2,)]))
    states = tuple(tensor(data.draw, (*outer, 4)) for _ in range(2 if kind == "LSTMCell" else 1))
    args = [tensor(data.draw, (*outer, 3))]
    if data.draw(st.booleans()):
        args.append(states if kind == "LSTMCell" else states[0])
    with torch.no_grad():
        expected = theirs(*args)
    assert_same(ours(*to_ggml(args)), expected)


@pytest.mark.parametrize("text", ["nn.LSTM(3, 4, bidirectional=True)", "nn.GRU(3, 4, num_layers=2)"])
def test_a_long_sequence_is_computed_in_pieces(text: str) -> None:
    theirs, ours = twins(text)
    x = torch.randn(2 * unrolling.PIECE + 5, 2, 3)
    with torch.no_grad():
        expected = theirs(x)
    found = ours(to_ggml(x))
    assert_same(found, expected)
    assert_same(ggml.compile(ours)(to_ggml(x[:9])), [*_first(theirs, x[:9])])


def _first(module: Any, x: Any) -> Any:
    with torch.no_grad():
        return module(x)


def test_a_short_sequence_stays_lazy() -> None:
    output, (hidden, cell) = nn.LSTM(3, 4)(ggml.ones(5, 2, 3))
    assert ggml.is_lazy(output) and ggml.is_lazy(hidden) and ggml.is_lazy(cell)


def test_dropout_between_layers_only_while_training() -> None:
    layer = nn.GRU(3, 8, num_layers=2, dropout=0.5)
    x = ggml.randn(4, 2, 3)
    assert not np.array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    layer.eval()
    assert np.array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())


def test_half_precision() -> None:
    theirs, ours = twins("nn.LSTM(3, 4)")
    theirs, ours = theirs.to(torch.bfloat16), ours.to(ggml.bfloat16)
    x = torch.randn(3, 2, 3).to(torch.bfloat16)
    assert_same(ours(to_ggml(x)), _first(theirs, x), 4e-2)


@pytest.mark.parametrize(
    "shape,state",
    [((4, 2, 5), None), ((0, 2, 3), None), ((3,), None), ((4, 2, 3), (1, 3, 4)), ((4, 3), (1, 2, 4)),
     ((4, 2, 3), (2, 2, 4)), ((1, 4, 2, 3), None)],
)  # fmt: skip
def test_what_torch_refuses_is_refused(shape: tuple[int, ...], state: tuple[int, ...] | None) -> None:
    theirs, ours = twins("nn.GRU(3, 4)")
    args = [torch.zeros(shape)] + ([] if state is None else [torch.zeros(state)])
    with pytest.raises((RuntimeError, ValueError)):
        theirs(*args)
    with pytest.raises(ggml.ShapeMismatchError):
        ours(*to_ggml(args))


def test_packed_sequences_are_refused() -> None:
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(3, 3)])
    with pytest.raises(ggml.DTypeError, match="packed"):
        nn.LSTM(3, 4)(packed)
    with pytest.raises(ggml.DTypeError, match="pair"):
        nn.LSTM(3, 4)(ggml.zeros(2, 1, 3), ggml.zeros(1, 1, 4))
    with pytest.raises(ggml.DTypeError, match="pair"):
        nn.LSTMCell(3, 4)(ggml.zeros(1, 3), ggml.zeros(1, 4))
    with pytest.raises(ggml.ShapeMismatchError):
        nn.LSTMCell(3, 4)(ggml.zeros(1, 2))
