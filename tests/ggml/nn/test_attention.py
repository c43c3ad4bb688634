"""Attention layers against PyTorch's with the same state, and decoding with a cache against the whole at once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ggml
from ggml.nn.attention import SDPBackend, sdpa_kernel
from tests.ggml.arrays import Draw, to_ggml, torch
from tests.ggml.compare import assert_same

nn, F = ggml.nn, ggml.nn.functional
FEW = settings(max_examples=30, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(autouse=True)
def plain_pytorch() -> Iterator[None]:
    """PyTorch's fast path has rules of its own for masks."""
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(True)


def twins(name: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """PyTorch's module and ours with its state."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = getattr(torch.nn, name)(*args, **kwargs).eval()
    for param in theirs.parameters():  # biases are 0 at first
        torch.nn.init.normal_(param, std=0.3)
    ours = getattr(nn, name)(*args, **kwargs).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def run(module: Any, *args: Any, **kwargs: Any) -> Any:
    with torch.no_grad():
        return module(*args, **kwargs)


def mask_of(draw: Draw, shape: tuple[int, ...], is_bool: bool) -> Any:
    """Hides some keys, but never the first."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    hidden = torch.from_numpy(rng.random(shape) < 0.4)
    hidden[..., 0] = False
    return hidden if is_bool else torch.randn(shape).masked_fill(hidden, -math.inf)


@FEW
@given(data=st.data())
def test_multihead_attention(data: st.DataObject) -> None:
    draw = data.draw
    heads, batch, length, keys = (draw(st.integers(1, 3)) for _ in range(4))
    width = heads * draw(st.integers(1, 4))
    options = {name: draw(st.booleans()) for name in ("bias", "add_bias_kv", "add_zero_attn", "batch_first")}
    dims = {"kdim": 5, "vdim": 3} if draw(st.booleans()) else {}
    theirs, ours = twins("MultiheadAttention", width, heads, **options, **dims)
    is_batched, is_self = draw(st.booleans()), not dims and draw(st.booleans())
    keys = length if is_self else keys
    batch = batch if is_batched else 1

    def tokens(count: int, size: int) -> Any:
        if not is_batched:
            return torch.randn(count, size)
        return torch.randn(*((batch, count) if options["batch_first"] else (count, batch)), size)

    query = tokens(length, width)
    inputs = (
        [query] * 3
        if is_self
        else [query, tokens(keys, dims.get("kdim", width)), tokens(keys, dims.get("vdim", width))]
    )
    kwargs: dict[str, Any] = {"need_weights": draw(st.booleans()), "average_attn_weights": draw(st.booleans())}
    is_bool = draw(st.booleans())
    if draw(st.booleans()):
        kwargs["key_padding_mask"] = mask_of(draw, (batch, keys) if is_batched else (keys,), is_bool)
    if draw(st.booleans()):
        shape = (length, keys) if draw(st.booleans()) else (batch * heads, length, keys)
        kwargs["attn_mask"] = mask_of(draw, shape, is_bool)
        kwargs["is_causal"] = is_self and draw(st.booleans())
    given_inputs = to_ggml(inputs)
    given_inputs = [given_inputs[0]] * 3 if is_self else given_inputs
    expected, found = run(theirs, *inputs, **kwargs), ours(*given_inputs, **to_ggml(kwargs))
    assert_same(found[0], expected[0], 2e-5)
    assert (found[1] is None) == (expected[1] is None)
    if expected[1] is not None:
        assert_same(found[1], expected[1], 2e-5)


def test_multihead_attention_refuses() -> None:
    heads, x = nn.MultiheadAttention(4, 2), ggml.ones(3, 2, 4)
    for arguments, kwargs in (
        ((x, x[:2], x), {}),
        ((x, x, x[..., :2]), {}),
        ((x, x[:, :1], x[:, :1]), {}),
        ((x, x[0], x[0]), {}),
        ((x, x, None), {}),
        ((x, x, x), {"is_causal": True}),
        ((x, x, x), {"attn_mask": ggml.zeros(2, 2)}),
        ((x, x, x), {"attn_mask": ggml.zeros(3, 3, dtype=ggml.int64)}),
        ((x, x, x), {"key_padding_mask": ggml.zeros(3, 2)}),
    ):
        with pytest.raises(ggml.GgmlError):
            heads(*arguments, **kwargs)
    for sizes in ((5, 2), (0, 1), (4, 0)):
        with pytest.raises(ggml.ArgumentError):
            nn.MultiheadAttention(*sizes)


@FEW
@given(data=st.data())
def test_transformer_layers(data: st.DataObject) -> None:
    draw = data.draw
    options: dict[str, Any] = {name: draw(st.booleans()) for name in ("batch_first", "norm_first", "bias")}
    options["activation"] = draw(st.sampled_from(("relu", "gelu")))
    batch, length, source = (draw(st.integers(1, 3)) for _ in range(3))

    def tokens(count: int) -> Any:
        return torch.randn(*((batch, count) if options["batch_first"] else (count, batch)), 6)

    tgt, memory = tokens(length), tokens(source)
    causal = torch.nn.Transformer.generate_square_subsequent_mask(length)
    assert_same(nn.Transformer.generate_square_subsequent_mask(length), causal)
    padding = mask_of(draw, (batch, length), False)
    with_mask = draw(st.sampled_from(({}, {"mask": causal}, {"mask": causal, "is_causal": True}, {"padding": padding})))
    name = draw(st.sampled_from(("TransformerEncoderLayer", "TransformerDecoderLayer")))
    theirs, ours = twins(name, 6, 2, 9, 0.1, **options)
    prefix = "src" if "Encoder" in name else "tgt"
    names = {"mask": f"{prefix}_mask", "padding": f"{prefix}_key_padding_mask",
             "is_causal": "is_causal" if prefix == "src" else "tgt_is_causal"}  # fmt: skip
    kwargs = {names[key]: value for key, value in with_mask.items()}
    inputs = [tgt] if prefix == "src" else [tgt, memory]
    assert_same(ours(*to_ggml(inputs), **to_ggml(kwargs)), run(theirs, *inputs, **kwargs), 2e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer(norm_first: bool) -> None:
    theirs, ours = twins("Transformer", 8, 2, 2, 2, 12, 0.1, batch_first=True, norm_first=norm_first)
    src, tgt = torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    causal = torch.nn.Transformer.generate_square_subsequent_mask(4)
    kwargs = {"tgt_mask": causal, "src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = run(theirs, src, tgt, **kwargs)
    found = ours(*to_ggml([src, tgt]), **to_ggml(kwargs))
    assert_same(found, expected, 2e-5)
    compiled = ggml.compile(ours)
    assert_same(compiled(*to_ggml([src, tgt]), **to_ggml(kwargs)), expected, 2e-5)
    with pytest.raises(ggml.ShapeMismatchError):
        ours(ggml.ones(2, 5, 8), ggml.ones(3, 4, 8))
    with pytest.raises(ggml.ArgumentError):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")


@pytest.mark.parametrize("activation", ["swiglu", "geglu", "reglu", "gelu", "relu", "silu"])
def test_feed_forward(activation: str) -> None:
    layer, x = nn.FeedForward(6, 10, activation, bias=True), torch.randn(3, 6)
    state = {name: torch.from_numpy(value.numpy()) for name, value in layer.state_dict().items()}

    def linear(name: str, rows: Any) -> Any:
        return rows @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    functions = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}
    function = getattr(torch.nn.functional, functions.get(activation, activation))
    up = linear("up_proj", x)
    hidden = function(linear("gate_proj", x)) * up if activation in functions else function(up)
    assert_same(layer(to_ggml(x)), linear("down_proj", hidden), 2e-5)
    with pytest.raises(ggml.ArgumentError):
        nn.FeedForward(6, 10, "softmax")


class Decoder(nn.Module):
    """Two layers as in a small language model, with a cache for each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.ModuleList([nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(2)])
        self.feed = nn.ModuleList([nn.FeedForward(width, 2 * width) for _ in range(2)])
        self.norm = nn.RMSNorm(width)
        self.rotary = nn.RotaryEmbedding(width)
        self.calls = 0

    def forward(self, x: ggml.Tensor, caches: tuple[Any, ...], position: ggml.Tensor | None, mask: Any) -> Any:
        self.calls += 1
        for attention, feed, cache in zip(self.attention, self.feed, caches, strict=True):
            rows = self.norm(x if position is None else self.rotary(x, position))
            kwargs = {} if cache is None else {"kv_cache": cache, "cache_position": position}
            x = x + attention(rows, rows, rows, need_weights=False, attn_mask=mask, **kwargs)[0]
            x = x + feed(self.norm(x))
        return x


@pytest.mark.parametrize("dtype", [ggml.float32, ggml.float16, ggml.bfloat16])
def test_decoding_with_a_cache(dtype: Any) -> None:
    model, length = Decoder(8, 2).eval(), 9
    x, places = ggml.randn(3, length, 8), ggml.arange(length)
    hidden = ggml.ones(length, length).triu(1).bool()
    whole = model(x, (None, None), places, hidden).numpy()
    caches = tuple(nn.KVCache(3, 2, 16, 4, dtype=dtype) for _ in range(2))
    tolerance = {"float32": 2e-5, "float16": 5e-3, "bfloat16": 4e-2}[dtype.name]
    step, model.calls = ggml.compile(lambda x, at: model(x, caches, at, None)), 0
    parts = [step(x[:, :4], places[:4]).numpy()]  # a prompt, then one token at a time
    parts += [step(x[:, at : at + 1], ggml.tensor([at])).numpy() for at in range(4, length)]
    assert model.calls == 2  # once for the prompt's shape, once for a token's
    assert step.num_recordings == 2
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=tolerance * np.abs(whole).max())


def test_a_cache_without_compilation() -> None:
    heads = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = ggml.randn(2, 6, 8)
    whole = heads(x, x, x, need_weights=False, attn_mask=ggml.ones(6, 6).triu(1).bool())[0].numpy()
    cache = nn.KVCache(2, 2, 6, 4)
    outputs = []
    for at in range(6):
        row = x[:, at : at + 1]
        outputs.append(heads(row, row, row, need_weights=at % 2 == 0, kv_cache=cache)[0])
        assert cache.length == at + 1
    # Computed at last, in another order than written: each still sees its own past only.
    found = np.concatenate([one.numpy() for one in reversed(outputs)][::-1], 1)
    np.testing.assert_allclose(found, whole, atol=2e-5)
    with pytest.raises(ggml.IndexOutOfRangeError):
        heads(x[:, :1], x[:, :1], x[:, :1], kv_cache=cache)
    cache.reset()
    row = x[:, :1]
    np.testing.assert_allclose(heads(row, row, row, kv_cache=cache)[0].numpy(), whole[:, :1], atol=2e-5)


def test_masks_beside_a_cache() -> None:
    heads = nn.MultiheadAttention(4, 1, batch_first=True).eval()
    x = ggml.randn(2, 3, 4)
    padding = ggml.tensor([[True, False, False], [False, False, False]])
    causal = ggml.ones(3, 3).triu(1).bool()
    expected = heads(x, x, x, key_padding_mask=padding, attn_mask=causal)[0].numpy()
    wide = ggml.cat([padding, ggml.zeros(2, 2).bool()], 1)
    for mask in (wide, ggml.where(wide, -math.inf, 0.0)):
        found = heads(x, x, x, key_padding_mask=mask, kv_cache=nn.KVCache(2, 1, 5, 4))[0].numpy()
        np.testing.assert_allclose(found[:, 1:], expected[:, 1:], atol=2e-5)


def test_a_cache_refuses() -> None:
    cache, rows = nn.KVCache(1, 2, 4, 3), ggml.ones(1, 2, 1, 3)
    wide = ggml.ones(1, 2, 5, 3)
    for key, value, position, error in (
        (rows, ggml.ones(1, 2, 2, 3), None, ggml.ShapeMismatchError),
        (ggml.ones(1, 1, 1, 3), ggml.ones(1, 1, 1, 3), None, ggml.ShapeMismatchError),
        (rows.long(), rows.long(), None, ggml.DTypeError),
        (rows, rows, ggml.tensor([0, 1]), ggml.ShapeMismatchError),
        (rows, rows, ggml.tensor([0.0]), ggml.ShapeMismatchError),
        (rows, rows, ggml.tensor([4]), ggml.IndexOutOfRangeError),
        (rows, rows, ggml.tensor([-1]), ggml.IndexOutOfRangeError),
        (wide, wide, None, ggml.IndexOutOfRangeError),
    ):
        with pytest.raises(error):
            cache.update(key, value, position)
    with pytest.raises(ggml.ArgumentError):
        ggml.compile(lambda x: cache.update(x, x)[0])(rows)
    step = ggml.compile(lambda x, at: cache.update(x, x, at)[:2])
    with pytest.raises(ggml.IndexOutOfRangeError):
        step(rows, ggml.tensor([4]))
    keys, values = step(rows, ggml.tensor([3]))
    assert keys[0, 0, 3].tolist() == [1, 1, 1]
    step(rows * 2, ggml.tensor([3]))
    assert values[0, 1, 3].tolist() == [1, 1, 1]  # what was returned is a copy
    with pytest.raises(ggml.IndexOutOfRangeError):
        cache.length = 5
    for arguments, kwargs in (((0, 1, 1, 1), {}), ((1, 1, 1, 1), {"dtype": ggml.int64})):
        with pytest.raises(ggml.GgmlError):
            nn.KVCache(*arguments, **kwargs)


def test_two_writes_of_one_recording() -> None:
    cache = nn.KVCache(1, 1, 4, 2)

    def twice(x: ggml.Tensor, at: ggml.Tensor) -> tuple[ggml.Tensor, ...]:
        cache.update(x, x, at)
        return cache.update(x * 2, x * 3, at + 1)[:2]

    keys, values = ggml.compile(twice)(ggml.ones(1, 1, 1, 2), ggml.tensor([1]))
    assert values[0, 0].tolist() == [[0, 0], [1, 1], [3, 3], [0, 0]]
    assert keys[0, 0].tolist() == [[0, 0], [1, 1], [2, 2], [0, 0]]


def test_ways_to_attend() -> None:
    query, key, value = (torch.randn(2, 4, count, 8) for count in (5, 7, 7))
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    parts = to_ggml([query, key, value])
    for chosen in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION, [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
        with sdpa_kernel(chosen):
            assert_same(F.scaled_dot_product_attention(*parts), expected)
    with pytest.raises(ggml.ArgumentError), sdpa_kernel([]):
        pass


def test_attention_weights_are_dropped() -> None:
    ggml.manual_seed(0)
    ones = ggml.ones(1, 1, 50, 1)
    dropped = F.scaled_dot_product_attention(ones, ones, ones, dropout_p=0.5).numpy()
    assert 0.3 < dropped.mean() < 1.7
    assert len(np.unique(dropped)) > 5
    causal = F.scaled_dot_product_attention(ones, ones, ones, dropout_p=1e-9, is_causal=True)
    np.testing.assert_allclose(causal.numpy(), 1, atol=1e-5)
    assert F.scaled_dot_product_attention(ones, ones, ones, dropout_p=1.0).abs().sum().item() == 0
