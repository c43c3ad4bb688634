"""Layers over space against PyTorch's, the native checks, and what the table's tests do not reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ggml
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.namespace import TABLE
from ggml.ops.spatial import convolution
from tests.ggml.arrays import to_ggml
from tests.ggml.both import randomise, twins
from tests.ggml.compare import assert_same
from worker_native import Graph

F = ggml.nn.functional

LAYERS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("nn.Conv1d(4, 6, 3)", [(2, 4, 9), (4, 5)]),
    ("nn.Conv1d(4, 6, 4, padding='same', padding_mode='circular')", [(2, 4, 9)]),
    ("nn.Conv2d(4, 6, 3, padding=1, bias=False)", [(2, 4, 8, 7), (4, 5, 5)]),
    ("nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 2), dilation=2, groups=2, padding_mode='reflect')", [(1, 4, 9, 8)]),
    ("nn.Conv2d(3, 3, 3, groups=3, padding='same', padding_mode='replicate')", [(2, 3, 6, 6)]),
    ("nn.Conv2d(2, 2, 1, padding='valid')", [(2, 2, 3, 3)]),
    ("nn.Conv3d(2, 4, 2, stride=(1, 2, 1))", [(1, 2, 4, 5, 3), (2, 3, 3, 3)]),
    ("nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1)", [(2, 4, 5), (4, 5)]),
    ("nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2, dilation=2)", [(2, 4, 5, 4)]),
    ("nn.ConvTranspose3d(2, 3, 2, bias=False)", [(1, 2, 3, 2, 3)]),
    ("nn.MaxPool1d(2)", [(2, 3, 7)]),
    ("nn.MaxPool2d(3, 2, 1, ceil_mode=True)", [(2, 3, 7, 6), (3, 6, 6)]),
    ("nn.MaxPool2d((2, 3), return_indices=True)", [(2, 3, 7, 6)]),
    ("nn.MaxPool3d(2, dilation=2)", [(1, 2, 5, 5, 5)]),
    ("nn.AvgPool1d(3, 2, 1)", [(2, 3, 7)]),
    ("nn.AvgPool2d(3, ceil_mode=True, count_include_pad=False, padding=1)", [(2, 3, 7, 6)]),
    ("nn.AvgPool3d(2, divisor_override=3)", [(1, 2, 4, 5, 5)]),
    ("nn.LPPool1d(2, 3)", [(2, 3, 7)]),
    ("nn.LPPool2d(1, (2, 3), stride=1)", [(2, 3, 7, 6)]),
    ("nn.LPPool3d(2, 2)", [(1, 2, 4, 4, 4)]),
    ("nn.AdaptiveAvgPool1d(3)", [(2, 3, 7)]),
    ("nn.AdaptiveAvgPool2d((None, 3))", [(2, 3, 7, 6)]),
    ("nn.AdaptiveAvgPool3d(2)", [(1, 2, 5, 4, 3)]),
    ("nn.AdaptiveMaxPool1d(3)", [(2, 3, 7)]),
    ("nn.AdaptiveMaxPool2d((2, None), return_indices=True)", [(2, 3, 7, 6)]),
    ("nn.AdaptiveMaxPool3d(2)", [(1, 2, 5, 4, 3)]),
    *[(f"nn.{kind}{rank}d(1)", [(1, 2, *[3] * rank)]) for kind in
      ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad") for rank in (1, 2, 3)],
    ("nn.ConstantPad1d((1, -1), 3.5)", [(2, 3)]),
    ("nn.ConstantPad2d((1, 2, 0, -1), -2)", [(2, 3, 4)]),
    ("nn.ConstantPad3d(2, 0.5)", [(1, 2, 2, 2, 2)]),
    ("nn.Upsample(scale_factor=2)", [(1, 2, 3), (1, 2, 3, 4), (1, 2, 3, 4, 2)]),
    ("nn.Upsample(size=(5, 7), mode='bilinear', align_corners=True)", [(1, 2, 3, 4)]),
    ("nn.Upsample(scale_factor=(1.5, 2), mode='bicubic')", [(1, 2, 3, 4)]),
    ("nn.UpsamplingNearest2d(scale_factor=3)", [(1, 2, 3, 4)]),
    ("nn.UpsamplingBilinear2d(size=6)", [(1, 2, 3, 4)]),
    ("nn.Unfold((2, 3), dilation=2, padding=1, stride=2)", [(2, 3, 7, 6)]),
    ("nn.Fold((4, 5), 2, padding=1)", [(2, 8, 30)]),
    ("nn.PixelShuffle(2)", [(2, 8, 3, 2), (4, 1, 1)]),
    ("nn.PixelUnshuffle(2)", [(2, 3, 4, 2)]),
    ("nn.ChannelShuffle(3)", [(2, 6, 3)]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shapes"), LAYERS, ids=[text for text, _ in LAYERS])
def test_layer_equals_torch(text: str, shapes: list[tuple[int, ...]]) -> None:
    theirs, ours = twins(text)
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    compiled = ggml.compile(ours)
    for shape in shapes:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        expected = theirs(x)
        assert_same(ours(to_ggml(x)), expected)
        assert_same(compiled(to_ggml(x)), expected)


@pytest.mark.parametrize("text", [
    "nn.Conv2d(3, 4, 3, groups=2)",
    "nn.Conv2d(2, 2, 3, padding='same', stride=2)",
    "nn.Conv2d(2, 2, 3, padding='half')",
    "nn.Conv2d(2, 2, 3, padding_mode='mirror')",
    "nn.ConvTranspose2d(2, 2, 3, padding_mode='reflect')",
    "nn.Conv2d(2, 2, 3, groups=0)",
])  # fmt: skip
def test_layer_is_refused_as_in_torch(text: str) -> None:
    for library in (torch, ggml):
        with pytest.raises(ValueError):
            eval(text, {"nn": library.nn})


def test_first_weights() -> None:
    ggml.manual_seed(0)
    layer = ggml.nn.ConvTranspose2d(64, 32, 3)
    bound = 1 / (32 * 9) ** 0.5
    for values in (layer.weight.numpy(), layer.bias.numpy()):
        assert np.abs(values).max() <= bound
        assert abs(values.mean()) < bound / 3
        assert values.std() == pytest.approx(bound / 3**0.5, rel=0.25)


@settings(max_examples=20)
@given(st.tuples(*[st.integers(1, 4)] * 2), st.integers(1, 3), st.integers(0, 1), st.integers(0, 4))
def test_output_size(size: tuple[int, int], stride: int, padding: int, more: int) -> None:
    theirs, ours = twins(f"nn.ConvTranspose2d(2, 3, 3, stride={stride}, padding={padding})")
    x = torch.randn(2, 2, *size)
    wanted = [(extent - 1) * stride - 2 * padding + 3 + more for extent in size]
    try:
        expected = theirs(x, output_size=wanted)
    except ValueError:
        with pytest.raises(ValueError):
            ours(to_ggml(x), output_size=wanted)
        return
    assert_same(ours(to_ggml(x), output_size=wanted), expected)


def test_large_convolutions() -> None:
    """Sizes at which all tiles of the kernel, several bands and several workers take part."""
    generator = torch.Generator().manual_seed(0)
    for shape, weight, kwargs in [
        ((2, 5, 37, 41), (19, 5, 3, 3), {"padding": 1}),
        ((1, 6, 40, 45), (30, 2, 3, 5), {"groups": 3, "stride": (2, 1), "dilation": (1, 2)}),
        ((1, 3, 64, 64), (7, 3, 16, 16), {"stride": 16}),
        ((3, 24, 5, 5), (33, 24, 3, 3), {}),
        ((1, 4, 50, 40), (6, 2, 3, 2), {"stride": (2, 7), "groups": 2, "padding": 1}),
        ((1, 2, 40, 40), (3, 2, 2, 2), {"stride": 100, "padding": 1}),
        ((1, 2, 200, 200), (3, 2, 1, 3), {"stride": (5, 4), "dilation": (1, 3)}),
        ((1, 12, 30, 33), (12, 1, 3, 3), {"groups": 12, "padding": 1}),
    ]:
        x, w = torch.randn(shape, generator=generator), torch.randn(weight, generator=generator)
        bias = torch.randn(weight[0], generator=generator)
        expected = torch.nn.functional.conv2d(x, w, bias, **kwargs)
        assert_same(F.conv2d(*to_ggml([x, w, bias]), **kwargs), expected)


@pytest.mark.parametrize("way", ["_native", "_unfolded"])
def test_other_ways_to_convolve(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other devices compute with ggml's own operation, and the product of matrices for small planes."""
    row = TABLE["convolution"]
    lower = row.lower
    object.__setattr__(row, "lower", getattr(convolution, way))
    ggml.backend.clear_graphs()
    try:
        for rank, shape in ((1, (2, 3, 21)), (2, (2, 3, 9, 20))):
            x, w, bias = torch.randn(shape), torch.randn(5, 3, *(3, 2)[:rank]), torch.randn(5)
            kwargs = {"stride": 2, "padding": 1, "dilation": 2}
            expected = getattr(torch.nn.functional, f"conv{rank}d")(x, w, bias, **kwargs)
            assert_same(getattr(F, f"conv{rank}d")(*to_ggml([x, w, bias]), **kwargs), expected)
    finally:
        object.__setattr__(row, "lower", lower)
        ggml.backend.clear_graphs()


def _build(name: str, sources: list[tuple[int, ...]], shape: tuple[int, ...], params: list[int], types: Any) -> None:
    builder = Builder(ggml.devices()[0])
    values = [builder.program.input(source, types[i]) for i, source in enumerate(sources)]
    result: Value = builder.emit(name, [value.step for value in values], types[-1], shape, params)
    Graph(builder.device.native, *builder.program.steps(), np.array([result.step], np.int64))


F32, I64 = 0, 27

CONVOLVE = [1, 1, 3, 3, 1, 1, 1, 1, 1, 1]
FOLD = [1, 2, 2, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 3, 3]
POOL = [0, 1, 2, 2, 1, 2, 2, 0, 0, 0, 1, 1, 1, 1, 0]


def _with(params: list[int], place: int, number: int) -> list[int]:
    return [*params[:place], number, *params[place + 1 :]]


GOOD: list[tuple[str, list[tuple[int, ...]], tuple[int, ...], list[int], list[int]]] = [
    ("arrange", [(2, 1, 3, 4)], (2, 1, 5, 6), [0, 1, 1, 1, 1, 1, 0], [F32, F32]),
    ("convolve", [(2, 1, 6, 6), (4, 18)], (4, 1, 4, 4), CONVOLVE, [F32, F32, F32]),
    ("fold", [(2, 4, 9)], (2, 1, 4, 4), FOLD, [F32, F32]),
    ("max_pool", [(2, 1, 4, 4)], (2, 1, 2, 2), POOL, [F32, F32]),
    ("max_pool_index", [(2, 1, 4, 4)], (2, 1, 2, 2), POOL, [F32, I64]),
    ("avg_pool", [(2, 1, 4, 4)], (2, 1, 2, 2), POOL, [F32, F32]),
    ("resample", [(2, 3, 4), (2, 5), (2, 5)], (2, 5, 4), [], [F32, I64, F32, F32]),
    ("conv_2d", [(4, 2, 3, 3), (1, 2, 6, 6)], (1, 4, 4, 4), [1, 1, 0, 0, 1, 1], [F32, F32, F32]),
]

BAD = [
    ("arrange", [(2, 1, 3, 4)], (3, 1, 5, 6), [0, 1, 1, 1, 1, 1, 0], [F32, F32]),
    ("arrange", [(2, 1, 3, 4)], (2, 1, 5, 6), [0, 1, 1, 1, 0, 1, 0], [F32, F32]),
    ("arrange", [(2, 1, 3, 4)], (2, 1, 5, 6), [0, 1, 1, 1 << 40, 1 << 40, 1, 0], [F32, F32]),
    ("arrange", [(2, 1, 3, 4)], (2, 1, 5, 6), [0, 1, 1, 1, 1, 1, 0], [F32, I64]),
    *[("convolve", [(2, 1, 6, 6), (4, 18)], (4, 1, 4, 4), _with(CONVOLVE, i, n), [F32, F32, F32])
      for i, n in ((0, 0), (0, 3), (1, 2), (2, 0), (2, 1 << 60), (8, 9), (9, 3), (6, 0), (6, 2))],
    ("convolve", [(2, 1, 6, 6), (4, 18)], (4, 1, 5, 4), CONVOLVE, [F32, F32, F32]),
    ("convolve", [(3, 1, 6, 6), (4, 18)], (4, 1, 4, 4), CONVOLVE, [F32, F32, F32]),
    ("convolve", [(2, 1, 6, 6), (4, 18)], (4, 1, 4, 4), CONVOLVE, [F32, I64, F32]),
    *[("fold", [(2, 4, 9)], (2, 1, 4, 4), _with(FOLD, i, n), [F32, F32])
      for i, n in ((0, 0), (1, 3), (3, 0), (6, 1 << 60), (9, -1), (12, 2), (13, 1 << 50))],
    ("fold", [(2, 4, 9)], (3, 1, 4, 4), FOLD, [F32, F32]),
    *[(name, [(2, 1, 4, 4)], (2, 1, 2, 2), _with(POOL, i, n), [F32, result])
      for name, result in (("max_pool", F32), ("max_pool_index", I64), ("avg_pool", F32))
      for i, n in ((1, 0), (4, 0), (5, 9), (7, -1), (8, 9), (10, 0), (14, -1))],
    ("avg_pool", [(2, 1, 4, 4)], (2, 1, 2, 2), _with(POOL, 11, 2), [F32, F32]),
    ("max_pool", [(2, 1, 4, 4)], (3, 1, 2, 2), POOL, [F32, F32]),
    ("max_pool_index", [(2, 1, 4, 4)], (2, 1, 2, 2), POOL, [F32, F32]),
    ("resample", [(2, 3, 4), (2, 5), (2, 4)], (2, 5, 4), [], [F32, I64, F32, F32]),
    ("resample", [(2, 3, 4), (2, 5), (2, 5)], (2, 6, 4), [], [F32, I64, F32, F32]),
    ("resample", [(2, 3, 4), (2, 5), (2, 5)], (2, 5, 4), [], [F32, F32, F32, F32]),
    *[("conv_2d", [(4, 2, 3, 3), (1, 2, 6, 6)], (1, 4, 4, 4), params, [F32, F32, F32])
      for params in ([0, 1, 0, 0, 1, 1], [1, 1, -1, 0, 1, 1], [1, 1, 0, 0, 4, 1], [1, 1, 0, 0, 1, 1 << 40])],
    ("conv_2d", [(4, 3, 3, 3), (1, 2, 6, 6)], (1, 4, 4, 4), [1, 1, 0, 0, 1, 1], [F32, F32, F32]),
    ("conv_2d", [(4, 2000, 64, 64), (1, 2000, 64, 64)], (1, 4, 1, 1), [1, 1, 0, 0, 1, 1], [F32, F32, F32]),
]  # fmt: skip


@pytest.mark.parametrize("step", GOOD, ids=[step[0] for step in GOOD])
def test_native_steps_are_built(step: Any) -> None:
    _build(*step)


@pytest.mark.parametrize("step", BAD, ids=[f"{i}-{step[0]}" for i, step in enumerate(BAD)])
def test_native_steps_are_refused(step: Any) -> None:
    with pytest.raises(ValueError):
        _build(*step)


def test_what_nothing_could_hold_is_refused() -> None:
    x, weight = ggml.ones(1, 2, 5, 5), ggml.ones(2, 2, 3, 3)
    huge = (1 << 30) - 1
    for call in (
        lambda: F.conv2d(x, weight, padding=huge),
        lambda: F.conv2d(x, weight, padding=huge, stride=huge),
        lambda: F.conv_transpose2d(x, weight, stride=huge),
        lambda: F.adaptive_avg_pool2d(x, huge),
        lambda: F.interpolate(x, huge),
        lambda: F.pad(x, [huge] * 4),
        lambda: F.unfold(x, 3, padding=huge),
        lambda: F.fold(ggml.ones(1, 1, 1), huge, 1, stride=huge),
    ):
        with pytest.raises(ggml.GgmlError):
            ggml.eval(call())
    assert F.conv2d(x, weight, stride=huge).shape == (1, 2, 1, 1)
    assert F.conv2d(x, weight, stride=huge).sum().item() == 36.0


def test_integers_are_pooled_exactly() -> None:
    x = torch.tensor([[[[1 << 60, (1 << 60) + 1], [-1, -(1 << 62)]]]])
    expected = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert_same(F.max_pool2d(to_ggml(x), 2, return_indices=True), expected)
    for pool in (F.avg_pool2d, F.max_pool1d):
        with pytest.raises(ggml.DTypeError):
            pool(ggml.ones(1, 4, 4, dtype=ggml.int64), 2)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), max_size=5).map(tuple))
def test_memory_formats(shape: tuple[int, ...]) -> None:
    ours, theirs = ggml.zeros(shape), torch.zeros(shape)
    for name in ("contiguous_format", "channels_last", "channels_last_3d"):
        ours_format, theirs_format = getattr(ggml, name), getattr(torch, name)
        assert ours.is_contiguous(memory_format=ours_format) == theirs.is_contiguous(memory_format=theirs_format)
        for method in ("contiguous", "to", "clone"):
            try:
                getattr(theirs, method)(memory_format=theirs_format)
            except RuntimeError:
                with pytest.raises(ggml.ShapeMismatchError):
                    getattr(ours, method)(memory_format=ours_format)
                continue
            assert getattr(ours, method)(memory_format=ours_format).shape == shape
    with pytest.raises(ggml.ArgumentError):
        ours.is_contiguous(memory_format=ggml.preserve_format)
    with pytest.raises(ggml.DTypeError):
        ours.contiguous(memory_format="channels_last")
