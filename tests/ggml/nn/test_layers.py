"""Every layer against PyTorch's: text, names of the state, results, in both modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ggml
from ggml import nn
from tests.ggml.arrays import tensor, to_ggml
from tests.ggml.both import randomise, twins
from tests.ggml.compare import assert_same

# The layer, and the shapes that it takes.
LAYERS: list[tuple[str, Any]] = [
    ("nn.Identity(54, unused=1)", [(2, 3)]),
    ("nn.Linear(4, 3)", [(4,), (2, 4), (2, 1, 3, 4), (0, 4)]),
    ("nn.Linear(4, 3, bias=False)", [(5, 4)]),
    ("nn.Linear(1, 1)", [(1,), (2, 1)]),
    ("nn.Bilinear(4, 4, 3)", [(4,), (2, 4), (2, 3, 4), (0, 4)]),
    ("nn.Bilinear(4, 4, 3, bias=False)", [(2, 4)]),
    ("nn.Flatten()", [(2, 3, 4), (2, 3)]),
    ("nn.Flatten(0, 1)", [(2, 3, 4)]),
    ("nn.Unflatten(1, (2, -1))", [(3, 4, 2)]),
    ("nn.LayerNorm(4)", [(4,), (2, 4), (2, 3, 4)]),
    ("nn.LayerNorm((3, 4), eps=1e-3)", [(3, 4), (2, 3, 4)]),
    ("nn.LayerNorm([4], elementwise_affine=False)", [(2, 4)]),
    ("nn.LayerNorm(4, bias=False)", [(2, 4)]),
    ("nn.RMSNorm(4)", [(2, 4), (2, 3, 4)]),
    ("nn.RMSNorm((3, 4), eps=1e-4, elementwise_affine=False)", [(2, 3, 4)]),
    ("nn.GroupNorm(2, 4)", [(2, 4, 3), (1, 4, 2, 2)]),
    ("nn.GroupNorm(4, 4, affine=False)", [(2, 4, 3)]),
    ("nn.GroupNorm(2, 4, bias=False)", [(2, 4, 3)]),
    ("nn.BatchNorm1d(3, bias=False)", [(2, 3, 4)]),
    ("nn.LocalResponseNorm(3, alpha=0.1, k=2.0)", [(2, 5, 3), (1, 1, 2, 2)]),
    ("nn.BatchNorm1d(3)", [(4, 3), (2, 3, 5)]),
    ("nn.BatchNorm1d(3, affine=False, momentum=None)", [(4, 3), (2, 3, 5)]),
    ("nn.BatchNorm1d(3, track_running_stats=False)", [(4, 3)]),
    ("nn.BatchNorm2d(3, eps=1e-3, momentum=0.7)", [(2, 3, 4, 2), (1, 3, 2, 2)]),
    ("nn.BatchNorm3d(2)", [(2, 2, 3, 1, 2)]),
    ("nn.InstanceNorm1d(3)", [(2, 3, 4), (3, 4)]),
    ("nn.InstanceNorm1d(3, affine=True, track_running_stats=True)", [(2, 3, 4)]),
    ("nn.InstanceNorm2d(3, affine=True)", [(2, 3, 4, 2), (3, 2, 2)]),
    ("nn.InstanceNorm2d(3, track_running_stats=True)", [(2, 3, 2, 2)]),
    ("nn.InstanceNorm3d(2, track_running_stats=True, affine=True)", [(2, 2, 3, 1, 2), (2, 2, 2, 2)]),
    ("nn.ReLU(inplace=True)", [(2, 3)]),
    ("nn.ReLU6()", [(2, 3)]),
    ("nn.GELU()", [(2, 3)]),
    ("nn.GELU('tanh')", [(2, 3)]),
    ("nn.SiLU()", [(2, 3)]),
    ("nn.Mish(inplace=True)", [(2, 3)]),
    ("nn.ELU(0.5)", [(2, 3)]),
    ("nn.SELU()", [(2, 3)]),
    ("nn.CELU(2.0, True)", [(2, 3)]),
    ("nn.LeakyReLU(0.2)", [(2, 3)]),
    ("nn.PReLU()", [(3,), (2, 3)]),
    ("nn.PReLU(3, init=0.1)", [(2, 3), (2, 3, 4)]),
    ("nn.Softplus(2, 3)", [(2, 3)]),
    ("nn.Softsign()", [(2, 3)]),
    ("nn.Tanh()", [(2, 3), ()]),
    ("nn.Tanhshrink()", [(2, 3)]),
    ("nn.Sigmoid()", [(2, 3)]),
    ("nn.LogSigmoid()", [(2, 3)]),
    ("nn.Hardtanh(-2, 2)", [(2, 3)]),
    ("nn.Hardsigmoid()", [(2, 3)]),
    ("nn.Hardswish()", [(2, 3)]),
    ("nn.Hardshrink()", [(2, 3)]),
    ("nn.Softshrink(0.7)", [(2, 3)]),
    ("nn.Threshold(0.1, 20)", [(2, 3)]),
    ("nn.GLU(0)", [(2, 3)]),
    ("nn.Softmax(dim=1)", [(2, 3)]),
    ("nn.Softmax()", [(3,), (2, 3), (2, 3, 4)]),
    ("nn.Softmin(dim=0)", [(2, 3)]),
    ("nn.LogSoftmax(-1)", [(2, 3)]),
    ("nn.Softmax2d()", [(2, 3, 4, 1), (3, 2, 2)]),
]


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("text,shapes", LAYERS, ids=[text for text, _ in LAYERS])
def test_layer_equals_torch(text: str, shapes: list[tuple[int, ...]]) -> None:
    theirs, ours = twins(text)
    randomise(theirs)
    assert repr(ours.load_state_dict(theirs.state_dict())) == "<All keys matched successfully>"
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    generator = torch.Generator().manual_seed(1)
    for mode in (True, True, False):
        theirs.train(mode)
        ours.train(mode)
        for shape in shapes:
            given = [torch.randn(shape, generator=generator) * 2 for _ in range(2 if "Bilinear" in text else 1)]
            mine = to_ggml([one.clone() for one in given])
            with torch.no_grad():
                expected = theirs(*given)
            assert_same(ours(*mine), expected)
            assert_same(mine, given)  # with inplace=True the result
        for name, value in theirs.state_dict().items():  # running statistics
            assert_same(ours.state_dict()[name], value)


# The layer, and the shape around the extents that are drawn.
DRAWN = {
    "nn.Linear(3, 2)": lambda outer, inner: (*outer, 3),
    "nn.LayerNorm((2, 3))": lambda outer, inner: (*outer, 2, 3),
    "nn.RMSNorm(4, eps=1e-5)": lambda outer, inner: (*outer, 4),
    "nn.GroupNorm(2, 4)": lambda outer, inner: (len(outer) + 1, 4, *inner),
    "nn.BatchNorm1d(3)": lambda outer, inner: (len(outer) + 2, 3, *inner[:1]),
    "nn.BatchNorm2d(1)": lambda outer, inner: (2, 1, *(*inner, 2, 1)[:2]),
    "nn.PReLU(3)": lambda outer, inner: (len(outer), 3, *inner),
    "nn.Sequential(nn.Flatten(), nn.LeakyReLU(), nn.Softmax(1))": lambda outer, inner: (2, *inner, 3),
    "nn.Sequential(nn.Hardshrink(), nn.Softplus(), nn.ELU(), nn.Threshold(0.2, 1.0))": lambda outer, inner: outer,
}


@pytest.mark.parametrize("text", DRAWN)
@settings(max_examples=12, derandomize=True)
@given(data=st.data())
def test_drawn_inputs(text: str, data: st.DataObject) -> None:
    """Without elements, with extents of 1, strided, repeated; outside of norms with NaN and infinities, too."""
    outer = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    inner = tuple(data.draw(st.lists(st.integers(1, 3), max_size=3)))
    theirs, ours = twins(text)
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    theirs.train("Batch" not in text or data.draw(st.booleans()))
    ours.train(theirs.training)
    x = tensor(data.draw, DRAWN[text](outer, inner), specials="Norm" not in text and "Linear" not in text)
    with torch.no_grad():
        expected = theirs(x)
    assert_same(ours(to_ggml(x)), expected, 5e-5)
    for name, value in theirs.state_dict().items():
        assert_same(ours.state_dict()[name], value, 5e-5)


@pytest.mark.parametrize(
    "text,shape",
    [
        ("nn.BatchNorm1d(3)", (3,)),
        ("nn.BatchNorm2d(3)", (2, 3, 4)),
        ("nn.BatchNorm1d(3)", (1, 3)),
        ("nn.BatchNorm1d(3)", (2, 4)),
        ("nn.InstanceNorm1d(3)", (2, 3, 1)),
        ("nn.InstanceNorm1d(3, affine=True)", (2, 4, 5)),
        ("nn.GroupNorm(2, 4)", (2, 6, 3)),
        ("nn.LayerNorm(4)", (4, 3)),
        ("nn.Linear(4, 3)", (3, 3)),
        ("nn.Softmax2d()", (2, 3)),
        ("nn.GLU()", (2, 3)),
        ("nn.PReLU(3)", (2, 4)),
        ("nn.Unflatten(1, (3, 2))", (2, 5)),
        ("nn.Dropout1d()", (2,)),
        ("nn.LocalResponseNorm(2)", (2, 3)),
    ],
)
def test_what_torch_refuses_is_refused(text: str, shape: tuple[int, ...]) -> None:
    theirs, ours = twins(text)
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        theirs(torch.zeros(shape))
    with pytest.raises(ggml.GgmlError):
        ours(ggml.zeros(shape))


@pytest.mark.parametrize(
    "text",
    [
        "nn.Dropout(1.5)", "nn.Dropout(-0.1)", "nn.GroupNorm(3, 4)", "nn.Embedding(3, 2, padding_idx=3)",
        "nn.Hardtanh(1, 1)", "nn.Unflatten(1, 2)", "nn.LSTM(2, 3, proj_size=3)", "nn.RNN(2, 3, nonlinearity='sin')",
        "nn.GRU(2, 0)", "nn.GRU(2, 3, dropout=2)",
        "nn.Linear(-1, 2)", "nn.Linear(2.5, 2)", "nn.Linear('a', 2)", "nn.LayerNorm('a')", "nn.LayerNorm(2.5)",
        "nn.LayerNorm(-3)", "nn.GroupNorm('a', 4)", "nn.Dropout('a')", "nn.Embedding('a', 2)", "nn.LSTM(2.5, 3)",
        "nn.LSTM(2, 3, num_layers='a')", "nn.BatchNorm1d('a')", "nn.PReLU('a')", "nn.Bilinear(2, 3, -1)",
        "nn.LSTMCell(2, -3)", "nn.Embedding(3, -2)", "nn.RMSNorm((2, -1))",
    ],
)  # fmt: skip
def test_arguments_that_torch_refuses_are_refused(text: str) -> None:
    with pytest.raises((RuntimeError, ValueError, AssertionError, TypeError)):
        eval(text, {"nn": torch.nn})
    with pytest.raises(ggml.GgmlError):
        eval(text, {"nn": nn})


@settings(max_examples=40, derandomize=True)
@given(data=st.data())
def test_embedding(data: st.DataObject) -> None:
    rows, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    padding = data.draw(st.one_of(st.none(), st.integers(-rows, rows - 1)))
    theirs, ours = twins(f"nn.Embedding({rows}, {width}, padding_idx={padding})")
    assert repr(ours) == repr(theirs)
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
    places = torch.randint(0, rows, shape, dtype=data.draw(st.sampled_from([torch.int64, torch.int32])))
    with torch.no_grad():
        assert_same(ours(to_ggml(places)), theirs(places))
    fresh = nn.Embedding(rows, width, padding_idx=padding)
    if padding is not None:
        assert not fresh.weight.numpy()[padding].any()
    with pytest.raises(ggml.IndexOutOfRangeError):
        ours(ggml.tensor([rows])).tolist()


def test_embedding_from_pretrained() -> None:
    weight = ggml.randn(4, 32)
    found = nn.Embedding.from_pretrained(weight, padding_idx=1)
    assert not found.weight.requires_grad and found.padding_idx == 1
    assert found(ggml.tensor([2])).tolist() == weight[2:3].tolist()
    with pytest.raises(ggml.ShapeMismatchError):
        nn.Embedding.from_pretrained(ggml.zeros(3))
    with pytest.raises(ggml.ShapeMismatchError):
        nn.Embedding(3, 2, _weight=ggml.zeros(2, 3))
    layer = nn.Embedding(3, 2, max_norm=1.0, _weight=ggml.tensor([[3.0, 4.0], [6.0, 8.0], [0.0, 0.5]]))
    found = layer(ggml.tensor([0, 2])).tolist()
    assert found == [pytest.approx([0.6, 0.8], rel=1e-5), [0.0, 0.5]]
    assert layer.weight.tolist() == [found[0], [6.0, 8.0], found[1]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "text,shape",
    [("nn.Linear(8, 4)", (3, 8)), ("nn.LayerNorm(8)", (3, 8)), ("nn.BatchNorm1d(4)", (6, 4)),
     ("nn.GroupNorm(2, 4)", (2, 4, 5)), ("nn.GELU()", (3, 4)), ("nn.InstanceNorm1d(4, affine=True)", (2, 4, 6))],
)  # fmt: skip
def test_half_precision(text: str, shape: tuple[int, ...], dtype: str) -> None:
    theirs, ours = twins(text)
    theirs, ours = theirs.to(getattr(torch, dtype)), ours.to(getattr(ggml, dtype))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3)).to(getattr(torch, dtype))
    with torch.no_grad():
        expected = theirs(x)
    assert_same(ours(to_ggml(x)), expected, 2e-2 if dtype == "bfloat16" else 4e-3)
    assert [value.dtype.name for value in ours.state_dict().values()] == [
        str(value.dtype).removeprefix("torch.") for value in theirs.state_dict().values()
    ]


def test_quantised_weight_in_a_linear_layer() -> None:
    blocks = np.random.default_rng(0).integers(0, 60, (4, 2, 34), dtype=np.uint8)
    blocks[:, :, 1] = 0x20  # the scale of a block, a small float16
    weight = ggml.from_buffer(blocks.tobytes(), dtype=ggml.q8_0, shape=(4, 64))
    layer = nn.Linear(64, 4, bias=False)
    layer.weight = nn.Parameter(weight)
    assert not layer.weight.requires_grad
    ggml.manual_seed(0)
    x = ggml.randn(3, 64)
    plain = nn.functional.linear(x, weight.float())
    np.testing.assert_allclose(layer(x).numpy(), plain.numpy(), rtol=2e-2, atol=2e-2)
    with pytest.raises(ggml.DTypeError):
        layer.weight.requires_grad_()


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d"])
def test_dropout(name: str) -> None:
    layer = getattr(nn, name)(p=0.25)
    x = ggml.ones(40, 30, 3, 3) if name == "Dropout3d" else ggml.ones(*(40, 30, 9), *[1] * (name == "Dropout2d"))
    ggml.manual_seed(5)
    found = layer(x).numpy()
    assert set(np.unique(found)) <= {np.float32(0), np.float32(1 / 0.75)}
    channels = found.reshape(40, 30, -1)
    if name != "Dropout":
        whole = channels if name != "Dropout3d" else channels.reshape(40, -1)
        assert (whole == whole[..., :1]).all()
    share = 1.0 if name == "Dropout3d" else (channels != 0).mean()
    assert abs(share - 0.75) < 0.05 or name == "Dropout3d"
    ggml.manual_seed(5)
    assert (layer(x).numpy() == found).all()
    assert layer.eval()(x) is x


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = ggml.randn(200, 500, generator=ggml.Generator().manual_seed(2))
    ggml.manual_seed(1)
    found = nn.AlphaDropout(0.3)(x).numpy()
    assert abs(found.mean()) < 0.02 and abs(found.std() - 1) < 0.02
    with pytest.raises(ggml.TracingError):
        ggml.compile(nn.Dropout(0.5))(x)
    whole = nn.FeatureAlphaDropout(0.5)(ggml.zeros(20, 30, 4)).numpy()
    assert (whole == whole[:, :, :1]).all() and len(np.unique(whole)) == 2


def test_rrelu_draws_slopes_while_training() -> None:
    x = ggml.full((1000,), -1.0)
    found = -nn.RReLU(0.2, 0.4)(x).numpy()
    assert found.min() >= 0.2 and found.max() <= 0.4 and found.std() > 0.03
    assert np.allclose(nn.RReLU(0.2, 0.4).eval()(x).numpy(), -0.3)
