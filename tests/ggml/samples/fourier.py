"""Fourier transforms: complex tensors have a last axis of 2."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import Draw, tensor
from tests.ggml.samples.common import Call, any_tensor, sample

_LENGTH = st.sampled_from([1, 2, 3, 5, 8, 13, 16, 30, 64, 67, 70, 128, 135, 263, 300])
_NORM = st.sampled_from([None, "backward", "forward", "ortho", "other"])


def _axis(draw: Draw, axes: int = 2) -> list[int]:
    """Mostly small extents, one that is worth a transform."""
    shape = draw(st.lists(st.integers(1, 3), max_size=axes - 1))
    shape.insert(draw(st.integers(0, len(shape))), draw(_LENGTH))
    return list(shape)


def _one(draw: Draw, x: Any, rank: int) -> Call:
    lengths = st.one_of(st.none(), st.none(), _LENGTH, st.just(0))
    return Call([x], {"n": draw(lengths), "dim": draw(st.integers(-rank, rank - 1)), "norm": draw(_NORM)})


@sample
def fft_complex(draw: Draw, row: Op) -> Call:
    shape = _axis(draw)
    return _one(draw, tensor(draw, (*shape, 2)), len(shape))


@sample
def fft_real(draw: Draw, row: Op) -> Call:
    shape = _axis(draw)
    return _one(draw, tensor(draw, tuple(shape)), len(shape))


@sample
def fft_half(draw: Draw, row: Op) -> Call:
    """With real numbers at the ends: what is not symmetric is treated in many ways."""
    shape = _axis(draw)
    call = _one(draw, tensor(draw, (*shape, 2)), len(shape))
    x, at = call.args[0].contiguous(), call.kwargs["dim"] % len(shape)
    n = call.kwargs["n"] or 2 * (shape[at] - 1)
    lines = x.movedim(at, 0)
    lines[0, ..., 1] = 0
    if n // 2 < shape[at]:
        lines[n // 2, ..., 1] = 0
    call.args[0] = x
    return call


def _many(draw: Draw, x: Any, rank: int, is_pair: bool) -> Call:
    lengths = st.sampled_from([1, 2, 3, 6, 9, -1])
    kwargs: dict[str, Any] = {"norm": draw(_NORM)}
    dims = list(range(rank))
    if draw(st.booleans()):
        dims = draw(st.permutations(dims))[: draw(st.integers(1, rank))]
        kwargs["dim"] = dims
    elif is_pair:
        dims = dims[-2:]
    if draw(st.booleans()):
        kwargs["s"] = [draw(lengths) for _ in dims]
    return Call([x], kwargs)


@sample
def fft_several(draw: Draw, row: Op) -> Call:
    shape = draw(st.lists(st.integers(1, 7), min_size=2, max_size=3))
    return _many(draw, tensor(draw, (*shape, 2)), len(shape), row.name.endswith("2"))


@sample
def fft_several_real(draw: Draw, row: Op) -> Call:
    shape = draw(st.lists(st.integers(1, 7), min_size=2, max_size=3))
    return _many(draw, tensor(draw, tuple(shape)), len(shape), row.name.endswith("2"))


@sample
def fft_several_half(draw: Draw, row: Op) -> Call:
    """The spectrum of something real, cut to its first half."""
    shape = draw(st.lists(st.integers(2, 7), min_size=2, max_size=3))
    spectrum = torch.fft.rfftn(tensor(draw, tuple(shape)), dim=(-2, -1))
    return Call([torch.view_as_real(spectrum)], {"s": shape[-2:], "dim": (-2, -1), "norm": draw(_NORM)})


@sample
def fft_shift(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 5), max_size=3).map(tuple))
    kwargs = {"dim": draw(st.integers(-x.ndim, x.ndim - 1))} if x.ndim and draw(st.booleans()) else {}
    if x.ndim > 1 and kwargs.get("dim", -1) < 0:
        x = x[..., :1]  # two could be a pair: see test_complex.py
    return Call([x], kwargs)


@sample
def fft_frequencies(draw: Draw, row: Op) -> Call:
    return Call([draw(st.integers(1, 40))], {"d": draw(st.sampled_from([1.0, 0.25, 3.0]))})


@sample
def complex_pair(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(0, 4), max_size=3).map(tuple))
    return Call([x, tensor(draw, tuple(x.shape[1:]))])


@sample
def complex_polar(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(0, 4), max_size=3).map(tuple), "float32", 0, 3)
    return Call([x, tensor(draw, tuple(x.shape))])


@sample
def window(draw: Draw, row: Op) -> Call:
    kwargs = {"beta": draw(st.sampled_from([12.0, 5.0]))} if row.name == "kaiser_window" else {}
    return Call([draw(st.integers(0, 40)), draw(st.booleans())], kwargs)


@sample
def signal_window(draw: Draw, row: Op) -> Call:
    options: dict[str, Any] = {
        "signal_general_cosine": {"a": draw(st.sampled_from([[0.5, 0.4, 0.1], [1.0], []]))},
        "signal_general_hamming": {"alpha": 0.6},
        "signal_gaussian": {"std": draw(st.sampled_from([0.5, 3.0, -1.0]))},
        "signal_exponential": draw(st.sampled_from([{"tau": 2.0}, {"center": 3}, {"tau": 0}])),
        "signal_kaiser": {"beta": draw(st.sampled_from([12.0, 0.0, -1.0]))},
    }
    sym = draw(st.booleans())
    return Call([draw(st.integers(-1, 40))], {"sym": sym, **options.get(row.name, {})})


def _frames(draw: Draw) -> tuple[int, dict[str, Any]]:
    size = draw(st.sampled_from([8, 16, 30, 15]))
    width = draw(st.sampled_from([size, size, size // 2 + 1]))
    kwargs: dict[str, Any] = {"hop_length": draw(st.sampled_from([None, 3, 5, 8])), "win_length": width}
    kwargs["normalized"], kwargs["onesided"] = draw(st.booleans()), draw(st.sampled_from([None, True, False]))
    if draw(st.integers(0, 2)):
        kwargs["window"] = torch.hann_window(width) + 0.1
    return size, kwargs


@sample
def stft(draw: Draw, row: Op) -> Call:
    size, kwargs = _frames(draw)
    outer = draw(st.sampled_from([(), (1,), (3,)]))
    kwargs["center"] = draw(st.booleans())
    kwargs["pad_mode"] = draw(st.sampled_from(["reflect", "constant", "replicate", "circular"]))
    return Call([tensor(draw, (*outer, draw(st.integers(5, 70)))), size], {**kwargs, "return_complex": False})


@sample
def istft(draw: Draw, row: Op) -> Call:
    size, kwargs = _frames(draw)
    kwargs["center"], length = draw(st.booleans()), draw(st.integers(31, 90))
    signal = tensor(draw, (*draw(st.sampled_from([(), (2,)])), length))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch wants a window
        spectrum = torch.stft(signal, size, **kwargs, return_complex=True)
    kwargs["length"] = draw(st.sampled_from([None, length, length - 7, length + 20]))
    return Call([torch.view_as_real(spectrum), size], kwargs)
