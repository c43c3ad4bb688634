"""Convolution, pooling, padding, folding and resampling."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import Draw, tensor
from tests.ggml.samples.common import Call, any_dim, any_dtype, any_tensor, sample


def _rank(row: Op) -> int:
    """The spatial axes that the name tells: conv2d has two."""
    return int(row.name[-2])


def _several(draw: Draw, rank: int, low: int, high: int) -> Any:
    """One number, or one for each axis."""
    numbers = st.integers(low, high)
    return draw(st.one_of(numbers, st.tuples(*[numbers] * rank)))


def _extents(draw: Draw, rank: int, low: int = 3) -> tuple[int, ...]:
    """Small ones, and now and then one that fills the kernels' vectors."""
    longest = (70, 12, 6)[rank - 1]
    return tuple(draw(st.integers(low, longest)) for _ in range(rank))


def _image(draw: Draw, row: Op, rank: int, specials: bool = False) -> Any:
    """[N, C, ...], or [C, ...] without a batch."""
    batch = draw(st.sampled_from([(), (1,), (2,), (2,), (0,)]))
    shape = (*batch, draw(st.integers(1, 3)), *_extents(draw, rank))
    # PyTorch has no means of 16-bit volumes on the CPU.
    dtype = "float32" if row.name in ("avg_pool3d", "lp_pool3d") else any_dtype(draw, row)
    return tensor(draw, shape, dtype, specials=specials)


def _parts(draw: Draw, row: Op, is_transposed: bool) -> tuple[Call, int]:
    rank, groups = _rank(row), draw(st.sampled_from([1, 1, 2, 3]))
    inner, outer = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 5, 9]))
    dtype = any_dtype(draw, row)
    # PyTorch checks nothing but the shape where a transposed convolution has no images.
    batch = draw(st.sampled_from([(), (1,), (2,), (3,), *([] if is_transposed else [(0,)])]))
    x = tensor(draw, (*batch, inner * groups, *_extents(draw, rank)), dtype)
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    ends = (inner * groups, outer) if is_transposed else (outer * groups, inner)
    weight = tensor(draw, (*ends, *kernel), dtype)
    if is_transposed:  # PyTorch 2.13 is wrong where the input's channels lie last and the weight's do not
        x, weight = x.contiguous(), weight.contiguous()
    args = [x, weight]
    if draw(st.booleans()):
        args.append(tensor(draw, (outer * groups,), dtype))
    return Call(args, {"groups": groups}), rank


@sample
def conv(draw: Draw, row: Op) -> Call:
    call, rank = _parts(draw, row, False)
    padding = draw(st.sampled_from(["numbers", "numbers", "same", "valid"]))
    call.kwargs["dilation"] = _several(draw, rank, 1, 2)
    if padding == "numbers":
        call.kwargs["padding"] = _several(draw, rank, 0, 2)
    else:
        call.kwargs["padding"] = padding
    if padding != "same" or draw(st.integers(0, 9)) == 0:
        call.kwargs["stride"] = _several(draw, rank, 1, 3)
    return call


@sample
def conv_transpose(draw: Draw, row: Op) -> Call:
    call, rank = _parts(draw, row, True)
    call.kwargs["stride"], call.kwargs["dilation"] = _several(draw, rank, 1, 3), _several(draw, rank, 1, 2)
    call.kwargs["padding"], call.kwargs["output_padding"] = _several(draw, rank, 0, 1), _several(draw, rank, 0, 2)
    return call


def _windows(draw: Draw, rank: int) -> dict[str, Any]:
    kwargs: dict[str, Any] = {"kernel_size": _several(draw, rank, 1, 3), "ceil_mode": draw(st.booleans())}
    if draw(st.booleans()):
        kwargs["stride"] = _several(draw, rank, 1, 3)
    return kwargs


@sample
def max_pool(draw: Draw, row: Op) -> Call:
    rank = _rank(row)
    kwargs = _windows(draw, rank) | {"padding": _several(draw, rank, 0, 1), "dilation": _several(draw, rank, 1, 2)}
    return Call([_image(draw, row, rank, specials=True)], {**kwargs, "return_indices": draw(st.booleans())})


@sample
def avg_pool(draw: Draw, row: Op) -> Call:
    rank = _rank(row)
    kwargs = _windows(draw, rank) | {"padding": _several(draw, rank, 0, 1), "count_include_pad": draw(st.booleans())}
    if rank > 1 and draw(st.booleans()):
        kwargs["divisor_override"] = draw(st.sampled_from([1, 3, -2, 0]))
    return Call([_image(draw, row, rank)], kwargs)


@sample
def adaptive_pool(draw: Draw, row: Op) -> Call:
    rank = _rank(row)
    size = _several(draw, rank, 1, 7)
    if rank > 1 and isinstance(size, tuple) and draw(st.booleans()):
        size = (None, *size[1:])
    call = Call([_image(draw, row, rank, specials=row.name.startswith("adaptive_max")), size])
    if row.name.startswith("adaptive_max"):
        call.kwargs["return_indices"] = draw(st.booleans())
    return call


@sample
def lp_pool(draw: Draw, row: Op) -> Call:
    rank = _rank(row)
    kwargs = _windows(draw, rank)
    if rank == 1:  # where PyTorch takes no tuple
        kwargs["kernel_size"] = draw(st.integers(1, 3))
    return Call([_image(draw, row, rank), draw(st.sampled_from([1, 2, 2.0]))], kwargs)


@sample
def pad(draw: Draw, row: Op) -> Call:
    mode = draw(st.sampled_from(["constant", "constant", "reflect", "replicate", "circular"]))
    if mode == "constant":
        x = any_tensor(draw, row)
        pads = draw(st.lists(st.integers(-2, 3), max_size=2 * x.ndim))
        fills = [None, 0, 1.5, -2, *([float("inf")] if x.is_floating_point() else [])]
        return Call([x, pads], {"value": draw(st.sampled_from(fills))})
    rank = draw(st.integers(1, 3))
    batch = draw(st.sampled_from([(), (1,), (2,)]))
    x = any_tensor(draw, row, (*batch, draw(st.integers(1, 2)), *_extents(draw, rank, 4 if mode == "circular" else 1)))
    least = -1 if min(x.shape[-rank:]) > 2 else 0
    return Call([x, [draw(st.integers(least, 3)) for _ in range(2 * rank)]], {"mode": mode})


@sample
def windows_of(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    return Call([x, any_dim(draw, x), draw(st.integers(0, 3)), draw(st.integers(0, 3))])


@sample
def unfold(draw: Draw, row: Op) -> Call:
    kwargs = {
        "dilation": _several(draw, 2, 1, 2),
        "padding": _several(draw, 2, 0, 2),
        "stride": _several(draw, 2, 1, 3),
    }
    return Call([_image(draw, row, 2), _several(draw, 2, 1, 3)], kwargs)


@sample
def fold(draw: Draw, row: Op) -> Call:
    size, kernel = _extents(draw, 2), tuple(draw(st.integers(1, 3)) for _ in range(2))
    numbers = {name: draw(st.integers(low, 2)) for name, low in (("dilation", 1), ("padding", 0), ("stride", 1))}
    columns = 1
    for extent, k in zip(size, kernel, strict=True):
        space = extent + 2 * numbers["padding"] - numbers["dilation"] * (k - 1) - 1
        columns *= space // numbers["stride"] + 1
    rows = kernel[0] * kernel[1] * draw(st.integers(1, 3)) + draw(st.sampled_from([0, 0, 0, 1]))
    shape = (*draw(st.sampled_from([(), (1,), (2,)])), rows, max(columns, 1))
    return Call([tensor(draw, shape, any_dtype(draw, row)), size, kernel], numbers)


@sample
def pixel_shuffle(draw: Draw, row: Op) -> Call:
    factor = draw(st.integers(1, 3))
    shape = (*draw(st.lists(st.integers(0, 2), max_size=2)), draw(st.sampled_from([4, 9, 8])), *_extents(draw, 2, 1))
    return Call([any_tensor(draw, row, shape), factor])


@sample
def pixel_unshuffle(draw: Draw, row: Op) -> Call:
    factor = draw(st.integers(1, 3))
    sides = [draw(st.integers(1, 3)) * factor + draw(st.sampled_from([0, 0, 1])) for _ in range(2)]
    return Call([any_tensor(draw, row, (*draw(st.lists(st.integers(1, 2), max_size=2)), 2, *sides)), factor])


@sample
def channel_shuffle(draw: Draw, row: Op) -> Call:
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 8)), *_extents(draw, draw(st.integers(1, 3)), 1))
    return Call([any_tensor(draw, row, shape), draw(st.integers(1, 4))])


def _target(draw: Draw, rank: int) -> dict[str, Any]:
    if draw(st.booleans()):
        return {"size": _several(draw, rank, 1, 14)}
    factors = st.sampled_from([0.5, 2, 2.0, 1.7, 0.7, 3, 1.0])
    return {"scale_factor": draw(st.one_of(factors, st.tuples(*[factors] * rank)))}


@sample
def interpolate(draw: Draw, row: Op) -> Call:
    rank = draw(st.integers(1, 3))
    smooth = ("linear", "bilinear", "trilinear")[rank - 1]
    modes = ["nearest", "nearest-exact", "area", smooth, smooth, *(["bicubic"] * 2 if rank == 2 else [])]
    kwargs = {**_target(draw, rank), "mode": draw(st.sampled_from(modes))}
    if kwargs["mode"] in ("linear", "bilinear", "trilinear", "bicubic"):
        kwargs["align_corners"] = draw(st.sampled_from([None, False, True]))
        kwargs["antialias"] = rank == 2 and draw(st.booleans())
    if "scale_factor" in kwargs:
        kwargs["recompute_scale_factor"] = draw(st.sampled_from([None, True]))
    batch = draw(st.sampled_from([1, 2, 0]))
    # PyTorch's filter knows float32 only, on the CPU.
    dtype = "float32" if kwargs.get("antialias") else any_dtype(draw, row)
    # Nor does it look at the other axes where the last one is of one element.
    shape = (batch, 2, *_extents(draw, rank, 2 if kwargs.get("antialias") else 1))
    return Call([tensor(draw, shape, dtype)], kwargs)


@sample
def upsample(draw: Draw, row: Op) -> Call:
    x = tensor(draw, (1, 2, *_extents(draw, 2, 1)), any_dtype(draw, row))
    return Call([x], {**_target(draw, 2), "mode": draw(st.sampled_from(["nearest", "bilinear"]))})


@sample
def affine_grid(draw: Draw, row: Op) -> Call:
    rank, batch = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    size = (batch, 1, *[draw(st.integers(1, 5)) for _ in range(rank)])
    return Call([tensor(draw, (batch, rank, rank + 1)), size], {"align_corners": draw(st.booleans())})


@sample
def grid_sample(draw: Draw, row: Op) -> Call:
    rank, batch = draw(st.integers(2, 3)), draw(st.integers(1, 2))
    modes = ["bilinear", "nearest", *(["bicubic"] if rank == 2 else [])]
    x = tensor(draw, (batch, 2, *[draw(st.integers(1, 6)) for _ in range(rank)]))
    grid = tensor(draw, (batch, *[draw(st.integers(1, 4)) for _ in range(rank)], rank), low=-1.7, high=1.7)
    kwargs = {"mode": draw(st.sampled_from(modes)), "align_corners": draw(st.booleans())}
    return Call([x, grid], {**kwargs, "padding_mode": draw(st.sampled_from(["zeros", "border", "reflection"]))})


@sample
def max_unpool(draw: Draw, row: Op) -> Call:
    rank = _rank(row)
    lead = draw(st.lists(st.integers(1, 2), min_size=1, max_size=2).map(tuple))
    inner = tuple(draw(st.integers(2, 5)) for _ in range(rank))
    x = tensor(draw, (*lead, *inner), any_dtype(draw, row))
    width, step = draw(st.sampled_from([(2, 2), (2, 1), (1, 2), (2, None)]))
    largest, places = getattr(torch.nn.functional, f"max_pool{rank}d")(x, width, step, return_indices=True)
    size = draw(st.sampled_from([None, (*lead, *inner), inner, (9,) * rank]))
    return Call([largest, places, width, step], {"output_size": size})


@sample
def upsample_old(draw: Draw, row: Op) -> Call:
    x = tensor(draw, (2, 2, draw(st.integers(1, 4)), draw(st.integers(1, 4))))
    return Call([x], draw(st.sampled_from([{"scale_factor": 2}, {"size": (5, 3)}, {}])))
